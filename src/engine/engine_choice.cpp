#include "fcc/engine/engine_choice.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <string_view>

#include <ATen/ops/empty.h>
#include <c10/core/CachingDeviceAllocator.h>

#include "fcc/config/engine_keys.h"
#include "fcc/model/memory_policy.h"
#include "fcc/ops/memory_attention_choice.h"

namespace fcc {
namespace {

c10::ScalarType scalar_type(ComputeDType dtype) {
  switch (dtype) {
    case ComputeDType::kFloat64:
      return c10::ScalarType::Double;
    case ComputeDType::kBFloat16:
      return c10::ScalarType::BFloat16;
    case ComputeDType::kFloat32:
      break;
  }
  return c10::ScalarType::Float;
}

AttentionUse use_of(const EngineSection& engine, const EngineContext& context) {
  return attention_use(
      context.device, scalar_type(engine.dtype), context.model.head_dim, engine.kernels);
}

Processor planned_processor(const EngineSection& engine, const EngineContext& context) {
  return context.planned ? *context.planned : processor_of(context.device, engine, context.model);
}

std::string gibibytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GiB", static_cast<double>(bytes) / 0x1p30);
  return text;
}

/// Refuses a budget that a step does not fit in, whatever else is done.
void check_budget(
    EngineSection engine,
    const EngineContext& context,
    const StepShape& step,
    std::int64_t budget) {
  if (!engine.chunk_segments) {
    engine.chunk_segments = 1;
  }
  const std::int64_t needed =
      estimate_fused_memory(
          engine, context.model, step, planned_processor(engine, context), context.optimizer)
          .total_bytes();
  if (needed > budget) {
    throw memory_refusal(needed, budget);
  }
}

} // namespace

ConfigError memory_refusal(std::int64_t needed_bytes, std::int64_t budget_bytes) {
  return {
      "engine.memory_gib",
      "a step must fit in the memory planned for; it takes " + gibibytes(needed_bytes),
      gibibytes(budget_bytes),
      "lower batch_size (and raise accumulate alike), lower model.fcc.segment_length, or raise "
      "engine.memory_gib, if the device has more"};
}

std::optional<ConfigError> fused_refusal(const EngineContext& context) {
  const Architecture arch = context.model.arch();
  if (arch != Architecture::kLlama && arch != Architecture::kCondensation) {
    return ConfigError(
        "engine.execution",
        "`fused` does not serve the architecture " + std::string(enum_name(arch)),
        "fused",
        "use reference");
  }
  if (context.documents_reset && MemoryPolicy(context.model).has_first()) {
    return ConfigError(
        "engine.execution",
        "`fused` resets memory inside a row only with first_memory `absent`",
        std::string(enum_name(context.model.fcc->first_memory)),
        "use reference, or document_memory carry");
  }
  return std::nullopt;
}

Execution choose_execution(const EngineSection& engine, const EngineContext& context) {
  if (engine.execution != Execution::kAuto) {
    return engine.execution;
  }
  if (engine.layer_ranks > 1) {
    return Execution::kFused;
  }
  const bool is_gpu =
      context.planned ? *context.planned != Processor::kCpu : context.device.is_cuda();
  return is_gpu && !fused_refusal(context) ? Execution::kFused : Execution::kReference;
}

void check_engine_choice(const EngineSection& engine, const EngineContext& context) {
  if (engine.bptt_segments && MemoryPolicy(context.model).stops_gradient()) {
    throw ConfigError(
        "engine.bptt_segments",
        "has no meaning where model.fcc.memory_gradient is `stop`",
        std::to_string(*engine.bptt_segments),
        "leave it out: no gradient passes from a segment to the one before");
  }
  if (engine.execution == Execution::kReference) {
    for (const std::string& key : fused_keys_in_use(engine)) {
      throw ConfigError(
          "engine." + key,
          "is for execution `fused`; this run's is `reference`",
          {},
          "leave it out, or set engine.execution to fused");
    }
  } else if (const auto refusal = fused_refusal(context)) {
    throw *refusal;
  }
  if (engine.layer_ranks > 1 && engine.schedule != Schedule::kWavefront) {
    throw ConfigError(
        "engine.schedule",
        "must be wavefront where layers are split (engine.layer_ranks)",
        std::string(enum_name(engine.schedule)));
  }
}

Processor processor_of(c10::Device device, const EngineSection& engine, const ModelConfig& model) {
  if (device.is_cpu()) {
    return Processor::kCpu;
  }
  const AttentionUse use = use_of(engine, {.model = model, .device = device});
  if (use.compute_capability < 80 || engine.dtype != ComputeDType::kBFloat16) {
    return Processor::kGpu;
  }
  switch (supported_attention(engine.attention, use)) {
    case AttentionBackend::kFcc:
      return Processor::kGpuWithKernels;
    case AttentionBackend::kReference:
      return Processor::kGpuPlainAttention;
    default:
      return Processor::kGpuJoinedAttention;
  }
}

EngineSection resolve_engine(
    EngineSection engine,
    const EngineContext& context,
    const std::vector<StepShape>& steps,
    std::int64_t available_bytes) {
  engine.execution = choose_execution(engine, context);
  check_engine_choice(engine, context);
  supported_attention(engine.attention, use_of(engine, context));
  if (engine.execution == Execution::kReference || engine.activations == Activations::kStore) {
    return engine;
  }
  std::int64_t longest = 1;
  for (const StepShape& step : steps) {
    longest = std::max(longest, step.num_segments);
  }
  const std::int64_t budget =
      engine.memory_gib ? static_cast<std::int64_t>(*engine.memory_gib * 0x1p30) : available_bytes;
  if (engine.chunk_segments && engine.memory_gib) { // both by name: they must go together
    for (const StepShape& step : steps) {
      check_budget(engine, context, step, budget);
    }
  }
  if (!engine.chunk_segments) {
    const bool asked = engine.activations == Activations::kRecompute;
    std::int64_t fitting = asked ? std::min(longest, kRecomputeChunkSegments) : longest;
    for (const StepShape& step : steps) {
      const std::int64_t most = std::min(fitting, step.num_segments);
      const std::int64_t count = segments_that_fit(
          engine,
          context.model,
          step,
          most,
          planned_processor(engine, context),
          budget,
          context.optimizer);
      if (count == 0) {
        check_budget(engine, context, step, budget);
      }
      // A step that fits as a whole sets no bound for longer ones.
      fitting = count < most ? count : fitting;
    }
    if (!asked && fitting == longest) {
      engine.activations = Activations::kStore;
      return engine;
    }
    engine.chunk_segments = fitting;
  }
  if (engine.activations == Activations::kAuto) {
    engine.activations =
        *engine.chunk_segments < longest ? Activations::kRecompute : Activations::kStore;
  }
  return engine;
}

EngineSection
resume_engine(EngineSection requested, const EngineSection& saved, const EngineContext& context) {
  if (requested.execution == Execution::kAuto) {
    if (saved.execution == Execution::kFused &&
        choose_execution(requested, context) != Execution::kFused) {
      throw ConfigError(
          "engine.execution",
          "the run is `fused`, which `auto` cannot choose on this machine",
          {},
          "go on where it began, or set engine.execution to fused");
    }
    requested.execution = saved.execution;
  }
  if (requested.execution == saved.execution) {
    if (requested.activations == Activations::kAuto) {
      requested.activations = saved.activations;
    }
    if (!requested.chunk_segments) {
      requested.chunk_segments = saved.chunk_segments;
    }
  }
  check_engine_choice(requested, context);
  supported_attention(requested.attention, use_of(requested, context));
  return requested;
}

std::int64_t available_memory_bytes(c10::Device device) {
  std::int64_t free_bytes = 0;
  if (device.is_cpu()) {
    std::ifstream file("/proc/meminfo");
    std::string key, unit;
    for (std::int64_t kib = 0; file >> key >> kib && std::getline(file, unit);) {
      if (key == "MemAvailable:") {
        free_bytes = kib * 1024;
      }
    }
  } else {
    const auto index = device.has_index() ? device.index() : c10::DeviceIndex{0};
    const at::Tensor started = at::empty({1}, at::TensorOptions(device));
    free_bytes = static_cast<std::int64_t>(
        c10::getDeviceAllocator(device.type())->getMemoryInfo(index).first);
  }
  if (free_bytes <= 0) {
    throw Error(
        "engine",
        "the free memory of the device must be known",
        device.str(),
        "set engine.memory_gib");
  }
  return static_cast<std::int64_t>(kPlannedShare * static_cast<double>(free_bytes));
}

} // namespace fcc
