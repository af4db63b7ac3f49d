#include "fcc/model/memory_policy.h"

#include <algorithm>

#include <ATen/ops/ones.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <c10/util/accumulate.h>

#include "model/head_memory.h"

namespace fcc {

MemoryPolicy::MemoryPolicy(const ModelConfig& config)
    : arch_(config.arch()),
      num_layers_(config.num_hidden_layers),
      width_(config.hidden_size),
      head_dim_(config.head_dim),
      frequencies_(rope_frequencies(config.head_dim, config.rope_theta, config.rope_scaling)) {
  if (arch_ == Architecture::kCondensation) {
    options_ = *config.fcc;
  } else if (config.fcc) {
    options_.segment_length = config.fcc->segment_length;
  }
  if (arch_ == Architecture::kRmt) {
    options_.num_memory_tokens = config.fcc->num_memory_tokens;
    options_.first_memory = FirstMemory::kLearned;
  }
  head_memory_ = make_head_memory(config);
  if (head_memory_) {
    options_.first_memory = FirstMemory::kZeros;
  }
}

std::int64_t MemoryPolicy::num_memories() const {
  switch (arch_) {
    case Architecture::kLlama:
      return 0;
    case Architecture::kCondensation:
    case Architecture::kInfiniAttention:
    case Architecture::kTitansMag:
      return num_layers_;
    case Architecture::kLocalGlobal:
    case Architecture::kRmt:
      return 1;
  }
  return 0;
}

std::vector<std::int64_t> MemoryPolicy::memory_shape(std::int64_t batch_size) const {
  if (head_memory_) {
    const HeadMemory::Shape shape = head_memory_->shape();
    return {num_layers_, batch_size, shape.rows, shape.width};
  }
  const std::int64_t rows =
      arch_ == Architecture::kRmt ? options_.num_memory_tokens : options_.segment_length;
  return {num_memories(), batch_size, carries() ? rows : 0, width_};
}

at::ScalarType MemoryPolicy::memory_dtype(at::ScalarType dtype) const {
  return head_memory_ && dtype != at::kDouble ? at::kFloat : dtype;
}

std::int64_t MemoryPolicy::memory_bytes(at::ScalarType dtype) const {
  const auto element = static_cast<std::int64_t>(c10::elementSize(memory_dtype(dtype)));
  return c10::multiply_integers(memory_shape(1)) * element;
}

std::int64_t MemoryPolicy::segment_length(std::int64_t length_tokens) const {
  return carries() ? options_.segment_length : std::max<std::int64_t>(length_tokens, 1);
}

at::Tensor MemoryPolicy::remember(const LayerStep& rows) const {
  return options_.memory_source == MemorySource::kOutput ? rows.output : rows.input;
}

at::Tensor MemoryPolicy::visible(
    const at::Tensor& carried,
    const at::Tensor& present,
    const MemoryWeights<at::Tensor>& weights,
    at::IntArrayRef shape,
    const at::TensorOptions& options) const {
  if (carried.defined() && !present.defined()) {
    return carried;
  }
  const at::Tensor first = options_.first_memory == FirstMemory::kLearned
                               ? weights.initial_memory.unsqueeze(-3) // before B
                               : at::zeros({1, 1, 1}, options);
  return carried.defined() ? at::where(present.view({-1, 1, 1}), carried, first)
                           : first.expand(shape);
}

KeyPositions MemoryPolicy::positions(std::int64_t first, std::int64_t num_memory) const {
  switch (options_.memory_positions) {
    case MemoryPositions::kWindow:
      return {.memory = 0, .segment = num_memory};
    case MemoryPositions::kGlobal:
      return {.memory = first - num_memory, .segment = first};
    case MemoryPositions::kSame:
      return {.memory = 0, .segment = 0};
    case MemoryPositions::kNone:
      return {.memory = std::nullopt, .segment = 0};
  }
  return {};
}

RopeTable MemoryPolicy::rotations(
    std::optional<std::int64_t> first,
    std::int64_t count,
    const at::TensorOptions& options) const {
  const auto wide = options.dtype(options.dtype() == at::kDouble ? at::kDouble : at::kFloat);
  if (!first) {
    return {at::ones({count, head_dim_}, wide), at::zeros({count, head_dim_}, wide)};
  }
  return make_rope_table(frequencies_, *first, count, wide);
}

std::vector<MemoryWeightLayout> MemoryPolicy::weights() const {
  using Weights = MemoryWeights<at::Tensor>;
  if (head_memory_) {
    return head_memory_->weights();
  }
  std::vector<MemoryWeightLayout> result;
  if (options_.memory_norm == MemoryNorm::kOwn) {
    result.push_back({&Weights::memory_layernorm, "memory_layernorm.weight", {width_}, 1.0});
  }
  if (is_rows_before() && options_.first_memory == FirstMemory::kLearned) {
    result.push_back(
        {&Weights::initial_memory, "initial_memory", {options_.segment_length, width_}, 0.0});
  }
  return result;
}

at::Tensor memory_norm_weight(
    MemoryNorm norm,
    const at::Tensor& input_layernorm,
    const MemoryWeights<at::Tensor>& weights) {
  switch (norm) {
    case MemoryNorm::kShared:
      return input_layernorm;
    case MemoryNorm::kOwn:
      return weights.memory_layernorm;
    case MemoryNorm::kNone:
      break;
  }
  return {};
}

} // namespace fcc
