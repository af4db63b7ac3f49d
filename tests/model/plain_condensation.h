#pragma once

#include <cmath>
#include <functional>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/polar.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/view_as_complex.h>
#include <ATen/ops/view_as_real.h>

#include "fcc/model/parameters.h"

namespace fcc::testing {

/// A second, slow writing of the default condensation, for one row and in float64: the rotation as
/// a product of complex numbers, one head at a time, memory cut where the caller says.
struct PlainCondensation {
  ModelConfig config;
  ModelWeights weights;

  static at::Tensor norm(const at::Tensor& x, const at::Tensor& weight) {
    return x / (x.pow(2).mean(-1, true) + 1e-5).sqrt() * weight;
  }

  at::Tensor rotate(const at::Tensor& x, std::int64_t first) const { // [P, E]
    const std::int64_t half = x.size(1) / 2;
    const at::Tensor positions = at::arange(first, first + x.size(0), at::kDouble).unsqueeze(1);
    const at::Tensor exponents = at::arange(half, at::kDouble) / static_cast<double>(half);
    const at::Tensor angles = positions * (exponents * -std::log(config.rope_theta)).exp();
    const at::Tensor pairs =
        at::stack({x.narrow(1, 0, half), x.narrow(1, half, half)}, -1).contiguous();
    const at::Tensor turned = at::view_as_real(
        at::view_as_complex(pairs) * at::polar(at::ones_like(angles), angles)); // [P, E/2, 2]
    return at::cat({turned.select(-1, 0), turned.select(-1, 1)}, 1);
  }

  at::Tensor layer(std::int64_t n, const at::Tensor& x, const at::Tensor& memory) const { // [L, D]
    const StackWeights& w = weights.layers;
    const std::int64_t H = config.num_attention_heads, G = config.num_key_value_heads;
    const std::int64_t E = config.head_dim, L = x.size(0);
    const at::Tensor a = norm(x, w.input_layernorm[n]);
    const at::Tensor c = memory.defined() ? at::cat({norm(memory, w.input_layernorm[n]), a}) : a;
    const std::int64_t num_memory = c.size(0) - L;
    const at::Tensor forbidden =
        at::full({L, c.size(0)}, -std::numeric_limits<double>::infinity(), at::kDouble)
            .triu(num_memory + 1);
    std::vector<at::Tensor> heads;
    for (std::int64_t h = 0; h < H; ++h) {
      const std::int64_t g = h * G / H;
      const auto rows = [&](std::int64_t start) {
        return w.qkv_proj[n].narrow(0, start * E, E).t();
      };
      const at::Tensor q = rotate(at::matmul(a, rows(h)), num_memory);
      const at::Tensor k = rotate(at::matmul(c, rows(H + g)), 0);
      const at::Tensor v = at::matmul(c, rows(H + G + g));
      const at::Tensor scores = at::matmul(q, k.t()) / std::sqrt(static_cast<double>(E));
      heads.push_back(at::matmul((scores + forbidden).softmax(-1), v));
    }
    const at::Tensor y = x + at::matmul(at::cat(heads, 1), w.o_proj[n].t());
    const at::Tensor z = norm(y, w.post_attention_layernorm[n]);
    const std::int64_t F = config.intermediate_size;
    const at::Tensor gate = at::matmul(z, w.gate_up_proj[n].narrow(0, 0, F).t());
    const at::Tensor up = at::matmul(z, w.gate_up_proj[n].narrow(0, F, F).t());
    return y + at::matmul(at::silu(gate) * up, w.down_proj[n].t());
  }

  /// Logits [T, V] of one row; `cut(s)`: no gradient flows from segment s into the one before.
  at::Tensor logits(const at::Tensor& ids, const std::function<bool(std::int64_t)>& cut) const {
    const std::int64_t L = config.fcc->segment_length, T = ids.size(0);
    std::vector<at::Tensor> memory(static_cast<std::size_t>(config.num_hidden_layers)), outputs;
    for (std::int64_t s = 0; s * L < T; ++s) {
      at::Tensor x =
          weights.embed_tokens.index_select(0, ids.narrow(0, s * L, std::min(L, T - s * L)));
      for (std::int64_t n = 0; n < config.num_hidden_layers; ++n) {
        at::Tensor& m = memory[static_cast<std::size_t>(n)];
        x = layer(n, x, m.defined() && cut(s) ? m.detach() : m);
        m = x;
      }
      outputs.push_back(x);
    }
    return at::matmul(norm(at::cat(outputs), weights.norm), weights.lm_head.t());
  }
};

} // namespace fcc::testing
