// Muon for the matrices in the layers, AdamW for every other weight.
//
// Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks":
//
//     M ← μM + g       U = g + μM (nesterov) or M       g = grad_scale · grad
//     O = NewtonSchulz(U) ≈ P Qᵀ, where U = P Σ Qᵀ
//     W ← W·(1 − lr·decay) − lr · 0.2·√max(rows, columns) · O
//
// The factor is that of Liu et al., arXiv 2502.16982, section 2.2: entries of an update are about
// as large as AdamW's, so that its learning rate and decay carry over. A matrix is a Hugging Face
// one: q_proj, k_proj and v_proj, or gate_proj and up_proj, which lie in one stacked tensor, are
// orthogonalised one by one; all layers of a kind as one batch.

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/ops/baddbmm.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <c10/util/accumulate.h>

#include "fcc/optim/adamw.h"
#include "optim/kinds.h"

namespace fcc {
namespace {

/// The factors of X ← aX + bXXᵀX + c(XXᵀ)²X: singular values come near 1 in five steps, though not
/// to it (Jordan's).
constexpr double kA = 3.4445, kB = -4.7750, kC = 2.0315;
/// Elements of the layers that are orthogonalised at once, where a layer has fewer.
constexpr std::int64_t kPiece = std::int64_t{1} << 24;

std::int64_t layers_at_once(std::int64_t num_layers, std::int64_t matrix_elements) {
  return std::clamp<std::int64_t>(kPiece / matrix_elements, 1, num_layers);
}

std::int64_t numel(const StackedMatrices& stack) {
  return stack.num_layers * c10::sum_integers(stack.rows) * stack.columns;
}

/// On a GPU in a bfloat16 run the products are in bfloat16, as Jordan's are; else in the master's
/// type.
bool is_narrow(ComputeDType dtype, at::DeviceType type) {
  return dtype == ComputeDType::kBFloat16 && type != at::kCPU;
}

/// [n, p, c] → the same, each matrix with singular values near 1. Takes the argument's memory.
at::Tensor orthogonalised(at::Tensor x, std::int64_t num_steps, at::ScalarType type) {
  const at::Tensor norm = at::linalg_vector_norm(x, 2, at::IntArrayRef({1, 2}), /*keepdim=*/true);
  x.div_(norm.add_(1e-7));
  x = x.to(type);
  const bool is_tall = x.size(1) > x.size(2);
  x = is_tall ? x.transpose(1, 2) : x; // [n, m, k], m ≤ k
  for (std::int64_t i = 0; i < num_steps; ++i) {
    const at::Tensor square = at::bmm(x, x.transpose(1, 2)); // [n, m, m]
    const at::Tensor factor = at::baddbmm(square, square, square, kB, kC);
    x = at::baddbmm(x, factor, x, kA, 1.0);
  }
  return is_tall ? x.transpose(1, 2) : x;
}

/// The matrices of the layers, with the gaps behind them, and every other weight that is trained.
struct Shares {
  std::vector<FlatRange> matrices, rest;
};

Shares shares_of(const FlatParameters& layout) {
  const std::int64_t end = layout.regions().no_decay;
  Shares shares;
  for (const StackedMatrices& stack : layout.layer_matrices()) {
    const std::int64_t own_end = stack.offset + numel(stack);
    std::int64_t next = end;
    for (const WeightPlace& place : layout.places()) {
      next = place.offset >= own_end ? std::min(next, place.offset) : next;
    }
    if (!shares.matrices.empty() && shares.matrices.back().end == stack.offset) {
      shares.matrices.back().end = next;
    } else {
      shares.matrices.push_back({stack.offset, next});
    }
  }
  std::int64_t first = 0;
  for (const FlatRange& range : shares.matrices) {
    if (range.first > first) {
      shares.rest.push_back({first, range.first});
    }
    first = range.end;
  }
  if (end > first) {
    shares.rest.push_back({first, end});
  }
  return shares;
}

OptimizerPlan plan_muon(
    const OptimSection&,
    const FlatParameters& layout,
    ComputeDType dtype,
    at::DeviceType type) {
  const Shares shares = shares_of(layout);
  OptimizerPlan plan;
  plan.states = {
      {"momentum", shares.matrices}, {"exp_avg", shares.rest}, {"exp_avg_sq", shares.rest}};
  plan.scratch_bytes = adamw_scratch_bytes(plan.states[1].numel(), dtype, type);
  const std::int64_t wide = dtype == ComputeDType::kFloat64 ? 8 : 4;
  const std::int64_t element = is_narrow(dtype, type) ? 2 : wide;
  for (const StackedMatrices& stack : layout.layer_matrices()) {
    for (const std::int64_t rows : stack.rows) {
      const std::int64_t n = layers_at_once(stack.num_layers, rows * stack.columns);
      const std::int64_t values = n * rows * stack.columns;
      const std::int64_t side = std::min(rows, stack.columns);
      const std::int64_t start = values * (wide + (element < wide ? element : 0));
      const std::int64_t step = 2 * (values + n * side * side) * element;
      plan.scratch_bytes = std::max({plan.scratch_bytes, start, step});
    }
  }
  return plan;
}

class Muon : public Optimizer {
 public:
  Muon(const OptimSection& config, FlatParameters& parameters, const OptimizerPlan& plan)
      : Optimizer(parameters, plan), config_(config) {
    const OptimizerState& momentum = states()[0];
    for (const StackedMatrices& place : parameters.layer_matrices()) {
      for (std::size_t i = 0; i < momentum.layout.ranges.size(); ++i) {
        const FlatRange& range = momentum.layout.ranges[i];
        if (place.offset >= range.first && place.offset < range.end) {
          stacks_.push_back({place, view(momentum.range(i), place, place.offset - range.first)});
        }
      }
    }
  }

 private:
  struct Stack {
    StackedMatrices place;
    at::Tensor momentum; // [N, Σ rows, columns]
  };
  struct Matrices {
    at::Tensor master, compute, grad, momentum; // [n, rows, columns]
  };

  static at::Tensor view(const at::Tensor& flat, const StackedMatrices& at, std::int64_t offset) {
    return flat.narrow(0, offset, numel(at)).view({at.num_layers, -1, at.columns});
  }

  void update(double lr, double grad_scale) override {
    for (const Stack& stack : stacks_) {
      update_stack(stack, lr, grad_scale);
    }
    adamw_update(
        parameters(), states()[1], states()[2], adamw_step(config_, lr, grad_scale, num_updates()));
  }

  void update_stack(const Stack& stack, double lr, double grad_scale) {
    const StackedMatrices& place = stack.place;
    const at::Tensor master = view(parameters().master(), place, place.offset);
    const at::Tensor compute = view(parameters().compute(), place, place.offset);
    const at::Tensor grad = view(parameters().grad(), place, place.offset);
    std::int64_t row = 0;
    for (const std::int64_t rows : place.rows) {
      const std::int64_t most = layers_at_once(place.num_layers, rows * place.columns);
      for (std::int64_t layer = 0; layer < place.num_layers; layer += most) {
        const std::int64_t count = std::min(most, place.num_layers - layer);
        const auto part = [&](const at::Tensor& whole) {
          return whole.narrow(0, layer, count).narrow(1, row, rows);
        };
        update_matrices(
            {.master = part(master),
             .compute = part(compute),
             .grad = part(grad),
             .momentum = part(stack.momentum)},
            lr,
            grad_scale);
      }
      row += rows;
    }
  }

  void update_matrices(const Matrices& matrices, double lr, double grad_scale) {
    const auto& [master, compute, grad, momentum] = matrices;
    at::Tensor direction = grad.mul(grad_scale);
    momentum.mul_(config_.momentum).add_(direction);
    if (config_.nesterov) {
      direction.add_(momentum, config_.momentum);
    } else {
      direction.copy_(momentum);
    }
    const double size =
        0.2 * std::sqrt(static_cast<double>(std::max(direction.size(1), direction.size(2))));
    const bool narrow = compute.scalar_type() == at::kBFloat16 && !compute.device().is_cpu();
    const at::Tensor step = orthogonalised(
        std::move(direction), config_.ns_steps, narrow ? at::kBFloat16 : master.scalar_type());
    master.mul_(1 - lr * config_.weight_decay).add_(step, -lr * size);
    if (!parameters().compute().is_same(parameters().master())) {
      compute.copy_(master);
    }
  }

  OptimSection config_;
  std::vector<Stack> stacks_;
};

} // namespace

constinit const OptimizerMaker kMuonMaker = {
    .kind = OptimKind::kMuon,
    .by_element = false,
    .plan = plan_muon,
    .make = [](const OptimSection& config, FlatParameters& parameters, const OptimizerPlan& plan)
        -> std::unique_ptr<Optimizer> { return std::make_unique<Muon>(config, parameters, plan); }};

} // namespace fcc
