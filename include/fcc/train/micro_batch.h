#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/data/batch.h"
#include "fcc/engine/executor.h"

namespace fcc {

/// Moves a batch to the executor's device.
/// `coefficients`: [B, T] of `loss_coefficients`, stored as `dtype` (float32, or float64 in a
/// float64 run). T is taken from `batch.ids`.
MicroBatch to_micro_batch(
    const Batch& batch,
    const std::vector<double>& coefficients,
    at::Device device,
    at::ScalarType dtype);

/// [B, T] 1 where a counted target (coefficient not 0) is part of an answer, else 0; undefined if
/// there is none.
at::Tensor answer_mask(
    const Batch& batch,
    const std::vector<double>& coefficients,
    at::Device device,
    at::ScalarType dtype);

} // namespace fcc
