#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/config/model_config.h"

namespace fcc {

/// [E/2] Radians per position of each pair: theta^(-2i/E). Where scaling is asked for, wavelengths
/// over original / low_freq_factor are stretched by `factor`, those under original /
/// high_freq_factor are kept, those between are interpolated.
std::vector<double> rope_frequencies(
    std::int64_t head_dim,
    double theta,
    const std::optional<RopeScaling>& scaling = std::nullopt);

/// Rotations for P consecutive positions, ready for `rope`.
struct RopeTable {
  at::Tensor cos; ///< [P, E]: cos of pair i at columns i and i + E/2
  at::Tensor sin; ///< [P, E]: -sin of pair i at column i, +sin at i + E/2

  /// Rows [start, start + length) as views.
  RopeTable slice(std::int64_t start, std::int64_t length) const;
};

/// The table of positions first, …, first + count - 1 (negative ones too). Angles are products and
/// cosines in float64, rounded once to the options' dtype: exact at positions of a million.
RopeTable make_rope_table(
    const std::vector<double>& frequencies, // [E/2]
    std::int64_t first,
    std::int64_t count,
    const at::TensorOptions& options);

/// Rotates pairs (i, i + E/2) of the last dimension (Hugging Face's layout) by the angles of the
/// token's position, in the table's dtype (float32 at least for x in bfloat16). Differentiable in
/// x.
at::Tensor rope(
    const at::Tensor& x,     // [B, P, heads, E], last dimension contiguous
    const RopeTable& table); // [P, E]

enum class RopeDirection { kForward, kBackward };

/// The rotation by itself, not recorded by autograd; backward: by the opposite angles, which is the
/// gradient of the forward.
at::Tensor rope_rotate(const at::Tensor& x, const RopeTable& table, RopeDirection direction);

/// Rotates pairs (i, i + E/2) of the first `heads` heads in place; `inverse` turns back, which is
/// also the gradient's way. x [C, R, ≥ heads·E], strided in cells and rows; cos, sin [L, E/2] in
/// float32 (float64); row r has position r mod L.
void rope_in_place(
    at::Tensor x,
    std::int64_t heads,
    const at::Tensor& cos,
    const at::Tensor& sin,
    bool inverse);

} // namespace fcc
