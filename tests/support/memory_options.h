#pragma once

#include <string>
#include <vector>

#include "fcc/config/model_config.h"

namespace fcc {

struct MemoryOption {
  std::string name;
  FccConfig fcc;
};

/// `plain` with each option of its memory in turn, one at a time.
inline std::vector<MemoryOption> memory_options(const FccConfig& plain) {
  std::vector<MemoryOption> options;
  const auto add = [&](const char* name, auto FccConfig::*member, auto value) {
    options.push_back({name, plain});
    options.back().fcc.*member = value;
  };
  add("own_norm", &FccConfig::memory_norm, MemoryNorm::kOwn);
  add("no_norm", &FccConfig::memory_norm, MemoryNorm::kNone);
  add("same_positions", &FccConfig::memory_positions, MemoryPositions::kSame);
  add("unrotated_memory", &FccConfig::memory_positions, MemoryPositions::kNone);
  add("global_positions", &FccConfig::memory_positions, MemoryPositions::kGlobal);
  add("inputs_remembered", &FccConfig::memory_source, MemorySource::kInput);
  add("zeros_first", &FccConfig::first_memory, FirstMemory::kZeros);
  add("learned_first", &FccConfig::first_memory, FirstMemory::kLearned);
  return options;
}

} // namespace fcc
