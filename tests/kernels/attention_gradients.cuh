#pragma once

#include <array>
#include <string>
#include <vector>

#include "attention_case.cuh"

/// A backward problem on the device and its gradients by plain arithmetic.
namespace fcc::kernels::testing {

/// Packed float64 copies of the gradients, [C, B, rows, heads, E].
struct Gradients {
  std::vector<double> dq;
  std::vector<double> dk_mem;
  std::vector<double> dv_mem;
  std::vector<double> dk_cur;
  std::vector<double> dv_cur;

  /// Names and members, for loops over all of them.
  [[nodiscard]] std::array<std::pair<const char*, const std::vector<double>*>, 5> all() const {
    return {
        {{"dq", &dq},
         {"dk_mem", &dk_mem},
         {"dv_mem", &dv_mem},
         {"dk_cur", &dk_cur},
         {"dv_cur", &dv_cur}}};
  }
};

/// Inputs of a backward. The forward's results come from the float64 reference, rounded, so that
/// nothing here depends on the forward kernel. The gradients lie in two shared buffers with padded
/// rows, poisoned when made, like the inputs in AttentionData.
class GradientData {
 public:
  explicit GradientData(const AttentionCase& c);

  /// Writes `current` and `memory`.
  [[nodiscard]] MemoryAttentionBackwardParams params() const;

  /// Poisons everything that a launch writes, the workspace too.
  void poison();

  /// What a launch wrote. Throws if it also wrote to the padding of the rows.
  [[nodiscard]] Gradients written() const;

  /// Plain gradients of the same inputs. kLowPrecision rounds P and dS to bf16 as a kernel on
  /// tensor cores must, takes O as rounded by the forward, and rounds the result.
  [[nodiscard]] Gradients reference(ReferenceMath math) const;

  /// All bytes of `current` and `memory`.
  [[nodiscard]] std::vector<uint16_t> bits() const;

  AttentionData data;
  DeviceArray<__nv_bfloat16> grad_out; // layout of data.out
  DeviceArray<double> exact_lse;       // [C, B, H, Lq]
  DeviceArray<__nv_bfloat16> current;  // [C, B, Lq, current_row]: dq | dk | dv | padding
  DeviceArray<__nv_bfloat16> memory;   // [C, B, Lm, memory_row]: dk | dv | padding
  DeviceArray<uint8_t> workspace;
};

} // namespace fcc::kernels::testing
