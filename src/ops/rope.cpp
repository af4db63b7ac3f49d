#include "fcc/ops/rope.h"

#include <cmath>
#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

namespace fcc {
namespace {

double scale_frequency(double frequency, const RopeLlama3Scaling& scaling) {
  const auto original = static_cast<double>(scaling.original_length_tokens);
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

} // namespace

std::vector<double> rope_frequencies(
    std::int64_t head_dim,
    double theta,
    const std::optional<RopeLlama3Scaling>& scaling) {
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

at::Tensor rope(const at::Tensor& x, const RopeTable& table) {
  if (x.scalar_type() != table.cos.scalar_type()) {
    return rope(x.to(table.cos.scalar_type()), table).to(x.scalar_type());
  }
  const at::Tensor cos = table.cos.unsqueeze(1), sin = table.sin.unsqueeze(1); // [P, 1, E]
  return (x * cos).addcmul_(x.roll({x.size(-1) / 2}, {-1}), sin);
}

} // namespace fcc
