#include "fcc_train/dry_run.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include "fcc/config/describe_config.h"
#include "fcc/config/write_config.h"
#include "fcc/model/device.h"
#include "fcc/train/estimate.h"
#include "fcc/train/human_numbers.h"
#include "fcc/train/memory_use.h"
#include "fcc/train/ranks.h"
#include "fcc/train/trainer.h"
#include "fcc_train/missing_paths.h"

namespace fcc::tools {
namespace {

/// Steps above it are not run for a measurement: minutes on two CPU cores.
constexpr double kMostFlops = 1e12;

/// What a step reaches of a large product's rate, at worst and at best, on models of this kind
/// (docs/performance.md; on a CPU much the same).
constexpr double kWorstShare = 0.25, kBestShare = 0.6;

using Clock = std::chrono::steady_clock;
using Checkpoint = std::optional<std::filesystem::path>;

/// For which card, or from which checkpoint, a run is planned.
struct Plan {
  const Card* card = nullptr; ///< null: this machine
  at::Device device = at::kCPU;
  Checkpoint checkpoint;
  std::optional<TrainerState> saved;
  std::int64_t num_ranks = 1;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double seconds_a_token(const RunConfig& config, const Checkpoint& checkpoint) {
  Trainer trainer(config, make_trainer_parts(config, checkpoint));
  trainer.step(); // the first one allocates
  const std::int64_t tokens_before = trainer.state().tokens_seen;
  const auto start = Clock::now();
  while (!trainer.finished() && seconds_since(start) < 1.0) {
    trainer.step();
  }
  const double seconds = seconds_since(start);
  const std::int64_t tokens = trainer.state().tokens_seen - tokens_before;
  return tokens > 0 ? seconds / static_cast<double>(tokens) : 0.0;
}

/// Rate of a product of 1024² matrices in the run's dtype on the CPU, operations a second.
double product_rate(ComputeDType dtype) {
  constexpr std::int64_t kSize = 1024;
  const auto type = dtype == ComputeDType::kBFloat16  ? at::kBFloat16
                    : dtype == ComputeDType::kFloat64 ? at::kDouble
                                                      : at::kFloat;
  const at::Tensor a = at::ones({kSize, kSize}, type);
  at::Tensor c = at::mm(a, a); // chooses its way
  const auto start = Clock::now();
  double operations = 0;
  do {
    at::mm_out(c, a, a);
    operations += 2.0 * kSize * kSize * kSize;
  } while (seconds_since(start) < 0.5);
  return operations / seconds_since(start);
}

/// Tokens of the steps that are left, of all; and how much that is for people.
struct Work {
  double tokens = 0;
  std::string steps = "all steps";
};

Work work_of(
    const RunConfig& config,
    const ModelConfig& model,
    const RunEstimate& estimate,
    const std::optional<Curriculum::State>& position) {
  if (!position) {
    return {.tokens = estimate.tokens()};
  }
  Curriculum curriculum(config.train);
  curriculum.restore(*position);
  return {
      .tokens = curriculum.most_tokens_left(segment_length_of(model)),
      .steps = "the " + grouped_text(curriculum.most_steps_left()) + " steps that are left"};
}

void print_range(const char* what, double operations, double rate, const Work& work) {
  std::printf(
      "  %s to %s for %s: %.1e operations, %s %.0f TFLOP/s\n",
      duration_text(operations / (kBestShare * rate)).c_str(),
      duration_text(operations / (kWorstShare * rate)).c_str(),
      work.steps.c_str(),
      operations,
      what,
      rate * 1e-12);
}

void print_time(
    const Plan& plan,
    const RunConfig& config,
    const RunEstimate& estimate,
    const Work& work,
    bool can_run) {
  const RunEstimate::Stage& first = estimate.stages.front();
  const double flops = estimate.flops_per_token * first.tokens / static_cast<double>(first.steps);
  const double all = estimate.flops_per_token * work.tokens;
  std::printf("time (no validation, no saving)\n");
  if (plan.card == nullptr && plan.num_ranks > 1) {
    std::printf(
        "  is measured by one process only: leave --ranks out, or name a card with --for\n");
    return;
  }
  if (plan.card != nullptr) {
    print_range(
        plan.num_ranks == 1 ? "the card's stated peak is" : "the cards' stated peak is",
        all,
        plan.card->bfloat16_tflops * 1e12 * static_cast<double>(plan.num_ranks),
        work);
  } else if (!can_run || (flops > kMostFlops && plan.device.is_cpu())) {
    const double rate = product_rate(config.engine.dtype);
    std::printf(
        "  %s to %s for %s: %.1e operations, where a large product runs at %.0f GFLOP/s here\n",
        duration_text(all / (kBestShare * rate)).c_str(),
        duration_text(all / (kWorstShare * rate)).c_str(),
        work.steps.c_str(),
        all,
        rate * 1e-9);
  } else if (work.tokens > 0) {
    const double seconds = seconds_a_token(config, plan.checkpoint) * work.tokens;
    std::printf(
        "  about %s for %s, from the first stage's measured tokens/s\n",
        duration_text(seconds).c_str(),
        work.steps.c_str());
    if (plan.device.is_cpu()) {
      std::printf(
          "  the process held %s at most in those steps\n",
          bytes_text(peak_memory_bytes(plan.device)).c_str());
    }
  } else {
    std::printf("  none: all steps are done\n");
  }
}

/// How often each dataset is read through, stage by stage together, if all steps are made.
void print_data(const RunConfig& config, const RunData& data, std::int64_t segment_length) {
  std::vector<std::vector<double>> positions;
  for (const Loader& loader : data.loaders) {
    positions.emplace_back(loader.datasets().size(), 0.0);
  }
  for (std::size_t i = 0; i < config.train.stages.size(); ++i) {
    const StageConfig& stage = config.train.stages[i];
    const std::size_t of_stage = data.loader_of_stage[i];
    const Loader& loader = data.loaders[of_stage];
    const BatchShape row{
        .num_segments = std::max<std::int64_t>(1, std::llround(stage.segments.mean())),
        .num_prefix_segments = std::llround(stage.prefix_segments.mean()),
        .segment_length = stage_segment_length(config.train, i, segment_length)};
    const double rows = static_cast<double>(
        stage.steps * stage.accumulate.value_or(config.train.accumulate) *
        stage.batch_size.value_or(config.train.batch_size));
    for (std::size_t d = 0; d < loader.datasets().size(); ++d) {
      const auto a_row = static_cast<double>(loader.datasets()[d]->skip(row, 0));
      positions[of_stage][d] += rows * loader.share(d) * a_row;
    }
  }
  std::printf("training data\n");
  for (std::size_t l = 0; l < data.loaders.size(); ++l) {
    for (std::size_t d = 0; d < positions[l].size(); ++d) {
      const Dataset& dataset = *data.loaders[l].datasets()[d];
      const double times = dataset.epochs(std::llround(positions[l][d]));
      const std::string text = times > 0 ? "read " + times_text(times) : "made as it is read";
      std::printf("  %-46s %20s\n", dataset.name().c_str(), text.c_str());
    }
  }
}

void print_missing(const std::vector<MissingPath>& missing) {
  std::printf("not there yet, and what makes it\n");
  for (const MissingPath& each : missing) {
    std::printf("  %s: %s\n    %s\n", each.key.c_str(), each.path.c_str(), each.maker.c_str());
  }
}

/// What the engine of a run, or of one that goes on, will be.
EngineSection planned_engine(const Plan& plan, const RunConfig& config, const ModelConfig& model) {
  if (plan.card != nullptr) {
    return plan_run_engine(config, model, *plan.card, plan.num_ranks);
  }
  if (plan.saved) {
    const ModelConfig held = largest_stage(config, model);
    return resume_engine(
        config.engine,
        resolve_run_engine(config, model, plan.num_ranks),
        engine_of_course(plan.saved->config),
        engine_context(config, held, plan.num_ranks));
  }
  return resolve_run_engine(config, model, plan.num_ranks);
}

/// Refuses a plan for a card that holds less than it needs, whatever the execution.
void check_card(const Card& card, const RunEstimate& estimate) {
  if (estimate.memory.total_bytes() > card.planned_bytes()) {
    throw memory_refusal(estimate.memory.total_bytes(), card.planned_bytes());
  }
}

/// The position that a run goes on from; the keys that it may not change are refused.
Curriculum::State position_of(const RunConfig& config, const TrainerState& saved, Course course) {
  const std::string before = course_of_config(saved.config);
  const std::string now = course_of_config(write_config(config));
  if (course == Course::kSame) {
    check_same_course(before, now);
    return saved.curriculum;
  }
  const std::string keys = check_new_course(before, now);
  std::printf("new course: %s\n", keys.empty() ? "no key has changed" : keys.c_str());
  return position_on_new_course(before, config.train, saved.curriculum);
}

} // namespace

int dry_run(const RunConfig& config, const DryRunOptions& options) {
  check_rows_divide(config, RankGrid::of(options.num_ranks, config.engine).num_copies);
  Plan plan;
  plan.num_ranks = options.num_ranks;
  plan.card = options.card.empty() ? nullptr : &card_by_name(options.card);
  // A plan of a run that could not go on would only delay the bad news.
  plan.checkpoint = find_checkpoint(RunFiles(config.output), options.resume);
  plan.device = plan.card != nullptr ? at::Device(at::kCPU)
                                     : device_from_name(config.engine.device, "engine.device");
  const std::filesystem::path recipes = std::filesystem::path(options.config).parent_path();
  const std::vector<MissingPath> missing =
      missing_paths(config, recipes, plan.checkpoint.has_value());
  const bool lacks_model = !missing.empty() && missing.front().key == "model.path";
  const ModelConfig model = lacks_model
                                ? shape_of_missing_model(config.model, recipes, options.shape)
                                : resolve_model_config(config.model, plan.checkpoint);
  check_memory_of_data(config, model);
  RunConfig resolved = config;
  std::optional<RunData> data;
  if (missing.empty()) {
    data = open_run_data(config, model, plan.checkpoint);
    resolved.data.tokenizer = data->tokenizer_config;
  }
  if (plan.checkpoint) {
    plan.saved = load_trainer_state(*plan.checkpoint);
  }
  resolved.engine = planned_engine(plan, config, model);
  std::optional<Curriculum::State> position;
  if (plan.saved && plan.card == nullptr && data) {
    position = position_of(resolved, *plan.saved, options.course);
  }
  const Processor processor =
      plan.card != nullptr
          ? plan.card->processor
          : plan_engine(resolved.engine, {.model = model, .device = plan.device}).processor;
  RunEstimate estimate = estimate_run(resolved, model, processor, plan.num_ranks);
  if (config.train.threads > 0) {
    at::set_num_threads(static_cast<int>(config.train.threads));
  }
  if (plan.card == nullptr && plan.device.is_cpu()) { // beside the buffers, in the same memory
    estimate.memory.items.push_back(
        {"the program, its libraries, what it has mapped", peak_memory_bytes(plan.device)});
  }
  const std::string where = plan.card == nullptr
                                ? engine_line(resolved.engine, plan.device)
                                : "planned for " + std::string(plan.card->name) + ", " +
                                      engine_line(resolved.engine, at::Device(at::kCUDA, 0));
  std::printf(
      "%s\n%s\n%s", write_config(resolved).c_str(), where.c_str(), to_text(estimate).c_str());
  if (data) {
    print_data(config, *data, segment_length_of(model));
  } else {
    print_missing(missing);
  }
  if (plan.checkpoint) {
    std::printf("goes on from %s\n", plan.checkpoint->c_str());
  }
  std::fflush(stdout);
  if (plan.card != nullptr) {
    check_card(*plan.card, estimate);
    std::printf(
        "fits: %s of %s that a run plans for on a card of this kind\n",
        bytes_text(estimate.memory.total_bytes()).c_str(),
        bytes_text(plan.card->planned_bytes()).c_str());
  }
  const bool can_run = missing.empty() && options.course == Course::kSame && plan.num_ranks == 1;
  print_time(plan, resolved, estimate, work_of(resolved, model, estimate, position), can_run);
  // With --for the plan is of another machine; without, this one could not run it.
  return missing.empty() || plan.card != nullptr ? 0 : 1;
}

void print_schema() {
  std::printf("%s\n", json_text(config_schema<RunConfig>()).c_str());
}

void print_keys() {
  std::printf("%s", help_text(list_keys<RunConfig>()).c_str());
}

} // namespace fcc::tools
