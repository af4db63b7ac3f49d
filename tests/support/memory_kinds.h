#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/model_config.h"

namespace fcc {

/// A memory of docs/memories.md and what is said about it there.
struct MemoryKind {
  std::string name;
  FccConfig fcc;
  bool gradient_flows = true; ///< from a segment into those before it
  bool within_layers = false; ///< it reaches back as many segments as there are layers, no further
  bool fused = false;         ///< the fused execution serves it
};

/// All of them, in segments of `length` tokens.
inline std::vector<MemoryKind> memory_kinds(std::int64_t length) {
  std::vector<MemoryKind> all;
  const auto add = [&](const char* name, Architecture arch) -> MemoryKind& {
    all.push_back({.name = name, .fcc = {.arch = arch, .segment_length = length}});
    return all.back();
  };
  add("fcc", Architecture::kCondensation).fused = true;
  MemoryKind& transformer_xl = add("transformer_xl", Architecture::kCondensation);
  transformer_xl.fcc.memory_source = MemorySource::kInput;
  transformer_xl.fcc.memory_gradient = MemoryGradient::kStop;
  transformer_xl.gradient_flows = false;
  transformer_xl.within_layers = true;
  transformer_xl.fused = true;
  MemoryKind& ernie_doc = add("ernie_doc", Architecture::kCondensation);
  ernie_doc.fcc.memory_gradient = MemoryGradient::kStop;
  ernie_doc.gradient_flows = false;
  ernie_doc.fused = true;
  add("local_global", Architecture::kLocalGlobal).fcc.num_local_layers = 1;
  add("rmt", Architecture::kRmt).fcc.num_memory_tokens = 3;
  add("infini_attention", Architecture::kInfiniAttention);
  add("titans_mag", Architecture::kTitansMag);
  return all;
}

} // namespace fcc
