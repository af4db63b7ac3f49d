#include "fcc/ops/rope.h"

#include <cmath>
#include <numbers>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include "ops/kernels.h"
#include "ops/precision.h"

namespace fcc {
namespace {

double scale_frequency(double frequency, const RopeScaling& scaling) {
  const auto original = static_cast<double>(scaling.original_max_position_embeddings);
  const double wavelength = 2 * std::numbers::pi / frequency; // positions
  if (wavelength < original / scaling.high_freq_factor) {
    return frequency;
  }
  if (wavelength > original / scaling.low_freq_factor) {
    return frequency / scaling.factor;
  }
  const double kept = (original / wavelength - scaling.low_freq_factor) /
                      (scaling.high_freq_factor - scaling.low_freq_factor);
  return (1 - kept) * frequency / scaling.factor + kept * frequency;
}

// One pass over the heads: rows as short as a head make tensor iterators slow.
template <typename T>
at::Tensor rotate_on_cpu(const at::Tensor& x, const RopeTable& table, T sign) {
  const std::int64_t B = x.size(0), P = x.size(1), heads = x.size(2), E = x.size(3), half = E / 2;
  at::Tensor y = at::empty({B, P, heads, E}, x.options());
  const T* source = x.const_data_ptr<T>();
  const T* cos = table.cos.const_data_ptr<T>();
  const T* sin = table.sin.const_data_ptr<T>() + half; // the upper half is without the minus sign
  T* target = y.mutable_data_ptr<T>();
  const std::int64_t row_stride = x.stride(0), token_stride = x.stride(1),
                     head_stride = x.stride(2);
  at::parallel_for(0, B * P, 256, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t token = begin; token < end; ++token) {
      const std::int64_t p = token % P;
      const T* c = cos + p * E;
      const T* s = sin + p * E;
      for (std::int64_t h = 0; h < heads; ++h) {
        const T* in = source + token / P * row_stride + p * token_stride + h * head_stride;
        T* out = target + (token * heads + h) * E;
        for (std::int64_t i = 0; i < half; ++i) {
          out[i] = in[i] * c[i] - sign * in[i + half] * s[i];
          out[i + half] = in[i + half] * c[i] + sign * in[i] * s[i];
        }
      }
    }
  });
  return y;
}

} // namespace

std::vector<double>
rope_frequencies(std::int64_t head_dim, double theta, const std::optional<RopeScaling>& scaling) {
  std::vector<double> frequencies;
  for (std::int64_t i = 0; i < head_dim; i += 2) {
    const double exponent = static_cast<double>(i) / static_cast<double>(head_dim);
    const double frequency = 1.0 / std::pow(theta, exponent);
    frequencies.push_back(scaling ? scale_frequency(frequency, *scaling) : frequency);
  }
  return frequencies;
}

RopeTable RopeTable::slice(std::int64_t start, std::int64_t length) const {
  return {cos.narrow(0, start, length), sin.narrow(0, start, length)};
}

RopeTable make_rope_table(
    const std::vector<double>& frequencies,
    std::int64_t first,
    std::int64_t count,
    const at::TensorOptions& options) {
  const at::TensorOptions exact = at::TensorOptions(at::kDouble);
  const at::Tensor positions = at::arange(first, first + count, exact);              // [P]
  const at::Tensor angles = positions.unsqueeze(1) * at::tensor(frequencies, exact); // [P, E/2]
  const at::Tensor cos = angles.cos(), sin = angles.sin();
  return {at::cat({cos, cos}, 1).to(options), at::cat({-sin, sin}, 1).to(options)};
}

at::Tensor rope_rotate(const at::Tensor& x, const RopeTable& table, RopeDirection direction) {
  const at::NoGradGuard no_grad;
  const at::ScalarType type = table.cos.scalar_type();
  const double sign = direction == RopeDirection::kForward ? 1.0 : -1.0;
  if (x.is_cpu() && x.scalar_type() == type && x.stride(3) == 1 && table.cos.is_contiguous() &&
      table.sin.is_contiguous()) {
    return type == at::kDouble ? rotate_on_cpu<double>(x, table, sign)
                               : rotate_on_cpu<float>(x, table, static_cast<float>(sign));
  }
  const at::Tensor cos = table.cos.unsqueeze(1), sin = table.sin.unsqueeze(1); // [P, 1, E]
  const at::Tensor wide = x.to(type);
  const at::Tensor swapped = wide.roll({x.size(3) / 2}, {-1});
  return wide.mul(cos).addcmul_(swapped, sin, sign).to(x.scalar_type());
}

void rope_in_place(
    at::Tensor x,
    std::int64_t heads,
    const at::Tensor& cos,
    const at::Tensor& sin,
    bool inverse) {
  if (kernel_ops::supports_rope(x, cos)) {
    kernel_ops::rope_in_place(x, heads, cos, sin, inverse);
    return;
  }
  const auto dtype = accumulate_type(x.scalar_type());
  const std::int64_t length = cos.size(0), half = cos.size(1), rows = x.size(1);
  // [C, R/L, L, heads, 2, E/2]: only views, whatever the strides of cells and rows.
  const at::Tensor pairs = x.slice(2, 0, heads * 2 * half)
                               .unflatten(2, {heads, 2, half})
                               .unflatten(1, {rows / length, length});
  at::Tensor first = pairs.select(4, 0), second = pairs.select(4, 1);
  const at::Tensor c = cos.to(dtype).unsqueeze(1); // [L, 1, E/2]
  const at::Tensor s = (inverse ? sin.neg() : sin).to(dtype).unsqueeze(1);
  const at::Tensor a = first.to(dtype), b = second.to(dtype);
  const at::Tensor turned = a * c - b * s;
  const at::Tensor turned_second = b * c + a * s;
  first.copy_(turned);
  second.copy_(turned_second);
}

} // namespace fcc
