#include "model/head_memory.h"

#include <ATen/ops/cat.h>

#include "model/head_memories.h"

namespace fcc {

HeadRows HeadRows::joined(const HeadRows& more) const {
  if (!input.defined()) {
    return more;
  }
  return {
      .input = at::cat({input, more.input}, 1),
      .q = at::cat({q, more.q}, 1),
      .k = at::cat({k, more.k}, 1),
      .v = at::cat({v, more.v}, 1)};
}

std::unique_ptr<const HeadMemory> make_head_memory(const ModelConfig& config) {
  switch (config.arch()) {
    case Architecture::kInfiniAttention:
      return make_infini_memory(config);
    case Architecture::kTitansMag:
      return make_titans_memory(config);
    case Architecture::kLlama:
    case Architecture::kCondensation:
    case Architecture::kLocalGlobal:
    case Architecture::kRmt:
      break;
  }
  return nullptr;
}

} // namespace fcc
