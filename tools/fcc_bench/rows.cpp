// The kernels beside attention, which move bytes: rms_norm, rope, swiglu, AdamW, the norm.

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include "fcc/ops/rms_norm.h"
#include "fcc/ops/rope.h"
#include "fcc/ops/swiglu.h"
#include "fcc/optim/adamw.h"
#include "fcc/optim/grad_norm.h"
#include "fcc/optim/optimizer.h"
#include "fcc_bench/kernels.h"
#include "fcc_bench/step.h"

namespace fcc::tools {
namespace {

constexpr int kLaunches = 12;

struct RowKernel {
  std::string name;
  double bytes = 0; ///< read and written once each, weights left out
  std::function<void(int)> launch;
};

} // namespace

std::vector<RowResult>
bench_rows(std::int64_t width, std::int64_t rows, at::Device device, int rounds) {
  const at::ScalarType dtype = device.is_cpu() ? at::kFloat : at::kBFloat16;
  const auto options = at::TensorOptions(device).dtype(dtype);
  const auto wide = options.dtype(at::kFloat);
  const double element = static_cast<double>(c10::elementSize(dtype));
  const double matrix = element * static_cast<double>(rows * width);
  constexpr std::int64_t kHeadDim = 64;
  const at::Tensor x = at::randn({1, rows, width}, options);
  const at::Tensor grad = at::randn({1, rows, width}, options);
  const at::Tensor out = at::zeros({1, rows, width}, options);
  const at::Tensor both = at::zeros({1, 2 * rows, width}, options);
  const at::Tensor hidden = at::randn({1, rows, width}, options);
  const at::Tensor pair = at::randn({1, rows, 2 * width}, options);
  const at::Tensor weight = at::randn({1, width}, options);
  const at::Tensor grad_weight = at::zeros({1, width}, wide);
  const at::Tensor cos = at::randn({rows, kHeadDim / 2}, wide);
  const at::Tensor sin = at::randn({rows, kHeadDim / 2}, wide);

  std::vector<RowKernel> kernels;
  kernels.push_back({"rms_norm", 2 * matrix, [=](int) { rms_norm_forward(x, weight, 1e-5, out); }});
  kernels.push_back({"rms_norm, memory too", 4 * matrix, [=](int) {
                       rms_norm_forward_with_memory(grad, weight, x, weight, 1e-5, both);
                     }});
  kernels.push_back({"rms_norm backward", 4 * matrix, [=](int) {
                       rms_norm_backward(grad, x, weight, 1e-5, x, {.grad = out}, grad_weight);
                     }});
  kernels.push_back({"swiglu", 3 * matrix, [=](int) { swiglu_forward(pair, out); }});
  // It turns both of its arguments into others; what they hold does not matter here.
  kernels.push_back(
      {"swiglu backward", 6 * matrix, [=](int) { swiglu_backward_in_place(hidden, pair); }});
  kernels.push_back({"rope", 2 * matrix, [=](int) {
                       rope_in_place(out, width / kHeadDim, cos, sin, /*inverse=*/false);
                     }});
  // Gradient and the three states in float32, all but the gradient written too, and the bf16 copy.
  const bool copies = dtype == at::kBFloat16;
  const auto parameters = std::make_shared<FlatParameters>(
      bench_model(device.is_cpu() ? "tiny" : "table-1", 0),
      copies ? ComputeDType::kBFloat16 : ComputeDType::kFloat32,
      device,
      /*seed=*/1);
  const std::shared_ptr<Optimizer> adamw = make_optimizer({.kind = OptimKind::kAdamW}, *parameters);
  kernels.push_back(
      {"adamw",
       static_cast<double>(parameters->master().numel()) * (4.0 * 7 + (copies ? 2.0 : 0.0)),
       [parameters, adamw](int) { adamw->step(1e-9, 1.0); }});
  kernels.push_back(
      {"gradient's norm", static_cast<double>(parameters->grad().nbytes()), [parameters](int) {
         squared_norm(parameters->grad());
       }});

  std::vector<std::unique_ptr<TimedSeries>> series;
  std::vector<TimedSeries*> in_turns;
  for (const RowKernel& kernel : kernels) {
    series.push_back(record_series(device, device.is_cpu() ? 1 : kLaunches, kernel.launch));
    in_turns.push_back(series.back().get());
  }
  const std::vector<LaunchTime> times = time_in_turns(in_turns, rounds);
  std::vector<RowResult> results;
  for (std::size_t i = 0; i < kernels.size(); ++i) {
    results.push_back({kernels[i].name, kernels[i].bytes * 1e-9, times[i]});
  }
  return results;
}

} // namespace fcc::tools
