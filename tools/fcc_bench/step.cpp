#include "fcc_bench/step.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <CLI/CLI.hpp>

#include "fcc/config/field.h"
#include "fcc/core/error.h"
#include "fcc/engine/make_executor.h"
#include "fcc/optim/grad_norm.h"
#include "fcc/train/estimate.h"

namespace fcc::tools {
namespace {

using Clock = std::chrono::steady_clock;

template <typename E>
E enum_from(const std::string& name, const char* option) {
  std::string known;
  for (const auto& [candidate, value] : EnumNames<E>::value) {
    if (candidate == name) {
      return value;
    }
    known.append(known.empty() ? "" : ", ").append(candidate);
  }
  throw ConfigError(option, "must be one of " + known, name);
}

EngineSection engine_of(const StepOptions& options, const StepCase& shape) {
  EngineSection engine;
  engine.device = options.device;
  engine.dtype = dtype_from_option(options.dtype, device_from_name(options.device, "--device"));
  engine.execution = enum_from<Execution>(options.execution, "--execution");
  engine.attention = enum_from<AttentionBackend>(options.attention, "--attention");
  engine.kernels = enum_from<KernelSet>(options.kernels, "--kernels");
  engine.schedule = enum_from<Schedule>(shape.schedule, "--schedule");
  engine.activations = enum_from<Activations>(shape.activations, "--activations");
  if (options.chunk_segments > 0) {
    engine.chunk_segments = options.chunk_segments;
  }
  engine.boundary_memory_on_host = options.host_boundaries;
  engine.cuda_graphs = options.cuda_graphs;
  engine.layer_ranks = options.layer_ranks;
  return engine;
}

RankGrid grid_of(const StepOptions& options) {
  EngineSection engine;
  engine.layer_ranks = options.layer_ranks;
  return RankGrid::of(options.ranks->size(), engine);
}

} // namespace

void add_step_options(CLI::App& app, StepOptions& options) {
  app.add_option(
         "--preset",
         options.preset,
         "table-1, smollm2-135m, llama-3.2-1b, llama-3.2-3b, llama-8b (the shape of 3.1), or tiny "
         "for "
         "a trial")
      ->capture_default_str()
      ->group("Model");
  app.add_option("--dtype", options.dtype, "bfloat16, float32, float64; auto: by device")
      ->capture_default_str()
      ->group("Model");
  app.add_option("--execution", options.execution, "fused or reference")
      ->capture_default_str()
      ->group("Engine");
  app.add_option(
         "--attention", options.attention, "Attention backend: auto, fcc, flash, cudnn, reference")
      ->capture_default_str()
      ->group("Engine");
  app.add_option(
         "--kernels",
         options.kernels,
         "fused: hopper (compute capability 9.0), portable (8.0 or later), or auto")
      ->capture_default_str()
      ->group("Engine");
  app.add_option("--chunk-segments", options.chunk_segments, "Segments a chunk; 0: keep all")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->group("Engine");
  app.add_option(
         "--weight-rows", options.weight_rows, "Rows of one weight product; 0: as training has it")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group("Engine");
  app.add_flag("--host-boundaries", options.host_boundaries, "Memory between chunks on the host")
      ->group("Engine");
  app.add_flag(
         "--cuda-graphs,!--no-cuda-graphs",
         options.cuda_graphs,
         "Record a chunk's launches and replay them (the default), or not")
      ->group("Engine");
  app.add_option(
         "--layer-ranks",
         options.layer_ranks,
         "Of several ranks (docs/several_gpus.md): how many split the layers of one model")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Engine");
  app.add_option("--device", options.device, "auto, cuda, cuda:N or cpu")
      ->capture_default_str()
      ->group("Measuring");
  app.add_option("--steps", options.steps, "Measured steps; the median is shown")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->group("Measuring");
  app.add_option("--warmup", options.warmup, "Steps before them")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber)
      ->group("Measuring");
}

ModelConfig bench_model(const std::string& preset, std::int64_t segment_length) {
  ModelConfig model;
  if (preset == "tiny") {
    model.vocab_size = 256;
    model.hidden_size = 64;
    model.intermediate_size = 192;
    model.num_hidden_layers = 2;
    model.num_attention_heads = 4;
    model.num_key_value_heads = 2;
    model.head_dim = 16;
  } else if (preset == "smollm2-135m") {
    model.vocab_size = 49152;
    model.hidden_size = 576;
    model.intermediate_size = 1536;
    model.num_hidden_layers = 30;
    model.num_attention_heads = 9;
    model.num_key_value_heads = 3;
    model.head_dim = 64;
    model.tie_word_embeddings = true;
  } else if (preset == "llama-8b") {
    model.vocab_size = 128256;
    model.hidden_size = 4096;
    model.intermediate_size = 14336;
    model.num_hidden_layers = 32;
    model.num_attention_heads = 32;
    model.num_key_value_heads = 8;
    model.head_dim = 128;
    model.tie_word_embeddings = false;
  } else {
    try {
      model = model_preset(preset);
    } catch (const ConfigError& error) {
      throw ConfigError(
          "--preset",
          error.rule() + ", `smollm2-135m`, `llama-8b`, `tiny`",
          error.value(),
          error.hint());
    }
  }
  if (segment_length > 0) {
    model.fcc.emplace();
    model.fcc->segment_length = segment_length;
  } else {
    model.fcc.reset();
  }
  return model;
}

std::string architecture_name(std::int64_t segment_length) {
  return segment_length > 0 ? "L " + std::to_string(segment_length) : "full attention";
}

// At plain initial weights the gradient through hundreds of segments leaves bfloat16's range
// (docs/performance.md), and products of what is not finite run faster than any others.
constexpr InitScales kInit{.layers = 0.3, .outputs = 0.1};

TrainingStep::TrainingStep(const StepOptions& options, const StepCase& shape)
    : device_(device_from_name(options.device, "--device")),
      ranks_(options.ranks),
      copies_(ranks_),
      copy_(single_process()),
      parameters_(
          bench_model(options.preset, shape.segment_length),
          dtype_from_option(options.dtype, device_),
          device_,
          /*seed=*/1,
          /*freeze=*/{},
          kInit,
          stage_of_rank(
              bench_model(options.preset, shape.segment_length),
              grid_of(options),
              ranks_->rank())) {
  if (options.layer_ranks > 1) {
    const bool one_copy = grid_of(options).num_copies == 1;
    const std::int64_t stage = ranks_->rank() % options.layer_ranks;
    copies_ = one_copy ? single_process() : ranks_->group(stage);
    copy_ = one_copy ? ranks_ : ranks_->group(ranks_->rank() / options.layer_ranks);
    link_ = link_stages(*copy_);
  }
  EnginePlan plan = plan_for(parameters_, engine_of(options, shape));
  if (options.weight_rows > 0) {
    plan.weight_product_rows = options.weight_rows;
  }
  executor_ = make_executor(parameters_, plan, link_.get());
  optimizer_ = make_optimizer(OptimSection(), parameters_, copies_->rank(), copies_->size());
  exchange_ = std::make_unique<WeightExchange>(*copies_, parameters_);
  const auto whole = at::TensorOptions().dtype(at::kLong).device(device_);
  const std::int64_t vocabulary = parameters_.config().vocab_size;
  batch_.ids = at::randint(vocabulary, {shape.batch, shape.tokens}, whole);
  batch_.targets = at::randint(vocabulary, {shape.batch, shape.tokens}, whole);
  const bool wide = parameters_.master().scalar_type() == at::kDouble;
  batch_.coefficients = at::full(
      {shape.batch, shape.tokens},
      1.0 / static_cast<double>(shape.batch * shape.tokens),
      whole.dtype(wide ? at::kDouble : at::kFloat));
}

double TrainingStep::gradient_norm() {
  at::Tensor sum;
  for (const FlatRange& range : exchange_->shares().of(copies_->rank())) {
    const at::Tensor part = squared_norm(parameters_.grad().slice(0, range.first, range.end));
    sum = sum.defined() ? sum + part : part;
  }
  ranks_->all_reduce(sum);
  ranks_->wait_for_device();
  return std::sqrt(sum.item<double>());
}

/// As a run does it: the last stage trains it, the first one has a copy.
void TrainingStep::share_tied_embedding() {
  if (link_ == nullptr || !parameters_.config().tie_word_embeddings) {
    return;
  }
  exchange_->finish_gathering();
  const at::Tensor weight = parameters_.view(parameters_.compute()).embed_tokens;
  if (link_->is_last()) {
    copy_->send(weight, 0);
  } else if (link_->is_first()) {
    copy_->receive(weight, copy_->size() - 1);
  }
}

void TrainingStep::run() {
  executor_->clear_gradients();
  executor_->train(batch_, exchange_->hooks(/*last_pass=*/true));
  exchange_->finish_sums();
  const double norm = gradient_norm();
  optimizer_->step(1e-6, norm > 1 ? 1 / norm : 1);
  exchange_->begin_gathering();
  share_tied_embedding();
  if (ranks_->size() == 1) {
    synchronize(device_);
  }
  finite_ = finite_ && std::isfinite(norm);
}

void TrainingStep::finish() {
  exchange_->finish_gathering();
  synchronize(device_);
}

StepTiming measure_steps(
    const StepOptions& options,
    const StepCase& shape,
    const std::function<void(TrainingStep&, const StepTiming&)>& after) {
  const at::Device device = device_from_name(options.device, "--device");
  reset_peak(device);
  const std::int64_t before = device.is_cpu() ? peak_bytes(device) : 0;
  TrainingStep step(options, shape);
  std::vector<double> seconds;
  for (std::int64_t i = 0; i < options.warmup + options.steps; ++i) {
    const auto start = Clock::now();
    step.run();
    if (i >= options.warmup) {
      seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
  }
  step.finish();
  std::sort(seconds.begin(), seconds.end());
  StepTiming timing;
  timing.min = seconds.front();
  timing.median = seconds[seconds.size() / 2];
  timing.max = seconds.back();
  timing.peak_bytes = std::max<std::int64_t>(peak_bytes(device) - before, 1);
  timing.finite = step.finite();
  timing.num_copies = grid_of(options).num_copies;
  timing.flops = training_flops(step.config(), shape.batch, shape.tokens) /
                 static_cast<double>(options.layer_ranks);
  if (after) {
    after(step, timing);
    step.finish();
  }
  return timing;
}

} // namespace fcc::tools
