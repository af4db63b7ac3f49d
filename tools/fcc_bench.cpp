// fcc-bench: measures training steps on random tokens.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <ATen/Functions.h>
#include <CLI/CLI.hpp>

#include "common/program.h"
#include "fcc/config/model_config.h"
#include "fcc/core/error.h"
#include "fcc/engine/executor.h"
#include "fcc/model/parameters.h"
#include "fcc/optim/adamw.h"
#include "fcc/optim/grad_norm.h"
#include "fcc/train/memory_use.h"

namespace {

using Clock = std::chrono::steady_clock;

struct TrainBench {
  std::string preset = "table-1";
  std::int64_t segment_length = 512; // 0: plain Llama
  std::vector<std::int64_t> tokens{16384};
  std::int64_t batch = 1;
  std::int64_t steps = 10, warmup = 3;
  std::string execution = "fused", schedule = "wavefront", attention = "auto", dtype = "bfloat16";
  std::int64_t chunk_segments = 0;
  bool host_boundaries = false;
  std::string device = "cuda";
};

/// Floating-point operations of one training step's products: 6 a weight and token, and attention
/// over the visible keys (forward 4·E·H a visible pair, backward 2.5 times as much).
double step_flops(const fcc::ModelConfig& c, std::int64_t batch, std::int64_t tokens) {
  const double D = static_cast<double>(c.hidden_size), N = static_cast<double>(c.num_hidden_layers);
  const double q = static_cast<double>(c.num_attention_heads * c.head_dim);
  const double kv = 2.0 * static_cast<double>(c.num_key_value_heads * c.head_dim);
  const double F = static_cast<double>(c.intermediate_size), V = static_cast<double>(c.vocab_size);
  const double T = static_cast<double>(tokens), B = static_cast<double>(batch);
  const bool llama = !c.fcc;
  const double L = llama ? T : static_cast<double>(c.fcc->segment_length);
  const double memory_kv = llama ? 0.0 : D * kv * (T - L) / T;
  const double products = N * (D * (q + kv) + memory_kv + q * D + 3 * D * F) + D * V;
  const double pairs = llama ? (T + 1) / 2 : (L + 1) / 2 + L * (T - L) / T; // a query
  return B * T * (6 * products + N * 14 * pairs * q);
}

template <typename E>
E enum_from(const std::string& name, const char* option) {
  for (const auto& [known, value] : fcc::EnumNames<E>::value) {
    if (known == name) {
      return value;
    }
  }
  throw fcc::ConfigError(option, "is not a known value", name);
}

/// Rate of a large product on the device, TFLOP/s: what a step is measured against.
double product_tflops(const TrainBench& bench, at::ScalarType dtype) {
  const std::int64_t size = bench.device == "cpu" ? 1024 : 8192;
  const auto options = at::TensorOptions().dtype(dtype).device(at::Device(bench.device));
  const at::Tensor a = at::randn({size, size}, options), b = at::randn({size, size}, options);
  at::Tensor c = at::mm(a, b);
  c[0][0].item<double>();
  const int repeats = 10;
  const auto start = Clock::now();
  for (int i = 0; i < repeats; ++i) {
    at::mm_out(c, a, b);
  }
  c[0][0].item<double>();
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count() / repeats;
  return 2.0 * std::pow(static_cast<double>(size), 3) / seconds * 1e-12;
}

struct Timing {
  double min = 0, median = 0, max = 0; ///< seconds a step
};

Timing time_steps(const TrainBench& bench, const fcc::ModelConfig& model, std::int64_t tokens) {
  const at::Device device(bench.device);
  fcc::FlatParameters parameters(
      model, enum_from<fcc::ComputeDType>(bench.dtype, "--dtype"), device, /*seed=*/1);
  fcc::EngineSection engine;
  engine.device = bench.device;
  engine.dtype = enum_from<fcc::ComputeDType>(bench.dtype, "--dtype");
  engine.execution = enum_from<fcc::Execution>(bench.execution, "--execution");
  engine.schedule = enum_from<fcc::Schedule>(bench.schedule, "--schedule");
  engine.attention = enum_from<fcc::AttentionBackend>(bench.attention, "--attention");
  if (bench.chunk_segments > 0) {
    engine.chunk_segments = bench.chunk_segments;
  }
  engine.boundary_memory_on_host = bench.host_boundaries;
  const auto executor = fcc::make_executor(parameters, engine);
  fcc::OptimSection optim;
  fcc::AdamW adamw(parameters, optim);
  fcc::MicroBatch batch;
  const auto whole = at::TensorOptions().dtype(at::kLong).device(device);
  batch.ids = at::randint(model.vocab_size, {bench.batch, tokens}, whole);
  batch.targets = at::randint(model.vocab_size, {bench.batch, tokens}, whole);
  batch.coefficients = at::full(
      {bench.batch, tokens},
      1.0 / static_cast<double>(bench.batch * tokens),
      at::TensorOptions().dtype(at::kFloat).device(device));
  std::vector<double> seconds;
  for (std::int64_t i = 0; i < bench.warmup + bench.steps; ++i) {
    const auto start = Clock::now();
    parameters.grad().zero_();
    executor->train(batch);
    const double norm = std::sqrt(fcc::squared_norm(parameters.grad()).item<double>());
    adamw.step(1e-6, norm > 1 ? 1 / norm : 1);
    parameters.master()[0].item<float>(); // waits for the device
    if (i >= bench.warmup) {
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
  }
  std::sort(seconds.begin(), seconds.end());
  return {seconds.front(), seconds[seconds.size() / 2], seconds.back()};
}

int run(const TrainBench& bench) {
  fcc::ModelConfig model = fcc::model_preset(bench.preset);
  if (bench.segment_length > 0) {
    model.fcc.emplace();
    model.fcc->segment_length = bench.segment_length;
  }
  const auto dtype = bench.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat;
  const double peak = product_tflops(bench, dtype);
  std::printf(
      "%s, %s, B %lld, %s, %s; a large product runs at %.0f TFLOP/s\n"
      "%10s %10s %10s %22s %9s %8s %10s\n",
      bench.preset.c_str(),
      bench.segment_length > 0 ? ("L " + std::to_string(bench.segment_length)).c_str()
                               : "full attention",
      static_cast<long long>(bench.batch),
      bench.execution.c_str(),
      bench.schedule.c_str(),
      peak,
      "tokens",
      "tokens/s",
      "ms/step",
      "min..max ms",
      "TFLOP/s",
      "of peak",
      "peak GiB");
  for (const std::int64_t tokens : bench.tokens) {
    const Timing timing = time_steps(bench, model, tokens);
    const double rate = step_flops(model, bench.batch, tokens) / timing.median * 1e-12;
    std::printf(
        "%10lld %10.0f %10.2f %11.2f..%9.2f %9.1f %7.1f%% %10.2f\n",
        static_cast<long long>(tokens),
        static_cast<double>(bench.batch * tokens) / timing.median,
        timing.median * 1e3,
        timing.min * 1e3,
        timing.max * 1e3,
        rate,
        100 * rate / peak,
        static_cast<double>(fcc::peak_memory_bytes(at::Device(bench.device))) / 0x1p30);
    std::fflush(stdout);
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  CLI::App app("Measures libfcc on this machine", "fcc-bench");
  app.require_subcommand(1);
  TrainBench bench;
  CLI::App* train = app.add_subcommand(
      "train", "Whole training steps (forward, backward, norm, AdamW) on random tokens");
  train->add_option("--preset", bench.preset, "table-1, llama-3.2-1b or llama-3.2-3b")
      ->capture_default_str();
  train->add_option("--segment-length", bench.segment_length, "L; 0: full attention")
      ->capture_default_str();
  train->add_option("--tokens", bench.tokens, "Tokens a sequence, several allowed")
      ->delimiter(',')
      ->capture_default_str();
  train->add_option("--batch", bench.batch, "Sequences a step")->capture_default_str();
  train->add_option("--steps", bench.steps, "Measured steps (the median is shown)")
      ->capture_default_str();
  train->add_option("--warmup", bench.warmup, "Steps before them")->capture_default_str();
  train->add_option("--execution", bench.execution, "fused or reference")->capture_default_str();
  train->add_option("--schedule", bench.schedule, "wavefront or sequential")->capture_default_str();
  train->add_option("--attention", bench.attention, "Backend of the reference")
      ->capture_default_str();
  train->add_option("--dtype", bench.dtype, "bfloat16, float32 or float64")->capture_default_str();
  train->add_option("--chunk-segments", bench.chunk_segments, "Segments a chunk; 0: keep all")
      ->capture_default_str();
  train->add_flag(
      "--host-boundaries", bench.host_boundaries, "Memory between chunks in host memory");
  train->add_option("--device", bench.device, "cuda or cpu")->capture_default_str();
  return fcc::tools::run_program(app, argc, argv, [&] { return run(bench); });
}
