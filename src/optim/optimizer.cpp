#include "fcc/optim/optimizer.h"

#include <algorithm>
#include <string>
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

/// Where `first` … lies among the values of `state`, whose ranges hold it.
at::Tensor values_at(const OptimizerState& state, const FlatRange& wanted) {
  std::int64_t before = 0;
  for (const FlatRange& range : state.layout.ranges) {
    if (wanted.first >= range.first && wanted.end <= range.end) {
      return state.values.narrow(0, before + wanted.first - range.first, wanted.end - wanted.first);
    }
    before += range.end - range.first;
  }
  throw Error("optimizer", "a share of `" + state.layout.name + "` must lie in the whole state");
}

} // namespace

StateLayout shared_out(const StateLayout& layout, const std::vector<FlatRange>& ranges) {
  StateLayout share{.name = layout.name, .ranges = {}};
  for (const FlatRange& range : layout.ranges) {
    for (const FlatRange& own : ranges) {
      const FlatRange both{std::max(range.first, own.first), std::min(range.end, own.end)};
      if (both.first < both.end) {
        share.ranges.push_back(both);
      }
    }
  }
  return share;
}

void take_share(const OptimizerState& whole, const OptimizerState& share) {
  for (std::size_t i = 0; i < share.layout.ranges.size(); ++i) {
    share.range(i).copy_(values_at(whole, share.layout.ranges[i]));
  }
}

void put_share(const OptimizerState& share, const OptimizerState& whole) {
  for (std::size_t i = 0; i < share.layout.ranges.size(); ++i) {
    values_at(whole, share.layout.ranges[i]).copy_(share.range(i));
  }
}

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
    : parameters_(parameters), whole_(plan.whole) {
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
    at::DeviceType type,
    std::int64_t rank,
    std::int64_t num_ranks) {
  const OptimizerMaker& maker = maker_of(config.kind);
  if (num_ranks > 1 && !maker.by_element) {
    throw ConfigError(
        "optim.kind",
        "updates whole matrices, which cannot be shared out between ranks",
        std::string(enum_name(config.kind)),
        "use adamw, or one rank");
  }
  OptimizerPlan plan = maker.plan(config, layout, dtype, type);
  plan.whole = plan.states;
  if (num_ranks > 1) {
    const FlatShares shares = FlatShares::cut(layout, num_ranks);
    for (StateLayout& state : plan.states) {
      state = shared_out(state, shares.of(rank));
    }
  }
  return plan;
}

std::unique_ptr<Optimizer> make_optimizer(
    const OptimSection& config,
    FlatParameters& parameters,
    std::int64_t rank,
    std::int64_t num_ranks) {
  check(parameters.grad().defined(), "make_optimizer", "needs parameters that are trained");
  const OptimizerPlan plan = plan_optimizer(
      config,
      parameters,
      dtype_of(parameters),
      parameters.master().device().type(),
      rank,
      num_ranks);
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
