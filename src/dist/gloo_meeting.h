#pragma once

#include <cstdint>
#include <string>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "fcc/dist/rank_settings.h"

namespace fcc {

using StorePointer = c10::intrusive_ptr<c10d::Store>;

/// Torch's messages go on with a stack of addresses.
std::string first_line(const std::string& message);

/// A connection to the store of all ranks; `hosts`: which is opened by it.
/// Errors: `Error` where the port is in use or rank 0 does not come.
StorePointer open_store(const RankSettings& settings, bool hosts);

/// `rank` of `size` meets those who meet in the same store.
c10::intrusive_ptr<c10d::ProcessGroupGloo> open_gloo(
    std::int64_t rank,
    std::int64_t size,
    const RankSettings& settings,
    const StorePointer& store);

} // namespace fcc
