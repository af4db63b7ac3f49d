#include "fcc/optim/adamw.h"

#include <algorithm>
#include <cmath>

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>

#include "fcc/core/error.h"
#include "ops/kernels.h"
#include "optim/kinds.h"

namespace fcc {
namespace {

/// Elements of one piece of ATen's form: temporaries of 64 MiB.
constexpr std::int64_t kPiece = std::int64_t{1} << 24;

/// The step's numbers as an element needs them.
template <typename T>
struct Factors {
  T keep, beta1, one_minus_beta1, beta2, one_minus_beta2, step_size, root_scale, eps, grad_scale;

  Factors(const AdamWStep& step, double weight_decay)
      : keep(static_cast<T>(1 - step.lr * weight_decay)),
        beta1(static_cast<T>(step.beta1)),
        one_minus_beta1(static_cast<T>(1 - step.beta1)),
        beta2(static_cast<T>(step.beta2)),
        one_minus_beta2(static_cast<T>(1 - step.beta2)),
        step_size(
            static_cast<T>(step.lr / (1 - std::pow(step.beta1, static_cast<double>(step.update))))),
        root_scale(static_cast<T>(
            1 / std::sqrt(1 - std::pow(step.beta2, static_cast<double>(step.update))))),
        eps(static_cast<T>(step.eps)),
        grad_scale(static_cast<T>(step.grad_scale)) {}
};

template <typename T>
void update_range(
    T* __restrict p,
    const T* __restrict grad,
    T* __restrict m,
    T* __restrict v,
    std::int64_t count,
    const Factors<T> f) {
  for (std::int64_t i = 0; i < count; ++i) {
    const T g = grad[i] * f.grad_scale;
    m[i] = f.beta1 * m[i] + f.one_minus_beta1 * g;
    v[i] = f.beta2 * v[i] + f.one_minus_beta2 * g * g;
    p[i] = p[i] * f.keep - f.step_size * m[i] / (std::sqrt(v[i]) * f.root_scale + f.eps);
  }
}

void update_on_cpu(
    const at::Tensor& master,
    const at::Tensor& grad,
    const at::Tensor& exp_avg,
    const at::Tensor& exp_avg_sq,
    const AdamWStep& step,
    double weight_decay) {
  AT_DISPATCH_FLOATING_TYPES(master.scalar_type(), "adamw", [&] {
    const Factors<scalar_t> factors(step, weight_decay);
    auto* p = master.data_ptr<scalar_t>();
    const auto* g = grad.const_data_ptr<scalar_t>();
    auto* m = exp_avg.data_ptr<scalar_t>();
    auto* v = exp_avg_sq.data_ptr<scalar_t>();
    constexpr std::int64_t kGrain = 32768; // elements: below it a second thread costs more
    at::parallel_for(0, master.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
      update_range(p + first, g + first, m + first, v + first, last - first, factors);
    });
  });
}

/// The same update by ATen, piece by piece so that its temporaries stay small.
void update_by_aten(
    const at::Tensor& master,
    const at::Tensor& grad,
    const at::Tensor& exp_avg,
    const at::Tensor& exp_avg_sq,
    const AdamWStep& step,
    double weight_decay) {
  const Factors<double> f(step, weight_decay);
  for (std::int64_t first = 0; first < master.numel(); first += kPiece) {
    const std::int64_t count = std::min(kPiece, master.numel() - first);
    const at::Tensor g = grad.narrow(0, first, count) * f.grad_scale;
    const at::Tensor m = exp_avg.narrow(0, first, count);
    const at::Tensor v = exp_avg_sq.narrow(0, first, count);
    m.mul_(f.beta1).add_(g, f.one_minus_beta1);
    v.mul_(f.beta2).addcmul_(g, g, f.one_minus_beta2);
    const at::Tensor denominator = v.sqrt().mul_(f.root_scale).add_(f.eps);
    master.narrow(0, first, count).mul_(f.keep).addcdiv_(m, denominator, -f.step_size);
  }
}

/// The update and the bfloat16 copy in one pass of the project's kernel.
void update_with_kernel(
    const at::Tensor& master,
    const at::Tensor& grad,
    const at::Tensor& exp_avg,
    const at::Tensor& exp_avg_sq,
    const at::Tensor& compute,
    const RegionEnds& regions,
    const AdamWStep& step) {
  kernel_ops::AdamwStep numbers{
      .lr = step.lr,
      .beta1 = step.beta1,
      .beta2 = step.beta2,
      .eps = step.eps,
      .weight_decay = step.weight_decay,
      .bias_correction1 = 1 - std::pow(step.beta1, static_cast<double>(step.update)),
      .bias_correction2 = 1 - std::pow(step.beta2, static_cast<double>(step.update)),
      .grad_scale = step.grad_scale};
  const auto region = [&](std::int64_t first, std::int64_t end) {
    const auto part = [&](const at::Tensor& flat) { return flat.slice(0, first, end); };
    if (first < end) {
      kernel_ops::adamw(
          numbers, part(master), part(grad), part(exp_avg), part(exp_avg_sq), part(compute));
    }
  };
  region(0, regions.decay);
  numbers.weight_decay = 0;
  region(regions.decay, regions.no_decay);
}

/// The regions as they lie in a stretch of the flat buffer.
RegionEnds regions_in(const RegionEnds& regions, const FlatRange& range) {
  const auto within = [&](std::int64_t end) {
    return std::clamp(end, range.first, range.end) - range.first;
  };
  return {
      .decay = within(regions.decay),
      .no_decay = within(regions.no_decay),
      .all = within(regions.all)};
}

/// Both states are kept for every element: frozen ones keep zeros.
OptimizerPlan plan_adamw(
    const OptimSection&,
    const FlatParameters& layout,
    ComputeDType dtype,
    at::DeviceType type) {
  const std::vector<FlatRange> all = {{0, layout.regions().all}};
  return {
      .states = {{"exp_avg", all}, {"exp_avg_sq", all}},
      .scratch_bytes = adamw_scratch_bytes(layout.regions().no_decay, dtype, type)};
}

class AdamW : public Optimizer {
 public:
  AdamW(const OptimSection& config, FlatParameters& parameters, const OptimizerPlan& plan)
      : Optimizer(parameters, plan), config_(config) {}

 private:
  void update(double lr, double grad_scale) override {
    adamw_update(
        parameters(), states()[0], states()[1], adamw_step(config_, lr, grad_scale, num_updates()));
  }

  OptimSection config_;
};

} // namespace

void adamw_update(
    const at::Tensor& master,
    const at::Tensor& grad,
    const at::Tensor& exp_avg,
    const at::Tensor& exp_avg_sq,
    const RegionEnds& regions,
    const AdamWStep& step) {
  for (const at::Tensor* tensor : {&master, &grad, &exp_avg, &exp_avg_sq}) {
    check(
        tensor->dim() == 1 && tensor->is_contiguous() && tensor->numel() == regions.all &&
            tensor->scalar_type() == master.scalar_type(),
        "adamw_update",
        "the four buffers must be flat, of one length and dtype");
  }
  const auto update = master.device().is_cpu() ? update_on_cpu : update_by_aten;
  const auto region = [&](std::int64_t first, std::int64_t end, double weight_decay) {
    const std::int64_t count = end - first;
    if (count > 0) {
      update(
          master.narrow(0, first, count),
          grad.narrow(0, first, count),
          exp_avg.narrow(0, first, count),
          exp_avg_sq.narrow(0, first, count),
          step,
          weight_decay);
    }
  };
  region(0, regions.decay, step.weight_decay);
  region(regions.decay, regions.no_decay, 0.0);
}

void adamw_update(
    FlatParameters& parameters,
    const OptimizerState& exp_avg,
    const OptimizerState& exp_avg_sq,
    const AdamWStep& step) {
  for (std::size_t i = 0; i < exp_avg.layout.ranges.size(); ++i) {
    const FlatRange& range = exp_avg.layout.ranges[i];
    const auto part = [&](const at::Tensor& flat) { return flat.slice(0, range.first, range.end); };
    const at::Tensor master = part(parameters.master()), compute = part(parameters.compute());
    const RegionEnds regions = regions_in(parameters.regions(), range);
    const at::Tensor grad = part(parameters.grad());
    if (kernel_ops::supports(compute)) {
      update_with_kernel(
          master, grad, exp_avg.range(i), exp_avg_sq.range(i), compute, regions, step);
      continue;
    }
    adamw_update(master, grad, exp_avg.range(i), exp_avg_sq.range(i), regions, step);
    if (!parameters.compute().is_same(parameters.master())) {
      compute.slice(0, 0, regions.no_decay).copy_(master.slice(0, 0, regions.no_decay));
    }
  }
}

AdamWStep
adamw_step(const OptimSection& config, double lr, double grad_scale, std::int64_t update) {
  return {
      .lr = lr,
      .beta1 = config.beta1,
      .beta2 = config.beta2,
      .eps = config.eps,
      .weight_decay = config.weight_decay,
      .grad_scale = grad_scale,
      .update = update};
}

std::int64_t adamw_scratch_bytes(std::int64_t count, ComputeDType dtype, at::DeviceType type) {
  if (type == at::kCPU || dtype == ComputeDType::kBFloat16) {
    return 0; // one pass, element by element
  }
  constexpr std::int64_t kTemporaries = 2; // the scaled gradient, the denominator
  return std::min(count, kPiece) * kTemporaries * (dtype == ComputeDType::kFloat64 ? 8 : 4);
}

constinit const OptimizerMaker kAdamWMaker = {
    .kind = OptimKind::kAdamW,
    .by_element = true,
    .plan = plan_adamw,
    .make = [](const OptimSection& config,
               FlatParameters& parameters,
               const OptimizerPlan& plan) -> std::unique_ptr<Optimizer> {
      return std::make_unique<AdamW>(config, parameters, plan);
    }};

} // namespace fcc
