#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "memory_attention/memory_attention.h"

/// Random problems for tests and timings of the attention kernels, in the awkward layouts of a
/// trainer: queries, keys and values of the current segment share one buffer, so do keys and values
/// of the memory, rows are padded, and cells may run backwards. Torch-free.
namespace fcc::kernels::testing {

inline void check_cuda(cudaError_t error, const char* what) {
  if (error != cudaSuccess) {
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error));
  }
}

/// Device memory that frees itself.
template <class T>
class DeviceArray {
 public:
  DeviceArray() = default;
  explicit DeviceArray(size_t size) : size_(size) {
    if (size > 0) {
      check_cuda(cudaMalloc(reinterpret_cast<void**>(&data_), size * sizeof(T)), "cudaMalloc");
    }
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  DeviceArray(DeviceArray&& other) noexcept : data_(other.data_), size_(other.size_) {
    other.data_ = nullptr;
    other.size_ = 0;
  }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~DeviceArray() {
    cudaFree(data_);
  }

  [[nodiscard]] T* data() const {
    return data_;
  }
  [[nodiscard]] size_t size() const {
    return size_;
  }
  /// Every byte 0xFF: NaN in each floating-point type.
  void poison() {
    check_cuda(cudaMemset(data_, 0xFF, size_ * sizeof(T)), "cudaMemset");
  }
  [[nodiscard]] std::vector<T> to_host() const {
    std::vector<T> host(size_);
    check_cuda(cudaMemcpy(host.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost), "copy");
    return host;
  }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

enum class MemoryPattern { kAll, kNone, kMixed };

struct AttentionCase {
  MemoryAttentionShape shape;
  MemoryPattern pattern = MemoryPattern::kAll;
  float input_scale = 1.0F;     // standard deviation of queries and keys
  bool backwards_cells = false; // negative cell strides
  uint64_t seed = 1;

  [[nodiscard]] std::string name() const;
};

/// A case on the device. Outputs are poisoned when made.
class AttentionData {
 public:
  explicit AttentionData(const AttentionCase& c);

  /// Parameters of the forward over this data, writing `out` and `lse`.
  [[nodiscard]] MemoryAttentionForwardParams forward_params() const;

  /// As `forward_params`, writing elsewhere with the layout of `out` and `lse`.
  [[nodiscard]] MemoryAttentionForwardParams forward_params_into(__nv_bfloat16* out, float* lse)
      const;

  [[nodiscard]] const MemoryAttentionShape& shape() const {
    return problem.shape;
  }

  AttentionCase problem;
  int64_t current_row = 0; // row strides in elements
  int64_t memory_row = 0;
  int64_t out_row = 0;
  DeviceArray<__nv_bfloat16> current; // [C, B, Lq, current_row]: q | k | v | padding
  DeviceArray<__nv_bfloat16> memory;  // [C, B, Lm, memory_row]: k | v | padding
  DeviceArray<__nv_bfloat16> out;     // [C, B, Lq, out_row]: H*E | padding
  DeviceArray<float> lse;             // [C, B, H, Lq]
  DeviceArray<uint8_t> has_memory;    // [C, B]
};

/// Whether the current device can run the kernels.
inline bool has_hopper() {
  int device = 0;
  int major = 0;
  return cudaGetDevice(&device) == cudaSuccess &&
         cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) == cudaSuccess &&
         major == 9;
}

/// How a reference computes.
enum class ReferenceMath {
  kDouble,      // float64 throughout
  kLowPrecision // float32, probabilities and output rounded to bf16
};

/// Plain attention, one block a row. `out` is packed [C, B, Lq, H, E], `lse` [C, B, H, Lq].
void reference_forward(
    const MemoryAttentionForwardParams& params,
    ReferenceMath math,
    double* out,
    double* lse);

/// ||a - b|| / ||b|| and max |a - b| over a bf16 tensor of `params.out`'s layout and a packed
/// float64 one.
struct Difference {
  double relative = 0.0;
  double largest = 0.0;
};
Difference difference(const std::vector<double>& value, const std::vector<double>& reference);

/// Host copy of a strided bf16 tensor [C, B, rows, heads, E] as packed float64.
std::vector<double> packed_to_host(
    const void* data,
    const AttentionStrides& strides,
    const MemoryAttentionShape& shape,
    int num_rows,
    int num_heads);

} // namespace fcc::kernels::testing
