#include <algorithm>
#include <optional>
#include <utility>

#include <ATen/Parallel.h>

#include "fcc/config/problems.h"
#include "fcc/config/strict_json.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/core/error_at.h"
#include "fcc/core/log.h"
#include "fcc/engine/make_executor.h"
#include "fcc/model/device.h"
#include "fcc/model/hugging_face.h"
#include "fcc/train/curriculum.h"
#include "fcc/train/ranks.h"
#include "fcc/train/trainer.h"

namespace fcc {
ModelConfig resolve_model_config(
    const ModelSection& section,
    const std::optional<std::filesystem::path>& checkpoint) {
  ModelConfig config;
  if (section.path) {
    config = checkpoint
                 ? load_model_config(*checkpoint)
                 : with_place("model.path", [&] { return load_model_config(*section.path); });
  } else if (section.preset) {
    config = model_preset(*section.preset);
  } else if (section.config) {
    config = *section.config;
  } else {
    throw ConfigError("model", "needs one of path, preset and config");
  }
  if (section.fcc) {
    config.fcc = section.fcc;
    Problems problems("model");
    check_rules(config, problems);
    problems.throw_if_any();
  }
  return config;
}

namespace {

/// The one weight whose shape depends on the length of segments.
void refuse_lengths_of_learned_memory(const RunConfig& config, const ModelConfig& model) {
  if (!model.fcc || model.fcc->first_memory != FirstMemory::kLearned) {
    return;
  }
  for (std::size_t i = 0; i < config.train.stages.size(); ++i) {
    const auto length = config.train.stages[i].segment_length;
    if (length && *length != model.fcc->segment_length) {
      throw ConfigError(
          "train.stages." + std::to_string(i) + ".segment_length",
          "must be the model's " + std::to_string(model.fcc->segment_length) +
              " where first_memory is `learned`: initial_memory has a row for each token",
          std::to_string(*length));
    }
  }
}

bool resets_memory(const std::vector<DatasetConfig>& datasets) {
  return std::any_of(datasets.begin(), datasets.end(), [](const DatasetConfig& dataset) {
    return dataset.document_memory == DocumentMemory::kReset;
  });
}

bool resets_memory(const RunConfig& config) {
  const std::vector<StageConfig>& stages = config.train.stages;
  return resets_memory(config.data.train) || resets_memory(config.data.validation) ||
         std::any_of(stages.begin(), stages.end(), [](const StageConfig& stage) {
           return stage.data && resets_memory(*stage.data);
         });
}

} // namespace

ModelConfig largest_stage(const RunConfig& config, const ModelConfig& model) {
  if (config.engine.layer_ranks == 1) {
    return model;
  }
  const std::vector<LayerStage> stages = split_layers(model, config.engine.layer_ranks);
  return stage_model(
      model, *std::max_element(stages.begin(), stages.end(), [](const auto& a, const auto& b) {
        return a.num_layers() < b.num_layers();
      }));
}

std::vector<StepShape>
longest_steps(const RunConfig& config, const ModelConfig& model, std::int64_t num_ranks) {
  const std::int64_t num_copies = RankGrid::of(num_ranks, config.engine).num_copies;
  std::vector<StepShape> steps;
  for (std::size_t i = 0; i < config.train.stages.size(); ++i) {
    const StageConfig& stage = config.train.stages[i];
    StepShape& step = steps.emplace_back();
    step.batch = stage.batch_size.value_or(config.train.batch_size) / num_copies;
    step.num_segments = stage.segments.max();
    step.num_prefix_segments = stage.prefix_segments.max();
    step.segment_length = stage_segment_length(config.train, i, segment_length_of(model));
    if (model.arch() == Architecture::kLlama) {
      step.segment_length *= step.num_segments;
      step.num_segments = 1;
    }
  }
  return steps;
}

namespace {

/// `model`: as a rank holds it.
OptimizerMemory optimizer_memory_of(
    const RunConfig& config,
    const ModelConfig& model,
    at::DeviceType device,
    std::int64_t num_ranks) {
  const OptimizerPlan plan = plan_optimizer(
      config.optim,
      FlatParameters::layout(model, config.optim.freeze),
      config.engine.dtype,
      device,
      /*rank=*/0, // whose share is the largest
      RankGrid::of(num_ranks, config.engine).num_copies);
  const std::int64_t element = config.engine.dtype == ComputeDType::kFloat64 ? 8 : 4;
  OptimizerMemory memory{.states = {}, .scratch_bytes = plan.scratch_bytes};
  for (const StateLayout& state : plan.states) {
    memory.states.push_back({"optimizer: " + state.name, state.numel() * element});
  }
  return memory;
}

} // namespace

OptimizerMemory optimizer_memory(
    const RunConfig& config,
    const ModelConfig& model,
    at::DeviceType device,
    std::int64_t num_ranks) {
  return optimizer_memory_of(config, largest_stage(config, model), device, num_ranks);
}

namespace {

/// `EnginePlan::num_all_layers` of a run; `model`: the whole one.
std::int64_t num_all_layers(const RunConfig& config, const ModelConfig& model) {
  return config.engine.layer_ranks > 1 ? model.num_hidden_layers : 0;
}

} // namespace

EngineContext
engine_context(const RunConfig& config, const ModelConfig& model, std::int64_t num_ranks) {
  return {
      .model = model,
      .device = device_from_name(config.engine.device, "engine.device"),
      .documents_reset = resets_memory(config),
      .optimizer = optimizer_memory_of(
          config,
          model,
          device_from_name(config.engine.device, "engine.device").type(),
          num_ranks)};
}

EngineSection plan_run_engine(
    const RunConfig& config,
    const ModelConfig& model,
    const Card& card,
    std::int64_t num_ranks) {
  EngineSection engine = config.engine;
  const ModelConfig held = largest_stage(config, model);
  const std::int64_t budget = card.planned_bytes();
  if (engine.memory_gib && *engine.memory_gib * 0x1p30 > static_cast<double>(budget)) {
    engine.memory_gib = static_cast<double>(budget) / 0x1p30;
  }
  return resolve_engine(
      engine,
      {.model = held,
       .device = at::kCPU, // not looked at
       .documents_reset = resets_memory(config),
       .optimizer = optimizer_memory(config, model, at::kCUDA, num_ranks),
       .planned = card.processor,
       .num_all_layers = num_all_layers(config, model)},
      longest_steps(config, model, num_ranks),
      budget);
}

EngineSection
resolve_run_engine(const RunConfig& config, const ModelConfig& model, std::int64_t num_ranks) {
  const ModelConfig held = largest_stage(config, model);
  EngineContext context = engine_context(config, held, num_ranks);
  context.num_all_layers = num_all_layers(config, model);
  EngineSection engine = resolve_engine(
      config.engine,
      context,
      longest_steps(config, model, num_ranks),
      config.engine.memory_gib ? 0 : available_memory_bytes(context.device));
  const auto refusal = fused_refusal(context);
  if (context.device.is_cuda() && config.engine.execution == Execution::kAuto && refusal) {
    log(LogLevel::kInfo, std::string("execution `auto` is not `fused` here: ") + refusal->what());
  }
  return engine;
}

std::string engine_line(const EngineSection& engine, c10::Device device) {
  std::string line = device.str();
  if (device.is_cpu()) {
    line = "CPU, threads: " + std::to_string(at::get_num_threads());
    line += engine.device == "auto" ? " (no GPU found)" : "";
  }
  line += ", " + std::string(enum_name(engine.dtype));
  line += ", execution " + std::string(enum_name(engine.execution));
  if (engine.execution == Execution::kFused) {
    line += engine.kernels == KernelSet::kAuto
                ? ""
                : ", kernels " + std::string(enum_name(engine.kernels));
    line += ", schedule " + std::string(enum_name(engine.schedule));
    line += ", activations " + std::string(enum_name(engine.activations));
    if (engine.chunk_segments) {
      line += ", chunks of " + std::to_string(*engine.chunk_segments) + " segments";
    }
  }
  return line;
}

namespace {

/// `auto` looks at the memory that is free, which may differ: all take what rank 0 found.
EngineSection engine_of_all(Communicator& ranks, const EngineSection& own) {
  return ranks.size() == 1
             ? own
             : read_config<EngineSection>(gather_texts(ranks, write_config(own)).front(), "rank 0");
}

} // namespace

TrainerParts make_trainer_parts(
    const RunConfig& config,
    const std::optional<std::filesystem::path>& checkpoint,
    std::shared_ptr<Communicator> ranks) {
  const ModelConfig model = resolve_model_config(config.model, checkpoint);
  refuse_lengths_of_learned_memory(config, model);
  const RankGrid grid = RankGrid::of(ranks->size(), config.engine);
  const std::optional<LayerStage> stage = stage_of_rank(model, grid, ranks->rank());
  check_rows_divide(config, grid.num_copies);
  if (stage && config.checkpoint.keep_best) {
    throw ConfigError(
        "checkpoint.keep_best",
        "must be false where layers are split (engine.layer_ranks)",
        "true");
  }
  TrainerParts parts;
  parts.data = open_run_data(config, model, checkpoint);
  parts.engine = engine_of_all(*ranks, resolve_run_engine(config, model, ranks->size()));
  const bool draws = !checkpoint && !config.model.path;
  parts.parameters = std::make_unique<FlatParameters>(
      model,
      config.engine.dtype,
      device_from_name(config.engine.device, "engine.device"),
      draws ? std::optional(static_cast<std::uint64_t>(config.train.seed)) : std::nullopt,
      config.optim.freeze,
      config.model.init,
      stage);
  if (!checkpoint && config.model.path) {
    load_weights(*parts.parameters, *config.model.path);
  }
  parts.ranks = std::move(ranks);
  if (stage) {
    const bool one_copy = grid.num_copies == 1;
    parts.copies = one_copy ? single_process() : parts.ranks->group(stage->index);
    parts.copy =
        one_copy ? parts.ranks : parts.ranks->group(parts.ranks->rank() / grid.layer_ranks);
    parts.link = link_stages(*parts.copy);
  } else {
    parts.copies = parts.ranks;
  }
  parts.executor = make_executor(*parts.parameters, parts.engine, parts.link.get());
  return parts;
}

} // namespace fcc
