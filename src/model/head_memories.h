#pragma once

#include <memory>

#include "model/head_memory.h"

namespace fcc {

/// The makers of each `HeadMemory`, one file each.
std::unique_ptr<const HeadMemory> make_infini_memory(const ModelConfig& config);
std::unique_ptr<const HeadMemory> make_titans_memory(const ModelConfig& config);

} // namespace fcc
