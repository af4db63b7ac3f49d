// Memory attention, every backend on one shape: right first, then timed in turns.

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>

#include "fcc/core/error.h"
#include "fcc/ops/memory_attention.h"
#include "fcc_bench/kernels.h"

namespace fcc::tools {
namespace {

constexpr double kColdBytes = 128e6; // of inputs that take turns: more than twice an H100's L2
constexpr int kMostInputs = 24;
constexpr int kLaunches = 24;
constexpr double kSmallestError = 1e-3; // what counts as equal in bfloat16, as in the tests

struct Backend {
  const char* name;
  AttentionKernel kernel;
  VisibleKeys visible;
  SumOrder order;
};

constexpr Backend kBackends[] = {
    {"fcc", AttentionKernel::kFcc, VisibleKeys::kCausal, SumOrder::kFixed},
    {"flash", AttentionKernel::kFlash, VisibleKeys::kCausal, SumOrder::kAny},
    {"cudnn", AttentionKernel::kCudnn, VisibleKeys::kCausal, SumOrder::kFixed},
    {"cudnn-any-order", AttentionKernel::kCudnn, VisibleKeys::kCausal, SumOrder::kAny},
    {"cudnn-no-mask", AttentionKernel::kCudnn, VisibleKeys::kAll, SumOrder::kAny},
    {"reference", AttentionKernel::kReference, VisibleKeys::kCausal, SumOrder::kFixed}};

const Backend& backend_of(const std::string& name) {
  for (const Backend& backend : kBackends) {
    if (backend.name == name) {
      return backend;
    }
  }
  throw ConfigError("--backends", "is not a known backend", name);
}

struct Inputs {
  at::Tensor q, k, v, grad_out; // [cells, L, H, E], twice [cells, Lm + L, G, E], as q
};

Inputs random_inputs(const AttentionShape& s, const at::TensorOptions& options) {
  const auto normal = [&](std::int64_t length, std::int64_t heads) {
    return at::randn({s.cells, length, heads, s.head_dim}, options.dtype(at::kFloat)).to(options);
  };
  const std::int64_t keys = s.memory() + s.length;
  return {
      normal(s.length, s.num_heads),
      normal(keys, s.num_kv_heads),
      normal(keys, s.num_kv_heads),
      normal(s.length, s.num_heads)};
}

AttentionMask mask_of(
    const AttentionShape& s,
    VisibleKeys visible,
    AttentionKernel kernel,
    const at::TensorOptions& options) {
  AttentionMask mask = make_attention_mask(s.length, s.memory(), {}, kernel, options);
  if (visible == VisibleKeys::kAll && mask.bias.defined()) {
    mask.bias.zero_();
  }
  return mask;
}

/// The reference on inputs that autograd follows: its forward pass, and its backward by itself.
struct ReferencePass {
  at::Tensor q, k, v, out, grad_out;

  ReferencePass(const AttentionShape& s, const Inputs& in, VisibleKeys visible) {
    const at::AutoGradMode with_grad(true);
    q = in.q.detach().requires_grad_(true);
    k = in.k.detach().requires_grad_(true);
    v = in.v.detach().requires_grad_(true);
    grad_out = in.grad_out;
    const auto mask = mask_of(s, visible, AttentionKernel::kReference, q.options());
    out = memory_attention(q, k, v, mask, AttentionKernel::kReference);
  }
  std::vector<at::Tensor> backward() {
    for (at::Tensor* leaf : {&q, &k, &v}) {
      leaf->mutable_grad() = at::Tensor();
    }
    out.backward(grad_out, /*retain_graph=*/true);
    return {out.detach(), q.grad(), k.grad(), v.grad()};
  }
};

/// Output, dq, dk and dv of one cell as the plain operators give them in `dtype`.
std::vector<at::Tensor> plain_results(
    AttentionShape s,
    const Inputs& in,
    std::int64_t cell,
    at::ScalarType dtype,
    VisibleKeys visible) {
  const auto cut = [&](const at::Tensor& x) { return x.narrow(0, cell, 1).to(dtype); };
  s.cells = 1;
  ReferencePass pass(s, {cut(in.q), cut(in.k), cut(in.v), cut(in.grad_out)}, visible);
  return pass.backward();
}

double relative_error(const at::Tensor& actual, const at::Tensor& exact) {
  return (actual.to(at::kDouble) - exact).norm().item<double>() / exact.norm().item<double>();
}

/// A backend ready to run on inputs that take turns.
class Runner {
 public:
  Runner(const AttentionShape& shape, const Backend& backend, const std::vector<Inputs>& inputs)
      : shape_(shape), backend_(backend), choice_(backend.kernel), inputs_(inputs) {
    options_.visible = backend.visible;
    options_.order = backend.order;
    for (const Inputs& in : inputs_) {
      if (backend_.kernel == AttentionKernel::kReference) {
        references_.push_back(std::make_unique<ReferencePass>(shape_, in, backend_.visible));
      } else {
        forwards_.push_back(choice_.attention->forward_rows(in.q, in.k, in.v, options_));
      }
    }
  }

  void forward(int launch) const {
    const Inputs& in = inputs_[index(launch)];
    if (backend_.kernel == AttentionKernel::kReference) {
      const ReferencePass& pass = *references_[index(launch)];
      const at::NoGradGuard no_grad;
      memory_attention(pass.q, pass.k, pass.v, reference_mask(), AttentionKernel::kReference);
    } else {
      choice_.attention->forward_rows(in.q, in.k, in.v, options_);
    }
  }

  /// Output, dq, dk, dv of the launch's inputs; all but the first are new.
  std::vector<at::Tensor> backward(int launch) const {
    const std::size_t i = index(launch);
    if (backend_.kernel == AttentionKernel::kReference) {
      return references_[i]->backward();
    }
    const Inputs& in = inputs_[i];
    const AttentionGradients grads =
        choice_.attention->backward_rows(in.q, in.k, in.v, forwards_[i], in.grad_out, options_);
    return {forwards_[i].out, grads.q, grads.k, grads.v};
  }

 private:
  std::size_t index(int launch) const {
    return static_cast<std::size_t>(launch) % inputs_.size();
  }
  AttentionMask reference_mask() const {
    return mask_of(shape_, backend_.visible, backend_.kernel, inputs_[0].q.options());
  }

  AttentionShape shape_;
  Backend backend_;
  AttentionChoice choice_;
  AttentionRowOptions options_;
  const std::vector<Inputs>& inputs_;
  std::vector<AttentionForward> forwards_;
  std::vector<std::unique_ptr<ReferencePass>> references_;
};

/// Against float64 over the first and the last cell: the whole launch is what is checked.
void check_against_float64(
    AttentionResult& result,
    const Runner& runner,
    const Backend& backend,
    const AttentionShape& shape,
    const Inputs& in) {
  const std::vector<at::Tensor> actual = runner.backward(0);
  for (const std::int64_t cell : {std::int64_t{0}, shape.cells - 1}) {
    const auto exact = plain_results(shape, in, cell, at::kDouble, backend.visible);
    const auto plain = plain_results(shape, in, cell, in.q.scalar_type(), backend.visible);
    for (std::size_t i = 0; i < exact.size(); ++i) {
      const double error = relative_error(actual[i].narrow(0, cell, 1), exact[i]);
      const double allowed = 2 * relative_error(plain[i], exact[i]) + kSmallestError;
      const bool nearer = result.allowed == 0 || error / allowed > result.error / result.allowed;
      if (result.right() && (nearer || std::isnan(error))) {
        result.error = error; // the one that is nearest to its bound, or the first beyond it
        result.allowed = allowed;
      }
    }
  }
}

} // namespace

double AttentionShape::forward_flops() const {
  const double L = static_cast<double>(length), Lm = static_cast<double>(memory());
  return 4 * (L * Lm + L * (L + 1) / 2) * static_cast<double>(head_dim * num_heads * cells);
}

std::vector<std::string> attention_backends() {
  std::vector<std::string> names;
  for (const Backend& backend : kBackends) {
    names.emplace_back(backend.name);
  }
  return names;
}

std::vector<LaunchTime> time_in_turns(const std::vector<TimedSeries*>& series, int rounds) {
  std::vector<std::vector<double>> times(series.size());
  for (int round = -1; round < rounds; ++round) {
    for (std::size_t i = 0; i < series.size(); ++i) {
      const double milliseconds = series[i]->milliseconds();
      if (round >= 0) {
        times[i].push_back(milliseconds);
      }
    }
  }
  std::vector<LaunchTime> result;
  for (std::vector<double>& all : times) {
    std::sort(all.begin(), all.end());
    result.push_back({all[all.size() / 2], all.front(), all.back()});
  }
  return result;
}

std::vector<AttentionResult> bench_attention(
    const AttentionShape& shape,
    at::Device device,
    const AttentionBenchOptions& options) {
  const at::ScalarType dtype = device.is_cpu() ? at::kFloat : at::kBFloat16;
  const auto tensors = at::TensorOptions(device).dtype(dtype);
  const double bytes = static_cast<double>(shape.cells * shape.head_dim) *
                       static_cast<double>(
                           shape.length * shape.num_heads * 2 +
                           2 * (shape.memory() + shape.length) * shape.num_kv_heads) *
                       static_cast<double>(c10::elementSize(dtype));
  const int num_inputs =
      device.is_cpu() ? 1
                      : std::clamp(static_cast<int>(std::ceil(kColdBytes / bytes)), 2, kMostInputs);
  std::vector<Inputs> inputs;
  for (int i = 0; i < num_inputs; ++i) {
    inputs.push_back(random_inputs(shape, tensors));
  }

  std::vector<AttentionResult> results;
  std::vector<std::size_t> timed; // indices of `results`
  std::vector<std::unique_ptr<Runner>> runners;
  std::vector<std::unique_ptr<TimedSeries>> forward, backward;
  const int launches = device.is_cpu() ? 1 : kLaunches;
  for (const std::string& name : options.backends) {
    const Backend& backend = backend_of(name);
    AttentionResult result;
    result.backend = name;
    result.same_work = backend.visible == VisibleKeys::kCausal;
    const auto refusal =
        attention_refusal(backend.kernel, attention_use(device, dtype, shape.head_dim));
    if (refusal) {
      result.refusal = refusal->rule + "; got " + refusal->value;
      results.push_back(result);
      continue;
    }
    try {
      runners.push_back(std::make_unique<Runner>(shape, backend, inputs));
      const Runner& runner = *runners.back();
      check_against_float64(result, runner, backend, shape, inputs[0]);
      forward.push_back(record_series(device, launches, [&runner](int i) { runner.forward(i); }));
      backward.push_back(record_series(device, launches, [&runner](int i) { runner.backward(i); }));
      timed.push_back(results.size());
    } catch (const Error& error) { // cuDNN may have no engine for a shape: the others go on
      forward.resize(timed.size());
      backward.resize(timed.size());
      result.refusal = error.what();
    }
    results.push_back(result);
  }
  for (const bool is_forward : {true, false}) {
    std::vector<TimedSeries*> series;
    for (const auto& one : is_forward ? forward : backward) {
      series.push_back(one.get());
    }
    const std::vector<LaunchTime> times = time_in_turns(series, options.rounds);
    for (std::size_t i = 0; i < timed.size(); ++i) {
      (is_forward ? results[timed[i]].forward : results[timed[i]].backward) = times[i];
    }
  }
  return results;
}

} // namespace fcc::tools
