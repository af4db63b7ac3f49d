// The estimate against what a training step really takes from the CPU's allocator.
#include "fcc/engine/memory_estimate.h"

#include <algorithm>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <c10/core/CPUAllocator.h>
#include <gtest/gtest.h>

#include "engine/chunk.h"
#include "fcc/engine/engine_choice.h"
#include "fcc/engine/make_executor.h"
#include "fcc/optim/grad_norm.h"
#include "fcc/optim/optimizer.h"

namespace fcc {
namespace {

/// Counts the bytes of tensors that are alive, and the most there were. Pointers are their own
/// contexts, as the CPU's own allocator has it: libraries allocate raw memory from it.
class CountingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(std::size_t bytes) override {
    c10::DataPtr data = inner_->allocate(bytes);
    void* pointer = data.get();
    data.release_context();
    if (pointer != nullptr) {
      const std::lock_guard lock(mutex_);
      blocks_[pointer] = static_cast<std::int64_t>(bytes);
      alive_ += static_cast<std::int64_t>(bytes);
      most_ = std::max(most_, alive_);
    }
    return {pointer, pointer, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return &release;
  }
  void copy_data(void* to, const void* from, std::size_t count) const override {
    default_copy_data(to, from, count);
  }

  void start() {
    const std::lock_guard lock(mutex_);
    most_ = alive_ = 0;
  }
  std::int64_t most() {
    const std::lock_guard lock(mutex_);
    return most_;
  }

  /// Never destroyed: tensors may outlive the counting.
  static CountingAllocator& instance() {
    static auto* made = new CountingAllocator;
    return *made;
  }

 private:
  static void release(void* pointer) {
    CountingAllocator& self = instance();
    if (pointer == nullptr) {
      return;
    }
    {
      const std::lock_guard lock(self.mutex_);
      self.alive_ -= self.blocks_[pointer];
      self.blocks_.erase(pointer);
    }
    self.inner_->raw_deallocate(pointer);
  }

  c10::Allocator* inner_ = c10::GetDefaultCPUAllocator();
  std::mutex mutex_;
  std::unordered_map<void*, std::int64_t> blocks_;
  std::int64_t alive_ = 0, most_ = 0;
};

/// Puts the counting allocator in the CPU allocator's place while it lives.
class Counting {
 public:
  Counting() {
    CountingAllocator::instance().start();
    c10::SetCPUAllocator(&CountingAllocator::instance(), /*priority=*/100);
  }
  ~Counting() {
    c10::SetCPUAllocator(c10::GetDefaultCPUAllocator(), /*priority=*/100);
  }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;
};

struct Case {
  std::string name;
  std::int64_t layers, length, batch, segments;
  std::optional<std::int64_t> chunk;
  std::int64_t prefix = 0;
  ComputeDType dtype = ComputeDType::kFloat32;
  bool tied = true, llama = false;
  Schedule schedule = Schedule::kWavefront;
  std::int64_t vocab = 509;
  OptimKind optimizer = OptimKind::kAdamW;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

ModelConfig model_of(const Case& c) {
  ModelConfig model;
  model.vocab_size = c.vocab;
  model.hidden_size = 64;
  model.intermediate_size = 160;
  model.num_hidden_layers = c.layers;
  model.num_attention_heads = 4;
  model.num_key_value_heads = 2;
  model.head_dim = 24;
  model.tie_word_embeddings = c.tied;
  if (!c.llama) {
    model.fcc.emplace().segment_length = c.length;
  }
  return model;
}

/// The most bytes that were alive in the second of two steps, everything included.
std::int64_t true_peak(const Case& c, const ModelConfig& model, const EngineSection& engine) {
  const Counting counting;
  FlatParameters parameters(model, c.dtype, at::kCPU, 1);
  const auto executor = make_executor(parameters, engine);
  const auto optimizer = make_optimizer({.kind = c.optimizer}, parameters);
  const std::int64_t tokens = (c.segments + c.prefix) * c.length;
  for (int step = 0; step < 2; ++step) {
    MicroBatch batch;
    batch.ids = at::randint(c.vocab, {c.batch, tokens}, at::kLong);
    batch.targets = at::randint(c.vocab, {c.batch, tokens}, at::kLong);
    batch.coefficients = at::full({c.batch, tokens}, 1e-3, parameters.master().options());
    batch.num_prefix_segments = c.prefix;
    executor->train(batch);
    optimizer->step(1e-4, 1.0);
  }
  return CountingAllocator::instance().most();
}

/// What the optimizer of a case says that it takes.
OptimizerMemory optimizer_memory_of(const Case& c, const ModelConfig& model) {
  const OptimizerPlan plan =
      plan_optimizer({.kind = c.optimizer}, FlatParameters::layout(model), c.dtype, at::kCPU);
  OptimizerMemory memory{.states = {}, .scratch_bytes = plan.scratch_bytes};
  for (const StateLayout& state : plan.states) {
    memory.states.push_back(
        {state.name, state.numel() * (c.dtype == ComputeDType::kFloat64 ? 8 : 4)});
  }
  return memory;
}

class MemoryEstimateOf : public ::testing::TestWithParam<Case> {};

TEST_P(MemoryEstimateOf, AStepIsWithinFivePercentOfItsPeak) {
  const Case& c = GetParam();
  const ModelConfig model = model_of(c);
  EngineSection engine;
  engine.dtype = c.dtype;
  engine.execution = Execution::kFused;
  engine.schedule = c.schedule;
  engine.chunk_segments = c.chunk;
  StepShape step{
      .batch = c.batch,
      .num_segments = c.segments,
      .num_prefix_segments = c.prefix,
      .segment_length = c.length};
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto peak = static_cast<double>(true_peak(c, model, engine));
  at::set_num_threads(threads);
  if (c.llama) {
    step.segment_length *= step.num_segments;
    step.num_segments = 1;
  }
  const MemoryEstimate estimate = estimate_memory(
      plan_engine(engine, {.model = model, .device = at::kCPU}),
      model,
      step,
      optimizer_memory_of(c, model));
  std::string table;
  for (const MemoryItem& item : estimate.items) {
    table += "  " + item.name + ": " + std::to_string(item.bytes) + "\n";
  }
  RecordProperty(
      "estimate_over_peak", std::to_string(static_cast<double>(estimate.total_bytes()) / peak));
  EXPECT_NEAR(static_cast<double>(estimate.total_bytes()) / peak, 1.0, 0.05)
      << table << "estimate " << estimate.total_bytes() << ", peak " << peak;
}

INSTANTIATE_TEST_SUITE_P(
    Steps,
    MemoryEstimateOf,
    ::testing::Values(
        Case{"stored", 3, 16, 1, 61, std::nullopt},
        Case{"stored, rows", 2, 12, 3, 40, std::nullopt},
        Case{
            "sequential",
            3,
            16,
            2,
            37,
            std::nullopt,
            0,
            ComputeDType::kFloat32,
            true,
            false,
            Schedule::kSequential},
        Case{"chunks", 3, 16, 1, 113, 16},
        Case{"chunks, even", 2, 16, 2, 96, 32},
        Case{"prefix", 3, 16, 2, 24, 8, 21},
        Case{"bf16", 3, 16, 1, 61, std::nullopt, 0, ComputeDType::kBFloat16},
        Case{"bf16, chunks", 4, 16, 2, 90, 24, 0, ComputeDType::kBFloat16},
        Case{"untied", 3, 16, 1, 61, std::nullopt, 0, ComputeDType::kFloat32, false},
        Case{"float64", 2, 16, 2, 33, std::nullopt, 0, ComputeDType::kFloat64},
        Case{
            "many parameters",
            2,
            8,
            1,
            5,
            std::nullopt,
            0,
            ComputeDType::kFloat32,
            true,
            false,
            Schedule::kWavefront,
            30011},
        Case{
            "Muon",
            3,
            16,
            1,
            61,
            std::nullopt,
            0,
            ComputeDType::kFloat32,
            true,
            false,
            Schedule::kWavefront,
            509,
            OptimKind::kMuon},
        Case{
            "Muon, a short step",
            12,
            4,
            1,
            1,
            std::nullopt,
            0,
            ComputeDType::kFloat64,
            true,
            false,
            Schedule::kWavefront,
            113,
            OptimKind::kMuon},
        Case{"llama", 3, 16, 1, 8, std::nullopt, 0, ComputeDType::kFloat32, true, true}),
    [](const auto& tested) {
      std::string name = tested.param.name;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return c == ' ' || c == ','; }, '_');
      return name;
    });

EnginePlan fused_plan() {
  EnginePlan plan;
  plan.execution = Execution::kFused;
  return plan;
}

/// Bytes of the chunk's buffers among the items of an estimate.
std::int64_t placed_bytes(const MemoryEstimate& estimate, const std::vector<PlacedTensor>& layout) {
  std::int64_t bytes = 0;
  for (const MemoryItem& item : estimate.items) {
    const bool is_placed = std::any_of(
        layout.begin(), layout.end(), [&](const auto& placed) { return item.name == placed.name; });
    bytes += is_placed ? item.bytes : 0;
  }
  return bytes;
}

/// All combinations of what changes a chunk's layout, the model apart.
std::vector<EnginePlan> every_plan() {
  std::vector<EnginePlan> plans;
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    for (const auto schedule : {Schedule::kWavefront, Schedule::kSequential}) {
      for (const std::int64_t all_layers : {0, 24}) {
        for (const std::int64_t rows : {1, 100, 8192}) {
          for (const std::int64_t most : {std::int64_t{4}, EnginePlan::kWholeSequence}) {
            EnginePlan& plan = plans.emplace_back(fused_plan());
            plan.dtype = dtype;
            plan.schedule = schedule;
            plan.num_all_layers = all_layers;
            plan.weight_product_rows = rows;
            plan.chunk_segments = most;
          }
        }
      }
    }
  }
  return plans;
}

// The estimate has a chunk's buffers to the byte, and the constructor takes as much of the arena.
TEST(MemoryEstimate, HasTheBytesThatAChunkTakesOfItsArena) {
  const StepShape step{.batch = 3, .num_segments = 11, .segment_length = 7};
  const auto keep = Chunk::Keep::kActivations;
  for (const bool llama : {false, true}) {
    Case c{"", 5, step.segment_length, step.batch, step.num_segments, std::nullopt};
    c.llama = llama;
    const ModelConfig model = model_of(c);
    for (const EnginePlan& plan : every_plan()) {
      const ChunkPlan chunk =
          measured_chunk_plan(plan, model, step.batch, step.segment_length, !llama);
      const std::int64_t count = even_chunk_segments(step.num_segments, plan.chunk_segments);
      const std::int64_t bytes = Chunk::own_bytes(chunk, count, keep, plan.dtype);
      EXPECT_EQ(
          placed_bytes(
              estimate_memory(plan, model, step), Chunk::layout(chunk, count, keep, plan.dtype)),
          bytes);

      const at::Tensor workspace =
          at::empty({Chunk::workspace_elements(chunk, count)}, at::TensorOptions(plan.dtype));
      const auto make = [&](std::int64_t arena) {
        const at::Tensor memory = at::empty({arena}, at::TensorOptions(at::kByte));
        const Chunk made(chunk, count, keep, plan.dtype, memory, workspace);
      };
      EXPECT_NO_THROW(make(bytes));
      EXPECT_ANY_THROW(make(bytes - 512)); // one unit of alignment less
    }
  }
}

TEST(MemoryEstimate, NoChunkFitsWhereNotEvenOneSegmentDoes) {
  const Case c{"", 3, 16, 1, 113, std::nullopt};
  const StepShape step{.batch = 1, .num_segments = 113, .segment_length = 16};
  for (const std::int64_t most : {1, 2, 113}) {
    EXPECT_EQ(segments_that_fit(fused_plan(), model_of(c), step, most, 1000), 0) << most;
  }
}

TEST(MemoryEstimate, ChunksThatFitAreTheLongestThatDo) {
  const Case c{"", 3, 16, 1, 113, std::nullopt};
  const ModelConfig model = model_of(c);
  EnginePlan plan = fused_plan();
  const StepShape step{.batch = 1, .num_segments = 113, .segment_length = 16};
  const auto bytes = [&](std::int64_t chunk) {
    plan.chunk_segments = chunk;
    return estimate_memory(plan, model, step).total_bytes();
  };
  for (const std::int64_t budget : {bytes(1) - 1, bytes(5), bytes(30), bytes(113)}) {
    const std::int64_t count = segments_that_fit(plan, model, step, 113, budget);
    EXPECT_TRUE(count == 0 || bytes(count) <= budget);
    EXPECT_TRUE(count == 113 || bytes(count + 1) > budget) << count;
  }
}

} // namespace
} // namespace fcc
