#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/data/batch.h"
#include "fcc/engine/executor.h"
#include "fcc/io/safetensors.h"
#include "fcc/model/parameters.h"

namespace fcc {

/// One file of golden values: a tiny model, its input, and what must come out.
struct GoldenCase {
  explicit GoldenCase(const std::filesystem::path& path);

  /// Every case of `FCC_GOLDEN_DIR`, or of tests/golden.
  static std::vector<std::filesystem::path> all();

  SafetensorsFile file;
  ModelConfig config;
  LossKind loss = LossKind::kSegmentMeanSum;
  std::optional<std::int64_t> bptt_segments;
  at::Tensor ids;    ///< [B, T] int64
  at::Tensor logits; ///< [B, T, V] float64
  double loss_value = 0;

  /// The weights of the file in a flat buffer.
  std::unique_ptr<FlatParameters> parameters(ComputeDType dtype) const;
  /// The whole input as one micro-batch with its coefficients, in the master's dtype.
  MicroBatch micro_batch(ComputeDType dtype) const;
  at::Tensor grad(const std::string& name) const; ///< float64
};

} // namespace fcc
