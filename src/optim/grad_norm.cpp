#include "fcc/optim/grad_norm.h"

#include <algorithm>
#include <vector>

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/square.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"
#include "ops/kernels.h"

namespace fcc {
namespace {

/// Elements of one partial sum: the order of additions follows from this and the length.
constexpr std::int64_t kBlock = 16384;
/// The same where ATen computes it.
constexpr std::int64_t kPiece = std::int64_t{1} << 25;

template <typename T>
double block_sum(const T* values, std::int64_t count) {
  // Four running sums: independent additions that the processor can overlap.
  double sums[4] = {};
  for (std::int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<double>(values[i]);
    sums[i & 3] += value * value;
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

template <typename T>
double squared_norm_on_cpu(const T* values, std::int64_t count) {
  const std::int64_t num_blocks = (count + kBlock - 1) / kBlock;
  std::vector<double> partial(static_cast<std::size_t>(num_blocks));
  at::parallel_for(0, num_blocks, 4, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t block = first; block < last; ++block) {
      const std::int64_t start = block * kBlock;
      partial[static_cast<std::size_t>(block)] =
          block_sum(values + start, std::min(kBlock, count - start));
    }
  });
  double sum = 0;
  for (const double value : partial) {
    sum += value;
  }
  return sum;
}

} // namespace

at::Tensor squared_norm(const at::Tensor& flat) {
  check(flat.dim() == 1 && flat.is_contiguous(), "squared_norm", "needs a contiguous flat buffer");
  if (kernel_ops::supports_squared_sum(flat)) {
    return kernel_ops::squared_sum(flat);
  }
  if (!flat.device().is_cpu()) {
    // ATen widens its whole input first: piece by piece, that copy stays at 256 MiB.
    at::Tensor sum = at::zeros({}, flat.options().dtype(at::kDouble));
    for (std::int64_t first = 0; first < flat.numel(); first += kPiece) {
      const at::Tensor piece = flat.narrow(0, first, std::min(kPiece, flat.numel() - first));
      sum.add_(at::linalg_vector_norm(piece, 2, {}, false, at::kDouble).square());
    }
    return sum;
  }
  double sum = 0;
  AT_DISPATCH_FLOATING_TYPES(flat.scalar_type(), "squared_norm", [&] {
    sum = squared_norm_on_cpu(flat.const_data_ptr<scalar_t>(), flat.numel());
  });
  return at::scalar_tensor(sum, at::TensorOptions().dtype(at::kDouble));
}

double clip_factor(double norm, double clip) {
  return clip > 0 && norm > clip ? clip / norm : 1.0;
}

} // namespace fcc
