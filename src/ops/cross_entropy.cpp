#include "fcc/ops/cross_entropy.h"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/dot.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "ops/kernels.h"
#include "ops/linear.h"
#include "ops/precision.h"

namespace fcc {
namespace {

constexpr std::int64_t kChunkLogits = std::int64_t{1} << 26;
constexpr std::int64_t kChunkLogitsBf16 = std::int64_t{1} << 29; // 1 GiB
constexpr std::int64_t kProductTile = 256;                       // rows

// gradᵀ · rows goes where `target` says, which may be wider than the two.
void put_weight_gradient(
    const GradTarget& target,      // [V, D]
    const at::Tensor& grad_logits, // [C, V]
    const at::Tensor& rows) {      // [C, D]
  const bool adds = target.mode == GradInput::kAccumulate;
  at::Tensor grad = target.grad;
  if (grad.scalar_type() == rows.scalar_type()) {
    grad.addmm_(grad_logits.t(), rows, /*beta=*/adds ? 1 : 0);
  } else if (adds) {
    grad.add_(at::mm(grad_logits.t(), rows));
  } else {
    grad.copy_(at::mm(grad_logits.t(), rows));
  }
}

/// How the chunk that starts at `start` goes into the weight's gradient.
GradTarget weight_target(
    const at::Tensor& grad_weight,
    const CrossEntropyOptions& options,
    std::int64_t start) {
  return {grad_weight, start == 0 ? options.weight_mode : GradInput::kAccumulate};
}

/// The same sweep where the project's kernels run: logits stay bfloat16, their gradient takes
/// their place, and chunks are long enough for the weight's float32 product (4,096 tokens at a
/// vocabulary of 128,256).
CrossEntropyResult sweep_with_kernels(
    const at::Tensor& hidden,
    const at::Tensor& weight,
    const at::Tensor& targets,
    const at::Tensor& coefficients,
    const at::Tensor& grad_weight,
    const CrossEntropyOptions& options,
    bool with_gradient) {
  const at::NoGradGuard no_grad;
  const std::int64_t M = hidden.size(0), V = weight.size(0);
  const std::int64_t chunk = options.chunk_tokens > 0
                                 ? std::min(M, options.chunk_tokens)
                                 : head_chunk_tokens(M, V, /*with_kernels=*/true);
  const auto sums = hidden.options().dtype(at::kFloat);
  const at::Tensor factors = coefficients.to(sums).contiguous();
  const at::Tensor all_targets = targets.contiguous();
  CrossEntropyResult result;
  result.token_losses = at::empty({M}, sums);
  if (with_gradient) {
    result.grad_hidden = at::empty_like(hidden);
  }
  const bool fits = options.workspace.defined() && options.workspace.numel() >= chunk * V;
  const at::Tensor buffer = fits ? options.workspace.slice(0, 0, chunk * V).view({chunk, V})
                                 : at::empty({chunk, V}, hidden.options());
  for (std::int64_t start = 0; start < M; start += chunk) {
    const std::int64_t count = std::min(chunk, M - start);
    const at::Tensor rows = hidden.narrow(0, start, count); // [C, D]
    at::Tensor logits = buffer.narrow(0, 0, count);         // [C, V]
    at::mm_out(logits, rows, weight.t());
    kernel_ops::cross_entropy(
        logits,
        all_targets.narrow(0, start, count),
        factors.narrow(0, start, count),
        result.token_losses.narrow(0, start, count),
        with_gradient);
    if (with_gradient) {
      at::Tensor grad_rows = result.grad_hidden.narrow(0, start, count);
      at::mm_out(grad_rows, logits, weight);
      if (grad_weight.defined()) {
        linear_backward_weight(logits, rows, weight_target(grad_weight, options, start));
      }
    }
  }
  result.loss = result.token_losses.dot(factors);
  return result;
}

CrossEntropyResult sweep(
    const at::Tensor& hidden,
    const at::Tensor& weight,
    const at::Tensor& targets,
    const at::Tensor& coefficients,
    const at::Tensor& grad_weight,
    const CrossEntropyOptions& options,
    bool with_gradient) {
  if (kernel_ops::supports_cross_entropy(weight)) {
    return sweep_with_kernels(
        hidden, weight, targets, coefficients, grad_weight, options, with_gradient);
  }
  const at::NoGradGuard no_grad;
  const std::int64_t M = hidden.size(0);
  const at::ScalarType wide = accumulate_type(hidden.scalar_type());
  const std::int64_t chunk = options.chunk_tokens > 0
                                 ? options.chunk_tokens
                                 : head_chunk_tokens(M, weight.size(0), /*with_kernels=*/false);

  CrossEntropyResult result;
  result.loss = at::zeros({}, hidden.options().dtype(wide));
  result.token_losses = at::zeros({M}, hidden.options().dtype(wide));
  if (with_gradient) {
    result.grad_hidden = at::empty_like(hidden);
  }
  for (std::int64_t start = 0; start < M; start += chunk) {
    const std::int64_t count = std::min(chunk, M - start);            // C
    const at::Tensor rows = hidden.narrow(0, start, count);           // [C, D]
    const at::Tensor chunk_targets = targets.narrow(0, start, count); // [C]
    const at::Tensor counted = chunk_targets.ge(0);
    const at::Tensor index = chunk_targets.clamp_min(0).unsqueeze(1); // [C, 1]
    at::Tensor logits = at::mm(rows, weight.t()).to(wide);            // [C, V]
    const at::Tensor log_sum = at::logsumexp(logits, {1}, true);      // [C, 1]
    const at::Tensor losses = (log_sum - logits.gather(1, index)).squeeze(1).mul_(counted);
    const at::Tensor factors = coefficients.narrow(0, start, count).to(wide).mul(counted); // [C]
    result.token_losses.narrow(0, start, count).copy_(losses);
    result.loss.add_(losses.dot(factors));
    if (with_gradient) {
      const at::Tensor column = factors.unsqueeze(1); // [C, 1]
      logits.sub_(log_sum).exp_().mul_(column).scatter_add_(1, index, column.neg());
      const at::Tensor grad_logits = logits.to(hidden.scalar_type());
      result.grad_hidden.narrow(0, start, count).copy_(at::mm(grad_logits, weight));
      if (grad_weight.defined()) {
        put_weight_gradient(weight_target(grad_weight, options, start), grad_logits, rows);
      }
    }
  }
  return result;
}

} // namespace

std::int64_t
head_chunk_tokens(std::int64_t num_tokens, std::int64_t vocab_size, bool with_kernels) {
  const std::int64_t logits = with_kernels ? kChunkLogitsBf16 : kChunkLogits;
  const std::int64_t most = std::max<std::int64_t>(logits / vocab_size, 64);
  if (num_tokens <= most || most < kProductTile) {
    return std::min(num_tokens, most);
  }
  return most / kProductTile * kProductTile; // whole tiles of the products
}

std::int64_t head_workspace_elements(const at::Tensor& weight, std::int64_t num_tokens) {
  return kernel_ops::supports_cross_entropy(weight)
             ? head_chunk_tokens(num_tokens, weight.size(0), true) * weight.size(0)
             : 0;
}

CrossEntropyResult linear_cross_entropy(
    const at::Tensor& hidden,
    const at::Tensor& weight,
    const at::Tensor& targets,
    const at::Tensor& coefficients,
    const CrossEntropyOptions& options) {
  return sweep(hidden, weight, targets, coefficients, {}, options, false);
}

CrossEntropyResult linear_cross_entropy_with_gradient(
    const at::Tensor& hidden,
    const at::Tensor& weight,
    const at::Tensor& targets,
    const at::Tensor& coefficients,
    const at::Tensor& grad_weight,
    const CrossEntropyOptions& options) {
  return sweep(hidden, weight, targets, coefficients, grad_weight, options, true);
}

} // namespace fcc
