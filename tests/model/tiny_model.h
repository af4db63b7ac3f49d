#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "fcc/engine/make_executor.h"
#include "fcc/model/parameters.h"

namespace fcc::testing {

/// A model of ugly sizes: V 29, D 12, F 22, N 2, H 4, G 2, E 6.
inline ModelConfig tiny_config(const std::optional<FccConfig>& fcc) {
  ModelConfig config;
  config.vocab_size = 29;
  config.hidden_size = 12;
  config.intermediate_size = 22;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 6;
  config.rope_theta = 100.0;
  config.fcc = fcc;
  return config;
}

/// Weights of order one everywhere, norms and first memories too, so that every path counts.
inline std::unique_ptr<FlatParameters> tiny_parameters(
    const ModelConfig& config,
    ComputeDType dtype = ComputeDType::kFloat64,
    std::uint64_t seed = 5) {
  const at::NoGradGuard no_grad;
  auto parameters = std::make_unique<FlatParameters>(config, dtype, at::kCPU, seed);
  at::Generator generator = at::detail::createCPUGenerator(seed + 1);
  for (const NamedTensor& weight : parameters->named(parameters->master())) {
    const at::Tensor noise =
        at::empty(weight.tensor.sizes(), at::kDouble).normal_(0, 0.35, generator);
    weight.tensor.copy_(weight.tensor.dim() == 1 ? noise + 1.0 : noise);
  }
  parameters->update_compute();
  return parameters;
}

/// Random ids and targets (some ignored) with random coefficients.
inline MicroBatch random_batch(
    const ModelConfig& config,
    std::int64_t num_rows,
    std::int64_t length,
    std::uint64_t seed = 3) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const at::TensorOptions whole = at::TensorOptions(at::kLong);
  MicroBatch batch;
  batch.ids = at::empty({num_rows, length}, whole).random_(0, config.vocab_size, generator);
  batch.targets = at::empty({num_rows, length}, whole).random_(0, config.vocab_size, generator);
  batch.coefficients = at::empty({num_rows, length}, at::kDouble).uniform_(0.1, 1.0, generator);
  batch.targets.select(1, length / 2).fill_(-100);
  batch.coefficients.select(1, length / 2).fill_(0.0);
  return batch;
}

inline FccConfig condensation(std::int64_t segment_length) {
  FccConfig fcc;
  fcc.segment_length = segment_length;
  return fcc;
}

inline FccConfig local_global(std::int64_t segment_length, std::int64_t num_local_layers) {
  FccConfig fcc;
  fcc.arch = Architecture::kLocalGlobal;
  fcc.segment_length = segment_length;
  fcc.num_local_layers = num_local_layers;
  return fcc;
}

inline std::unique_ptr<Executor> float64_executor(
    FlatParameters& parameters,
    std::optional<std::int64_t> bptt_segments = std::nullopt) {
  EngineSection engine;
  engine.dtype = ComputeDType::kFloat64;
  engine.bptt_segments = bptt_segments;
  return make_executor(parameters, engine);
}

inline double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

} // namespace fcc::testing
