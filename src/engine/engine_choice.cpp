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

std::string gibibytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GiB", static_cast<double>(bytes) / 0x1p30);
  return text;
}

/// What a step takes in chunks of `chunk_segments`.
std::int64_t step_bytes(
    EnginePlan plan,
    const EngineContext& context,
    const StepShape& step,
    std::int64_t chunk_segments) {
  plan.chunk_segments = chunk_segments;
  return estimate_memory(plan, context.model, step, context.optimizer).total_bytes();
}

void check_section(const EngineSection& engine, const EngineContext& context) {
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

Processor processor_of(const AttentionUse& use, AttentionBackend attention) {
  if (use.device == c10::DeviceType::CPU) {
    return Processor::kCpu;
  }
  if (use.compute_capability < 80 || use.dtype != c10::ScalarType::BFloat16) {
    return Processor::kGpu;
  }
  switch (attention) {
    case AttentionBackend::kFcc:
      return Processor::kGpuWithKernels;
    case AttentionBackend::kReference:
      return Processor::kGpuPlainAttention;
    default:
      return Processor::kGpuJoinedAttention;
  }
}

/// The backend that `auto` becomes on a device that is not at hand to be asked.
AttentionBackend attention_on(Processor planned) {
  switch (planned) {
    case Processor::kGpuWithKernels:
      return AttentionBackend::kFcc;
    case Processor::kGpuJoinedAttention:
      return AttentionBackend::kFlash;
    default:
      return AttentionBackend::kReference;
  }
}

std::int64_t most_chunk_segments(const EngineSection& engine) {
  if (engine.chunk_segments) {
    return *engine.chunk_segments;
  }
  return engine.activations == Activations::kRecompute ? kRecomputeChunkSegments
                                                       : EnginePlan::kWholeSequence;
}

/// The plan but for the length of chunks, which `auto` may still leave open.
EnginePlan begin_plan(EngineSection engine, const EngineContext& context) {
  engine.execution = choose_execution(engine, context);
  check_section(engine, context);
  EnginePlan plan;
  plan.execution = engine.execution;
  plan.device = context.device;
  plan.dtype = scalar_type(engine.dtype);
  if (context.planned) {
    const bool open = engine.attention == AttentionBackend::kAuto;
    plan.processor = *context.planned;
    plan.attention = open ? attention_on(*context.planned) : engine.attention;
  } else {
    const AttentionUse use =
        attention_use(context.device, plan.dtype, context.model.head_dim, engine.kernels);
    plan.attention = supported_attention(engine.attention, use);
    plan.processor = processor_of(use, plan.attention);
  }
  plan.bptt_segments = engine.bptt_segments;
  plan.schedule = engine.schedule;
  plan.chunk_segments = most_chunk_segments(engine);
  plan.boundary_memory_on_host = engine.boundary_memory_on_host;
  plan.cuda_graphs = engine.cuda_graphs;
  plan.num_all_layers = context.num_all_layers;
  return plan;
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

EnginePlan plan_engine(const EngineSection& engine, const EngineContext& context) {
  const EnginePlan plan = begin_plan(engine, context);
  if (plan.execution == Execution::kFused && engine.memory_gib &&
      engine.activations == Activations::kAuto && !engine.chunk_segments) {
    throw ConfigError(
        "engine.memory_gib",
        "decides how long chunks are, for which the sizes of the steps must be known",
        gibibytes(static_cast<std::int64_t>(*engine.memory_gib * 0x1p30)),
        "resolve the engine with its steps first, or set engine.chunk_segments");
  }
  return plan;
}

EngineSection resolve_engine(
    EngineSection engine,
    const EngineContext& context,
    const std::vector<StepShape>& steps,
    std::int64_t available_bytes) {
  const EnginePlan plan = begin_plan(engine, context);
  engine.execution = plan.execution;
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
      const std::int64_t needed = step_bytes(plan, context, step, *engine.chunk_segments);
      if (needed > budget) {
        throw memory_refusal(needed, budget);
      }
    }
  }
  if (!engine.chunk_segments) {
    const bool asked = engine.activations == Activations::kRecompute;
    std::int64_t fitting = asked ? std::min(longest, kRecomputeChunkSegments) : longest;
    for (const StepShape& step : steps) {
      const std::int64_t most = std::min(fitting, step.num_segments);
      const std::int64_t count =
          segments_that_fit(plan, context.model, step, most, budget, context.optimizer);
      if (count == 0) {
        throw memory_refusal(step_bytes(plan, context, step, 1), budget);
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

EngineSection resume_engine(
    EngineSection requested,
    const EngineSection& resolved,
    const EngineSection& saved,
    const EngineContext& context) {
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
  const bool is_open =
      saved.execution == Execution::kFused && saved.activations == Activations::kAuto;
  if (requested.execution != saved.execution || is_open) {
    return resolved;
  }
  if (requested.activations == Activations::kAuto) {
    requested.activations = saved.activations;
  }
  if (!requested.chunk_segments) {
    requested.chunk_segments = saved.chunk_segments;
  }
  plan_engine(requested, context); // refuses what cannot be run
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
