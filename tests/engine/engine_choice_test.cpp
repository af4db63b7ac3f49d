// What `auto` becomes, what is refused by name, and how long chunks are under a budget.
#include "fcc/engine/engine_choice.h"
#include "engine/chunk.h"

#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "fcc/engine/make_executor.h"
#include "model/tiny_model.h"

namespace fcc {
namespace {

using testing::condensation;
using testing::local_global;
using testing::tiny_config;

std::string where_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const ConfigError& error) {
    return error.where();
  }
  return "no error";
}

TEST(EngineChoice, AutoIsTheReferenceOnACpu) {
  const ModelConfig model = tiny_config(condensation(4));
  const EngineContext context{.model = model, .device = at::kCPU};
  EXPECT_EQ(choose_execution(EngineSection{}, context), Execution::kReference);
  EngineSection fused;
  fused.execution = Execution::kFused;
  EXPECT_EQ(choose_execution(fused, context), Execution::kFused);
  const EngineSection resolved = resolve_engine({}, context, {{}}, 1 << 30);
  EXPECT_EQ(resolved.execution, Execution::kReference);
  EXPECT_EQ(resolved.activations, Activations::kAuto); // nobody asks
}

TEST(EngineChoice, KeysThatTheReferenceIgnoresAreRefusedByName) {
  const ModelConfig model = tiny_config(condensation(4));
  const EngineContext context{.model = model, .device = at::kCPU};
  const std::vector<std::pair<std::string, std::function<void(EngineSection&)>>> cases = {
      {"engine.kernels", [](EngineSection& e) { e.kernels = KernelSet::kPortable; }},
      {"engine.schedule", [](EngineSection& e) { e.schedule = Schedule::kSequential; }},
      {"engine.activations", [](EngineSection& e) { e.activations = Activations::kStore; }},
      {"engine.chunk_segments", [](EngineSection& e) { e.chunk_segments = 3; }},
      {"engine.memory_gib", [](EngineSection& e) { e.memory_gib = 1.5; }},
      {"engine.boundary_memory_on_host",
       [](EngineSection& e) { e.boundary_memory_on_host = true; }}};
  for (const auto& [key, set] : cases) {
    for (const Execution execution : {Execution::kReference, Execution::kAuto}) {
      EngineSection engine;
      engine.execution = execution;
      set(engine);
      EXPECT_EQ(where_of([&] { resolve_engine(engine, context, {{}}, 1 << 30); }), key);
      engine.execution = Execution::kFused;
      EXPECT_EQ(
          where_of([&] { resolve_engine(engine, context, {{}}, 1 << 30); }),
          std::string("no error"));
    }
  }
}

TEST(EngineChoice, WhatFusedDoesNotServeIsRefusedByName) {
  EngineSection engine;
  engine.execution = Execution::kFused;
  const ModelConfig stacks = tiny_config(local_global(4, 1));
  EXPECT_EQ(
      where_of(
          [&] { resolve_engine(engine, {.model = stacks, .device = at::kCPU}, {{}}, 1 << 30); }),
      "engine.execution");
  FccConfig learned = condensation(4);
  learned.first_memory = FirstMemory::kLearned;
  const ModelConfig model = tiny_config(learned);
  EngineContext context{.model = model, .device = at::kCPU};
  EXPECT_FALSE(fused_refusal(context));
  context.documents_reset = true;
  EXPECT_EQ(where_of([&] { resolve_engine(engine, context, {{}}, 1 << 30); }), "engine.execution");
  context.documents_reset = false;
  engine.attention = AttentionBackend::kFlash;
  EXPECT_EQ(where_of([&] { resolve_engine(engine, context, {{}}, 1 << 30); }), "engine.attention");
}

TEST(EngineChoice, ABudgetThatCannotBeMetIsRefusedWithTheKeysThatHelp) {
  const ModelConfig model = tiny_config(condensation(5));
  const EngineContext context{.model = model, .device = at::kCPU};
  const StepShape step{.batch = 3, .num_segments = 113, .segment_length = 5};
  for (const std::optional<std::int64_t> chunk : {std::optional<std::int64_t>(), {3}}) {
    for (const Activations activations : {Activations::kAuto, Activations::kRecompute}) {
      EngineSection engine;
      engine.execution = Execution::kFused;
      engine.activations = activations;
      engine.chunk_segments = chunk;
      engine.memory_gib = 1e-6;
      try {
        resolve_engine(engine, context, {step}, 0);
        FAIL();
      } catch (const ConfigError& error) {
        const std::string text = error.what();
        for (const char* key : {"batch_size", "model.fcc.segment_length", "engine.memory_gib"}) {
          EXPECT_NE(text.find(key), std::string::npos) << text;
        }
      }
    }
  }
}

TEST(EngineChoice, ACardThatIsNotAtHandIsPlannedFor) {
  const ModelConfig model = tiny_config(condensation(5));
  const StepShape step{.batch = 3, .num_segments = 4, .segment_length = 5};
  const EngineContext kernels{
      .model = model, .device = at::kCPU, .planned = Processor::kGpuWithKernels};
  EXPECT_EQ(resolve_engine({}, kernels, {step}, 1 << 30).execution, Execution::kFused);
  const EngineContext older{
      .model = model, .device = at::kCPU, .planned = Processor::kGpuJoinedAttention};
  EXPECT_EQ(resolve_engine({}, older, {step}, 1 << 30).execution, Execution::kFused);
  const EngineContext none{.model = model, .device = at::kCPU, .planned = Processor::kCpu};
  EXPECT_EQ(resolve_engine({}, none, {step}, 1 << 30).execution, Execution::kReference);
}

TEST(EngineChoice, ActivationsAreStoredIfTheyFitAndElseChunksAreAsLongAsTheyMay) {
  const ModelConfig model = tiny_config(condensation(5));
  const EngineContext context{.model = model, .device = at::kCPU};
  EngineSection engine;
  engine.execution = Execution::kFused;
  const StepShape step{.batch = 3, .num_segments = 113, .segment_length = 5};
  const auto bytes = [&](std::int64_t chunk) {
    EngineSection tried = engine;
    tried.chunk_segments = chunk;
    return estimate_memory(plan_engine(tried, context), model, step).total_bytes();
  };
  const EngineSection roomy = resolve_engine(engine, context, {step}, bytes(113));
  EXPECT_EQ(roomy.activations, Activations::kStore);
  EXPECT_FALSE(roomy.chunk_segments);

  const EngineSection tight = resolve_engine(engine, context, {step}, bytes(17));
  EXPECT_EQ(tight.activations, Activations::kRecompute);
  ASSERT_TRUE(tight.chunk_segments);
  EXPECT_LE(bytes(*tight.chunk_segments), bytes(17));
  EXPECT_GE(*tight.chunk_segments, 17);

  // A short stage that fits as a whole does not shorten the chunks of a long one.
  const StepShape brief{.batch = 3, .num_segments = 2, .segment_length = 5};
  EXPECT_EQ(
      resolve_engine(engine, context, {brief, step}, bytes(17)).chunk_segments,
      tight.chunk_segments);

  engine.memory_gib = 1e-9; // goes before what is available, and is too little for anything
  EXPECT_EQ(
      where_of([&] { resolve_engine(engine, context, {step}, bytes(113)); }), "engine.memory_gib");
  engine.memory_gib.reset();
  engine.chunk_segments = 7;
  const EngineSection given = resolve_engine(engine, context, {step}, bytes(113));
  EXPECT_EQ(given.activations, Activations::kRecompute);
  EXPECT_EQ(given.chunk_segments, 7);
  engine.chunk_segments.reset();
  engine.activations = Activations::kRecompute;
  EXPECT_EQ(resolve_engine(engine, context, {step}, bytes(113)).chunk_segments, 32);

  // What was asked for by name stays, also where one chunk holds everything: a resumed run
  // compares.
  const EngineSection whole = resolve_engine(engine, context, {brief}, bytes(113));
  EXPECT_EQ(whole.activations, Activations::kRecompute);
  EXPECT_EQ(whole.chunk_segments, 2);
}

TEST(EngineChoice, APlanLeavesNothingOpen) {
  const ModelConfig model = tiny_config(condensation(5));
  const EngineContext context{.model = model, .device = at::kCPU};
  EngineSection engine;
  engine.dtype = ComputeDType::kFloat64;
  EXPECT_EQ(plan_engine(engine, context).execution, Execution::kReference);
  engine.execution = Execution::kFused;
  engine.bptt_segments = 3;
  const EnginePlan whole = plan_engine(engine, context);
  EXPECT_EQ(whole.execution, Execution::kFused);
  EXPECT_EQ(whole.dtype, at::kDouble);
  EXPECT_EQ(whole.attention, AttentionBackend::kReference);
  EXPECT_EQ(whole.processor, Processor::kCpu);
  EXPECT_EQ(whole.bptt_segments, 3);
  EXPECT_EQ(whole.chunk_segments, EnginePlan::kWholeSequence);
  engine.activations = Activations::kRecompute;
  EXPECT_EQ(plan_engine(engine, context).chunk_segments, kRecomputeChunkSegments);
  engine.chunk_segments = 7;
  EXPECT_EQ(plan_engine(engine, context).chunk_segments, 7);
  for (const auto& [processor, attention] :
       {std::pair(Processor::kGpuWithKernels, AttentionBackend::kFcc),
        std::pair(Processor::kGpuJoinedAttention, AttentionBackend::kFlash),
        std::pair(Processor::kGpu, AttentionBackend::kReference)}) {
    const EnginePlan planned =
        plan_engine({}, {.model = model, .device = at::kCPU, .planned = processor});
    EXPECT_EQ(planned.execution, Execution::kFused);
    EXPECT_EQ(planned.processor, processor);
    EXPECT_EQ(planned.attention, attention);
  }
}

TEST(EngineChoice, ABudgetForChunksNeedsTheStepsOfTheRun) {
  const ModelConfig model = tiny_config(condensation(5));
  const EngineContext context{.model = model, .device = at::kCPU};
  EngineSection engine;
  engine.execution = Execution::kFused;
  engine.memory_gib = 0.5;
  EXPECT_EQ(where_of([&] { plan_engine(engine, context); }), "engine.memory_gib");
  engine.chunk_segments = 2;
  EXPECT_EQ(plan_engine(engine, context).chunk_segments, 2);
}

TEST(EngineChoice, ChunksAreFewAndEven) {
  EXPECT_EQ(even_chunk_segments(7, EnginePlan::kWholeSequence), 7);
  EXPECT_EQ(even_chunk_segments(256, 101), 86); // 86, 86, 84
  EXPECT_EQ(even_chunk_segments(40, 32), 20);
  EXPECT_EQ(even_chunk_segments(7, 7), 7);
  EXPECT_EQ(even_chunk_segments(7, 100), 7);
  EXPECT_EQ(even_chunk_segments(7, 1), 1);
  EXPECT_EQ(even_chunk_segments(7, 6), 4);
}

TEST(EngineChoice, AResumedRunUsesWhatAutoBecame) {
  const ModelConfig model = tiny_config(condensation(4));
  const EngineContext context{.model = model, .device = at::kCPU};
  EngineSection saved;
  saved.execution = Execution::kFused;
  saved.activations = Activations::kRecompute;
  saved.chunk_segments = 6;
  EngineSection requested;
  requested.execution = Execution::kFused;
  const EngineSection resumed = resume_engine(requested, requested, saved, context);
  EXPECT_EQ(resumed.activations, Activations::kRecompute);
  EXPECT_EQ(resumed.chunk_segments, 6);
  // `auto` became fused on another machine; this one would not choose it.
  EXPECT_EQ(where_of([&] { resume_engine({}, {}, saved, context); }), "engine.execution");
  const EngineSection reference = resolve_engine({}, context, {{}}, 1 << 30);
  EXPECT_EQ(resume_engine({}, reference, reference, context).execution, Execution::kReference);
  // Another execution than before, by name: nothing of it was chosen yet.
  EngineSection resolved = requested;
  resolved.activations = Activations::kRecompute;
  resolved.chunk_segments = 3;
  EXPECT_EQ(resume_engine(requested, resolved, reference, context).chunk_segments, 3);
}

TEST(EngineChoice, TheMachineHasMemoryToPlanFor) {
  EXPECT_GT(available_memory_bytes(at::kCPU), std::int64_t{1} << 20);
}

TEST(FusedExecutor, EvaluationLeavesThePrefixOutAsTheReferenceDoes) {
  const auto parameters = testing::tiny_parameters(tiny_config(condensation(5)));
  for (const std::int64_t total : {25, 23}) {
    for (const std::int64_t prefix : {1, 3, 5}) {
      MicroBatch batch = testing::random_batch(parameters->config(), 3, total);
      batch.num_prefix_segments = prefix;
      const auto evaluate = [&](Execution execution, MemoryState& state) {
        EngineSection engine;
        engine.dtype = ComputeDType::kFloat64;
        engine.execution = execution;
        return make_executor(*parameters, engine)->evaluate(batch, &state);
      };
      MemoryState want_state, got_state;
      const PassResult want = evaluate(Execution::kReference, want_state);
      const PassResult got = evaluate(Execution::kFused, got_state);
      EXPECT_LT(testing::max_difference(got.token_losses, want.token_losses), 1e-11);
      EXPECT_LT(testing::max_difference(got.loss, want.loss), 1e-10);
      EXPECT_EQ(
          got.token_losses.slice(1, 0, std::min(prefix * 5, total)).abs().max().item<double>(), 0);
      EXPECT_EQ(got_state.position, want_state.position);
    }
  }
}

} // namespace
} // namespace fcc
