// The fused engine against the reference: loss and every gradient, over options, schedules, chunk
// sizes, prefixes, documents and ragged ends, in float64.
#include "engine/fused_executor.h"

#include <algorithm>
#include <cmath>

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/engine/make_executor.h"
#include "support/memory_options.h"

namespace fcc {
namespace {

struct Case {
  std::string name;
  bool llama = false;
  FccConfig fcc = {};
  std::optional<std::int64_t> bptt_segments = std::nullopt;
  std::int64_t total = 0; ///< tokens
  std::int64_t prefix = 0;
  bool documents = false;
  std::int64_t batch = 2;
  std::int64_t layers = 3;
  bool tied = true;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

ModelConfig model_of(const Case& c) {
  ModelConfig config;
  config.vocab_size = 61;
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.num_hidden_layers = c.layers;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  config.initializer_range = 0.3;
  config.tie_word_embeddings = c.tied;
  if (!c.llama) {
    config.fcc = c.fcc;
    config.fcc->segment_length = 5;
  }
  return config;
}

MicroBatch batch_of(const Case& c) {
  const auto whole = at::TensorOptions().dtype(at::kLong);
  MicroBatch batch;
  batch.ids = at::randint(61, {c.batch, c.total}, whole);
  batch.targets = at::randint(61, {c.batch, c.total}, whole);
  batch.coefficients = at::rand({c.batch, c.total}, at::TensorOptions().dtype(at::kDouble));
  batch.num_prefix_segments = c.prefix;
  batch.targets.select(1, c.total / 2).fill_(-100);
  batch.coefficients.select(1, c.total / 2).zero_();
  batch.targets.slice(1, 0, c.prefix * 5).fill_(-100);
  batch.coefficients.slice(1, 0, c.prefix * 5).zero_();
  if (c.documents) {
    const std::int64_t segments = (c.total + 4) / 5;
    batch.segment_starts_document =
        at::zeros({c.batch, segments}, at::TensorOptions().dtype(at::kBool));
    batch.segment_starts_document[0][segments - 2].fill_(true);
    batch.segment_starts_document[c.batch - 1][1].fill_(true);
  }
  return batch;
}

struct Outcome {
  double loss = 0;
  at::Tensor token_losses;
  std::vector<NamedTensor> grads;
};

Outcome run(FlatParameters& parameters, Executor& executor, const MicroBatch& batch) {
  // What was there before must not matter.
  parameters.grad().narrow(0, 0, parameters.regions().no_decay).fill_(NAN);
  executor.clear_gradients();
  const PassResult result = executor.train(batch);
  Outcome outcome{result.loss.item<double>(), result.token_losses.clone(), {}};
  for (const NamedTensor& named : parameters.named(parameters.grad())) {
    outcome.grads.push_back({named.name, named.tensor.clone()});
  }
  return outcome;
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  const double norm = b.norm().item<double>();
  return (a - b).norm().item<double>() / (norm == 0 ? 1.0 : norm);
}

void expect_equal(const Outcome& got, const Outcome& want, const std::string& how) {
  EXPECT_NEAR(got.loss, want.loss, 1e-10 * std::abs(want.loss)) << how;
  EXPECT_LT(relative(got.token_losses, want.token_losses), 1e-10) << how;
  ASSERT_EQ(got.grads.size(), want.grads.size());
  for (std::size_t i = 0; i < got.grads.size(); ++i) {
    EXPECT_LT(relative(got.grads[i].tensor, want.grads[i].tensor), 1e-10)
        << how << ", " << want.grads[i].name;
  }
}

std::vector<Case> cases() {
  const FccConfig plain;
  FccConfig own = plain, inputs = plain, zeros = plain, learned = plain, mixed = plain;
  own.memory_norm = mixed.memory_norm = MemoryNorm::kOwn;
  inputs.memory_source = mixed.memory_source = MemorySource::kInput;
  zeros.first_memory = FirstMemory::kZeros;
  learned.first_memory = mixed.first_memory = FirstMemory::kLearned;
  mixed.memory_positions = MemoryPositions::kSame;
  std::vector<Case> cases{
      {.name = "llama", .llama = true, .total = 17},
      {.name = "plain", .fcc = plain, .total = 35},
      {.name = "ragged", .fcc = plain, .total = 33, .batch = 1},
      {.name = "untied_one_layer", .fcc = plain, .total = 20, .layers = 1, .tied = false},
      {.name = "one_segment", .fcc = plain, .total = 5},
      {.name = "shorter_than_a_segment", .fcc = plain, .total = 3},
      {.name = "more_layers_than_segments", .fcc = plain, .total = 10, .layers = 5},
      {.name = "zeros_first_ragged", .fcc = zeros, .total = 23},
      {.name = "learned_first_one_segment", .fcc = learned, .total = 5},
      {.name = "mixed", .fcc = mixed, .bptt_segments = 3, .total = 34},
      {.name = "stop_gradient", .fcc = plain, .bptt_segments = 1, .total = 25},
      {.name = "cut_every_two", .fcc = plain, .bptt_segments = 2, .total = 35},
      {.name = "inputs_cut_every_two", .fcc = inputs, .bptt_segments = 2, .total = 35},
      {.name = "prefix", .fcc = plain, .total = 40, .prefix = 3},
      {.name = "prefix_cut_learned", .fcc = mixed, .bptt_segments = 2, .total = 38, .prefix = 2},
      {.name = "documents", .fcc = plain, .total = 34, .documents = true, .batch = 3},
      {.name = "documents_own_norm", .fcc = own, .total = 35, .documents = true, .batch = 1},
  };
  for (const MemoryOption& option : memory_options(plain)) {
    cases.push_back({.name = option.name, .fcc = option.fcc, .total = 25});
  }
  return cases;
}

class FusedExecutorEquals : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    at::set_num_threads(1); // tiny tensors: threads would only wait for each other
  }
};

TEST_P(FusedExecutorEquals, TheReferenceUnderEverySchedule) {
  const Case& c = GetParam();
  at::manual_seed(7);
  FlatParameters parameters(model_of(c), ComputeDType::kFloat64, at::kCPU, /*seed=*/3);
  // Norm weights and learned memory start at constants: shake them, so that their role shows.
  parameters.master().add_(at::randn_like(parameters.master()) * 0.1);
  parameters.update_compute();
  const MicroBatch batch = batch_of(c);

  EngineSection engine;
  engine.dtype = ComputeDType::kFloat64;
  engine.bptt_segments = c.bptt_segments;
  engine.execution = Execution::kReference;
  const Outcome want = run(parameters, *make_executor(parameters, engine), batch);

  engine.execution = Execution::kFused;
  const std::int64_t segments = c.llama ? 1 : (c.total + 4) / 5;
  for (const Schedule schedule : {Schedule::kWavefront, Schedule::kSequential}) {
    engine.schedule = schedule;
    for (std::int64_t chunk = 1; chunk <= segments; ++chunk) {
      engine.chunk_segments = chunk;
      const Outcome got = run(parameters, *make_executor(parameters, engine), batch);
      expect_equal(
          got,
          want,
          std::string(schedule == Schedule::kWavefront ? "wavefront" : "sequential") +
              ", chunks of " + std::to_string(chunk));
    }
  }
}

TEST_P(FusedExecutorEquals, TheReferenceHoweverLongWeightProductsWait) {
  const Case& c = GetParam();
  at::manual_seed(7);
  FlatParameters parameters(model_of(c), ComputeDType::kFloat64, at::kCPU, /*seed=*/3);
  const MicroBatch batch = batch_of(c);
  EngineSection engine;
  engine.dtype = ComputeDType::kFloat64;
  engine.bptt_segments = c.bptt_segments;
  engine.execution = Execution::kReference;
  const Outcome want = run(parameters, *make_executor(parameters, engine), batch);
  engine.execution = Execution::kFused;
  for (const Schedule schedule : {Schedule::kWavefront, Schedule::kSequential}) {
    engine.schedule = schedule;
    for (const std::int64_t rows : {1, 12, 25}) {
      EnginePlan plan = plan_for(parameters, engine);
      plan.weight_product_rows = rows;
      FusedExecutor executor(parameters, plan);
      expect_equal(
          run(parameters, executor, batch), want, "products of " + std::to_string(rows) + " rows");
      expect_equal(run(parameters, executor, batch), want, "the same buffers again");
    }
  }
}

/// The layer that a weight belongs to, or what stands for no layer.
std::int64_t layer_of(const NamedTensor& weight) {
  const std::string prefix = "model.layers.";
  const bool matrix = weight.name.starts_with(prefix) && weight.tensor.dim() == 2 &&
                      weight.name.find("memory") == std::string::npos;
  return matrix ? std::stoll(weight.name.substr(prefix.size())) : PassHooks::kOutsideLayers;
}

TEST_P(FusedExecutorEquals, ItselfWhereWeightsComeLateAndGradientsAreTakenEarly) {
  const Case& c = GetParam();
  at::manual_seed(7);
  FlatParameters parameters(model_of(c), ComputeDType::kFloat64, at::kCPU, /*seed=*/3);
  const MicroBatch batch = batch_of(c);
  EngineSection engine;
  engine.dtype = ComputeDType::kFloat64;
  engine.bptt_segments = c.bptt_segments;
  engine.execution = Execution::kFused;
  const at::Tensor weights = parameters.compute().clone();
  for (const Schedule schedule : {Schedule::kWavefront, Schedule::kSequential}) {
    engine.schedule = schedule;
    for (const std::int64_t rows : {12, 8192}) {
      EnginePlan plan = plan_for(parameters, engine);
      plan.weight_product_rows = rows;
      FusedExecutor executor(parameters, plan);
      const Outcome want = run(parameters, executor, batch);

      const std::vector<NamedTensor> now = parameters.named(parameters.compute());
      const std::vector<NamedTensor> later = parameters.named(weights);
      const std::vector<NamedTensor> grads = parameters.named(parameters.grad());
      std::vector<std::int64_t> used, done;
      std::vector<at::Tensor> taken(grads.size());
      for (const NamedTensor& weight : now) {
        weight.tensor.fill_(NAN); // has not come
      }
      executor.clear_gradients();
      const PassResult result = executor.train(
          batch,
          {.before_use =
               [&](std::int64_t layer) {
                 used.push_back(layer);
                 for (std::size_t i = 0; i < now.size(); ++i) {
                   if (layer_of(now[i]) == layer) {
                     now[i].tensor.copy_(later[i].tensor);
                   }
                 }
               },
           .gradients_done =
               [&](std::int64_t layer) {
                 done.push_back(layer);
                 for (std::size_t i = 0; i < grads.size(); ++i) {
                   if (layer_of(grads[i]) == layer) {
                     taken[i] = grads[i].tensor.clone();
                   }
                 }
               }});
      std::vector<std::int64_t> up{PassHooks::kOutsideLayers}, down{PassHooks::kOutsideLayers};
      for (std::int64_t n = 0; n < c.layers; ++n) {
        up.push_back(n);
        down.push_back(c.layers - 1 - n);
      }
      EXPECT_EQ(used, up);
      EXPECT_EQ(done, down);
      EXPECT_EQ(result.loss.item<double>(), want.loss);
      for (std::size_t i = 0; i < grads.size(); ++i) {
        EXPECT_TRUE(taken[i].equal(want.grads[i].tensor)) << grads[i].name;
        EXPECT_TRUE(grads[i].tensor.equal(want.grads[i].tensor)) << grads[i].name;
      }
    }
  }
}

TEST_P(FusedExecutorEquals, TheReferenceWhenItOnlyEvaluates) {
  const Case& c = GetParam();
  at::manual_seed(8);
  FlatParameters parameters(model_of(c), ComputeDType::kFloat64, at::kCPU, /*seed=*/4);
  MicroBatch batch = batch_of(c);
  batch.num_prefix_segments = 0;
  EngineSection engine;
  engine.dtype = ComputeDType::kFloat64;
  MemoryState reference_state, fused_state;
  engine.execution = Execution::kReference;
  const PassResult want = make_executor(parameters, engine)->evaluate(batch, &reference_state);
  engine.execution = Execution::kFused;
  const PassResult got = make_executor(parameters, engine)->evaluate(batch, &fused_state);
  EXPECT_LT(relative(got.token_losses, want.token_losses), 1e-10);
  if (!c.llama) {
    EXPECT_EQ(fused_state.position, reference_state.position);
    ASSERT_EQ(fused_state.memory.defined(), reference_state.memory.defined());
    if (fused_state.memory.defined()) {
      EXPECT_LT(relative(fused_state.memory, reference_state.memory), 1e-10);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Options,
    FusedExecutorEquals,
    testing::ValuesIn(cases()),
    [](const auto& each) { return each.param.name; });

TEST(FusedExecutor, GoesOnFromASavedState) {
  const Case c{.name = "plain", .total = 30};
  at::manual_seed(9);
  FlatParameters parameters(model_of(c), ComputeDType::kFloat64, at::kCPU, /*seed=*/5);
  const MicroBatch batch = batch_of(c);
  EngineSection engine;
  engine.execution = Execution::kFused;
  FusedExecutor executor(parameters, plan_for(parameters, engine));
  const at::Tensor want = executor.evaluate(batch, nullptr).token_losses;
  MemoryState state;
  std::vector<at::Tensor> parts;
  for (std::int64_t first = 0; first < 30; first += 10) {
    MicroBatch part;
    part.ids = batch.ids.slice(1, first, first + 10);
    part.targets = batch.targets.slice(1, first, first + 10);
    part.coefficients = batch.coefficients.slice(1, first, first + 10);
    parts.push_back(executor.evaluate(part, &state).token_losses);
  }
  EXPECT_LT(relative(at::cat(parts, 1), want), 1e-12);
  EXPECT_EQ(state.position, 30);
}

// All lengths share one arena, which grows on the way.
TEST(FusedExecutor, EqualsTheReferenceWhateverLengthsCameBefore) {
  Case c{.name = "lengths", .total = 20};
  FlatParameters parameters(model_of(c), ComputeDType::kFloat64, at::kCPU, /*seed=*/5);
  EngineSection engine;
  engine.dtype = ComputeDType::kFloat64;
  engine.execution = Execution::kFused;
  engine.chunk_segments = 4;
  FusedExecutor fused(parameters, plan_for(parameters, engine));
  engine.chunk_segments.reset();
  engine.execution = Execution::kReference;
  const auto reference = make_executor(parameters, engine);
  for (const std::int64_t total : {20, 33, 5, 20, 41, 13, 33}) {
    c.total = total;
    c.prefix = total > 30 ? 3 : 0;
    const MicroBatch batch = batch_of(c);
    expect_equal(
        run(parameters, fused, batch),
        run(parameters, *reference, batch),
        std::to_string(total) + " tokens");
  }
}

TEST(FusedExecutor, RefusesLocalGlobalByName) {
  ModelConfig config = model_of({.name = "plain", .total = 5});
  config.fcc->arch = Architecture::kLocalGlobal;
  config.fcc->num_local_layers = 2;
  FlatParameters parameters(config, ComputeDType::kFloat64, at::kCPU, /*seed=*/5);
  EngineSection engine;
  engine.execution = Execution::kFused;
  try {
    make_executor(parameters, engine);
    FAIL() << "no error";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("local_global"), std::string::npos);
  }
}

TEST(FusedExecutor, RefusesDocumentsWithAFirstMemory) {
  Case c{.name = "zeros", .total = 20, .documents = true};
  c.fcc.first_memory = FirstMemory::kZeros;
  FlatParameters parameters(model_of(c), ComputeDType::kFloat64, at::kCPU, /*seed=*/5);
  EngineSection engine;
  engine.execution = Execution::kFused;
  const auto executor = make_executor(parameters, engine);
  EXPECT_THROW(executor->train(batch_of(c)), Error);
}

TEST(FusedExecutor, IsBitEqualOnSeveralThreads) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  const Case many{.name = "many", .total = 20, .batch = 800, .layers = 1};
  FlatParameters parameters(model_of(many), ComputeDType::kFloat32, at::kCPU, /*seed=*/1);
  EngineSection engine;
  engine.execution = Execution::kFused;
  const auto executor = make_executor(parameters, engine);
  MicroBatch batch = batch_of(many);
  batch.coefficients = batch.coefficients.to(at::kFloat);
  at::Tensor first;
  for (int i = 0; i < 12; ++i) { // many rows of few tokens: what adds them in any order shows it
    parameters.grad().zero_();
    executor->train(batch);
    first = first.defined() ? first : parameters.grad().clone();
    EXPECT_TRUE(at::equal(parameters.grad(), first)) << "pass " << i;
  }
  at::set_num_threads(threads);
}

} // namespace
} // namespace fcc
