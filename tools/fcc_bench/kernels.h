#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc_bench/device.h"

namespace fcc::tools {

/// Median and extremes over the rounds, milliseconds a launch.
struct LaunchTime {
  double median = 0, min = 0, max = 0;
};

/// Runs every series once a round, one after another, so that clocks and heat fall on all alike;
/// one round before is not counted.
std::vector<LaunchTime> time_in_turns(const std::vector<TimedSeries*>& series, int rounds);

/// One shape of memory attention: cells (batch rows) of L queries over Lm + L keys.
struct AttentionShape {
  std::int64_t cells = 16, head_dim = 64, length = 512, num_heads = 32, num_kv_heads = 8;
  std::int64_t num_memory = -1; ///< Lm; -1: L

  std::int64_t memory() const {
    return num_memory < 0 ? length : num_memory;
  }
  /// Operations that the mask leaves: 4·E a visible pair and head; backward 2.5 times as many.
  double forward_flops() const;
};

/// How one backend did on one shape.
struct AttentionResult {
  std::string backend;
  std::string refusal; ///< why it was not measured; empty: it was
  double error = 0;    ///< largest of output, dq, dk, dv against float64, relative
  double allowed = 0;  ///< twice the error of the same maths in plain operators of the dtype
  bool right() const {
    return error <= allowed;
  }
  bool same_work = true; ///< false: another mask, shown for comparison
  LaunchTime forward, backward;
};

struct AttentionBenchOptions {
  std::vector<std::string> backends; ///< fcc, flash, cudnn, …; see `attention_backends`
  int rounds = 7;
};

/// Names of the backends, in the order of the table.
std::vector<std::string> attention_backends();

/// Checks, then times every backend in turns. Errors: `Error` from a kernel that fails to launch.
std::vector<AttentionResult> bench_attention(
    const AttentionShape& shape,
    at::Device device,
    const AttentionBenchOptions& options);

/// One of the row kernels: bytes that it must read and write against its time.
struct RowResult {
  std::string name;
  double gigabytes = 0; ///< a launch
  LaunchTime time;
};

/// rms_norm, rope, swiglu and AdamW over rows like those of one diagonal.
std::vector<RowResult>
bench_rows(std::int64_t width, std::int64_t rows, at::Device device, int rounds);

} // namespace fcc::tools
