// What every memory of docs/memories.md keeps, and in what they differ: how far back a segment
// matters, and whether a gradient goes there. That a stream equals the whole sequence, that rows
// are independent and that documents reset is asked of all of them in streaming_test.cpp and
// generate/stream_test.cpp; their equations in golden_test.cpp.
#include <gtest/gtest.h>

#include <ATen/ops/arange.h>

#include "fcc/engine/engine_choice.h"
#include "fcc/model/hugging_face.h"
#include "fcc/model/reference.h"
#include "fcc/train/estimate.h"
#include "model/tiny_model.h"
#include "support/memory_kinds.h"

namespace fcc {
namespace {

using namespace fcc::testing;

constexpr std::int64_t kLength = 4;

class EveryMemory : public ::testing::TestWithParam<MemoryKind> {
 protected:
  EveryMemory() : config_(tiny_config(GetParam().fcc)) {
    config_.tie_word_embeddings = false;
    parameters_ = tiny_parameters(config_);
  }

  ModelConfig config_;
  std::unique_ptr<FlatParameters> parameters_;
};

/// How much the losses of segment `s` change with the tokens of segment 0.
double influence(Executor& executor, MicroBatch batch, std::int64_t s) {
  const at::Tensor before = executor.evaluate(batch, nullptr).token_losses;
  batch.ids = batch.ids.clone();
  batch.ids.narrow(1, 0, kLength).add_(1).remainder_(29);
  const at::Tensor after = executor.evaluate(batch, nullptr).token_losses;
  return max_difference(
      before.narrow(1, s * kLength, kLength), after.narrow(1, s * kLength, kLength));
}

TEST_P(EveryMemory, SegmentsMatterAsFarBackAsIsSaid) {
  const auto executor = float64_executor(*parameters_);
  const MicroBatch batch = random_batch(config_, 1, 6 * kLength);
  const std::int64_t N = config_.num_hidden_layers;
  EXPECT_GT(influence(*executor, batch, N), 1e-9);
  const double beyond = influence(*executor, batch, N + 1);
  if (GetParam().within_layers) {
    EXPECT_EQ(beyond, 0.0);
  } else {
    EXPECT_GT(beyond, 1e-9);
  }
}

/// The largest gradient that the last of three segments sends to the embeddings of the first.
double gradient_into_the_first(
    const ModelConfig& config,
    const FlatParameters& parameters,
    std::optional<std::int64_t> bptt_segments) {
  const at::Tensor leaf = parameters.master().detach().clone().requires_grad_(true);
  const ModelWeights weights = parameters.view(leaf);
  const at::Tensor ids = at::arange(3 * kLength, at::kLong).unsqueeze(0); // no token twice
  const at::AutoGradMode with_grad(true);
  ReferenceOptions options;
  options.bptt_segments = bptt_segments;
  reference_forward(config, weights, ids, {}, options)
      .hidden.narrow(1, 2 * kLength, kLength)
      .square()
      .sum()
      .backward();
  return parameters.view(leaf.grad()).embed_tokens.narrow(0, 0, kLength).abs().max().item<double>();
}

TEST_P(EveryMemory, GradientsFlowIntoEarlierSegmentsOrDoNot) {
  const double whole = gradient_into_the_first(config_, *parameters_, std::nullopt);
  if (GetParam().gradient_flows) {
    EXPECT_GT(whole, 1e-9);
  } else {
    EXPECT_EQ(whole, 0.0);
  }
  EXPECT_EQ(gradient_into_the_first(config_, *parameters_, 1), 0.0);
}

TEST_P(EveryMemory, TheStateIsAsLargeAsSaidHoweverMuchWasRead) {
  const auto executor = float64_executor(*parameters_);
  const MemoryPolicy policy(config_);
  for (const std::int64_t segments : {1, 9}) {
    MemoryState state;
    executor->evaluate(random_batch(config_, 2, segments * kLength), &state);
    EXPECT_EQ(
        static_cast<std::int64_t>(state.memory.nbytes()), 2 * policy.memory_bytes(at::kDouble));
    EXPECT_EQ(state.position, segments * kLength);
  }
}

TEST_P(EveryMemory, TrainsBehindAPrefixWhoseGradientIsNotAskedFor) {
  const auto executor = float64_executor(*parameters_);
  MicroBatch batch = random_batch(config_, 2, 5 * kLength);
  batch.num_prefix_segments = 3;
  batch.coefficients.narrow(1, 0, 3 * kLength).zero_();
  executor->clear_gradients();
  const PassResult result = executor->train(batch);
  const at::Tensor gradient = parameters_->grad().clone();
  EXPECT_GT(gradient.norm().item<double>(), 0.1);
  // The same with the prefix's memory handed on by hand.
  batch.num_prefix_segments = 0;
  const at::Tensor whole = executor->evaluate(batch, nullptr).token_losses;
  EXPECT_LT(
      max_difference(
          whole.narrow(1, 3 * kLength, 2 * kLength),
          result.token_losses.narrow(1, 3 * kLength, 2 * kLength)),
      1e-12);
  EXPECT_EQ(result.token_losses.narrow(1, 0, 3 * kLength).abs().max().item<double>(), 0.0);
}

TEST_P(EveryMemory, IsKeptByTheModelsConfiguration) {
  const ModelConfig read = parse_model_config(model_config_json(config_, DType::kF32), "test");
  EXPECT_EQ(model_config_json(read, DType::kF32), model_config_json(config_, DType::kF32));
  EXPECT_EQ(read.fcc->arch, config_.fcc->arch);
  EXPECT_EQ(read.fcc->memory_source, config_.fcc->memory_source);
  EXPECT_EQ(read.fcc->memory_gradient, config_.fcc->memory_gradient);
  EXPECT_EQ(read.fcc->num_memory_tokens, config_.fcc->num_memory_tokens);
}

TEST_P(EveryMemory, ItsParametersAreCounted) {
  std::int64_t count = 0;
  for (const NamedTensor& weight : parameters_->named(parameters_->master())) {
    count += weight.tensor.numel();
  }
  EXPECT_EQ(count_parameters(config_), count);
  EXPECT_EQ(parameter_counts(config_).total(), count);
}

TEST_P(EveryMemory, FusedTakesItOrRefusesItByName) {
  const auto refusal = fused_refusal({.model = config_, .device = at::kCPU});
  EXPECT_EQ(!refusal.has_value(), GetParam().fused);
  if (!refusal) {
    return;
  }
  EXPECT_NE(refusal->rule().find(std::string(enum_name(GetParam().fcc.arch))), std::string::npos);
  EXPECT_EQ(
      choose_execution(
          {}, {.model = config_, .device = at::kCPU, .planned = Processor::kGpuWithKernels}),
      Execution::kReference);
}

TEST_P(EveryMemory, BFloat16StaysNearFloat32) {
  config_.initializer_range = 0.1;
  FlatParameters wide(config_, ComputeDType::kFloat32, at::kCPU, 5);
  FlatParameters narrow(config_, ComputeDType::kBFloat16, at::kCPU, 5);
  MicroBatch batch = random_batch(config_, 2, 5 * kLength);
  batch.coefficients = batch.coefficients.to(at::kFloat) / 40;
  EngineSection engine;
  const PassResult a = make_executor(wide, engine)->train(batch);
  engine.dtype = ComputeDType::kBFloat16;
  const PassResult b = make_executor(narrow, engine)->train(batch);
  EXPECT_NEAR(b.loss.item<float>() / a.loss.item<float>(), 1.0, 0.01);
  EXPECT_LT(((narrow.grad() - wide.grad()).norm() / wide.grad().norm()).item<float>(), 0.1);
}

TEST(MemoryGradient, ALengthOfTheEnginesGradientIsRefusedWhereThereIsNone) {
  FccConfig fcc = condensation(kLength);
  fcc.memory_gradient = MemoryGradient::kStop;
  const auto parameters = tiny_parameters(tiny_config(fcc));
  try {
    float64_executor(*parameters, 2);
    FAIL() << "was accepted";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.where(), "engine.bptt_segments");
  }
}

TEST(MemoryHash, OfAModelFromBeforeTheGradientHadAKeyStays) {
  ModelConfig config = tiny_config(condensation(kLength));
  EXPECT_EQ(model_config_json(config, DType::kF32).find("memory_gradient"), std::string::npos);
  config.fcc->memory_gradient = MemoryGradient::kStop;
  EXPECT_NE(model_config_json(config, DType::kF32).find("memory_gradient"), std::string::npos);
}

TEST(InfiniAttention, AClosedGateLeavesALlamaOverEachSegmentAlone) {
  ModelConfig config =
      tiny_config(FccConfig{.arch = Architecture::kInfiniAttention, .segment_length = kLength});
  const auto parameters = tiny_parameters(config);
  parameters->view(parameters->master()).layers.memory_gate.fill_(-1e9);
  const MicroBatch batch = random_batch(config, 1, 2 * kLength);
  const at::Tensor losses = float64_executor(*parameters)->evaluate(batch, nullptr).token_losses;
  const auto plain = tiny_parameters(tiny_config(std::nullopt));
  for (const NamedTensor& weight : plain->named(plain->master())) {
    for (const NamedTensor& same : parameters->named(parameters->master())) {
      if (weight.name == same.name) {
        weight.tensor.copy_(same.tensor);
      }
    }
  }
  const auto llama = float64_executor(*plain);
  for (const std::int64_t start : {std::int64_t{0}, kLength}) {
    MicroBatch part = batch;
    part.ids = batch.ids.narrow(1, start, kLength);
    part.targets = batch.targets.narrow(1, start, kLength);
    part.coefficients = batch.coefficients.narrow(1, start, kLength);
    EXPECT_LT(
        max_difference(
            llama->evaluate(part, nullptr).token_losses, losses.narrow(1, start, kLength)),
        1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Memories,
    EveryMemory,
    ::testing::ValuesIn(memory_kinds(kLength)),
    [](const auto& tested) { return tested.param.name; });

} // namespace
} // namespace fcc
