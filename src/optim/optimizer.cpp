#include "fcc/optim/optimizer.h"

#include <utility>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <c10/util/accumulate.h>

#include "fcc/core/error.h"
#include "optim/kinds.h"

namespace fcc {
namespace {

const OptimizerMaker& maker_of(OptimKind kind) {
  for (const OptimizerMaker* maker : kOptimizerMakers) {
    if (maker->kind == kind) {
      return *maker;
    }
  }
  throw ConfigError("optim.kind", "must be one of the kinds of optimizers");
}

ComputeDType dtype_of(const FlatParameters& parameters) {
  if (parameters.master().scalar_type() == at::kDouble) {
    return ComputeDType::kFloat64;
  }
  const bool narrow = parameters.compute().scalar_type() == at::kBFloat16;
  return narrow ? ComputeDType::kBFloat16 : ComputeDType::kFloat32;
}

} // namespace

std::int64_t StateLayout::numel() const {
  std::int64_t count = 0;
  for (const FlatRange& range : ranges) {
    count += range.end - range.first;
  }
  return count;
}

at::Tensor OptimizerState::range(std::size_t index) const {
  std::int64_t first = 0;
  for (std::size_t i = 0; i < index; ++i) {
    first += layout.ranges[i].end - layout.ranges[i].first;
  }
  return values.narrow(0, first, layout.ranges.at(index).end - layout.ranges[index].first);
}

Optimizer::Optimizer(FlatParameters& parameters, const OptimizerPlan& plan)
    : parameters_(parameters) {
  for (const StateLayout& layout : plan.states) {
    states_.push_back({layout, at::zeros({layout.numel()}, parameters.master().options())});
  }
}

void Optimizer::step(double lr, double grad_scale) {
  const at::NoGradGuard no_grad;
  ++num_updates_;
  update(lr, grad_scale);
}

OptimizerPlan plan_optimizer(
    const OptimSection& config,
    const FlatParameters& layout,
    ComputeDType dtype,
    at::DeviceType type) {
  return maker_of(config.kind).plan(config, layout, dtype, type);
}

std::unique_ptr<Optimizer> make_optimizer(const OptimSection& config, FlatParameters& parameters) {
  check(parameters.grad().defined(), "make_optimizer", "needs parameters that are trained");
  const OptimizerPlan plan =
      plan_optimizer(config, parameters, dtype_of(parameters), parameters.master().device().type());
  return maker_of(config.kind).make(config, parameters, plan);
}

std::vector<NamedTensor> named_state(const FlatParameters& layout, const OptimizerState& state) {
  std::vector<NamedTensor> result;
  for (const WeightPlace& place : layout.places()) {
    const std::int64_t count = c10::multiply_integers(place.shape);
    std::int64_t before = 0; // elements of the ranges passed by
    for (const FlatRange& range : state.layout.ranges) {
      if (place.offset >= range.first && place.offset + count <= range.end) {
        const std::int64_t first = before + place.offset - range.first;
        result.push_back({place.name, state.values.narrow(0, first, count).view(place.shape)});
        break;
      }
      before += range.end - range.first;
    }
  }
  return result;
}

} // namespace fcc
