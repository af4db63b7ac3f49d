#include <filesystem>

#include <gtest/gtest.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "fcc/core/error.h"
#include "fcc/model/hugging_face.h"
#include "fcc/model/reference.h"
#include "model/tiny_model.h"
#include "support/memory_kinds.h"

namespace fcc {
namespace {

using namespace fcc::testing;

MicroBatch part(const MicroBatch& whole, std::int64_t start, std::int64_t length) {
  MicroBatch batch;
  batch.ids = whole.ids.narrow(1, start, length);
  batch.targets = whole.targets.narrow(1, start, length);
  batch.coefficients = whole.coefficients.narrow(1, start, length);
  return batch;
}

std::vector<FccConfig> stateful_configs() {
  std::vector<FccConfig> all{condensation(4), local_global(4, 1)};
  all.push_back(condensation(4));
  all.back().memory_positions = MemoryPositions::kGlobal;
  all.push_back(condensation(4));
  all.back().memory_source = MemorySource::kInput;
  all.back().first_memory = FirstMemory::kLearned;
  for (const MemoryKind& kind : memory_kinds(4)) {
    all.push_back(kind.fcc);
  }
  return all;
}

TEST(Streaming, SegmentsWithTheStateSavedBetweenThemEqualTheWholeSequence) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / "fcc_streaming_test.safetensors";
  for (const FccConfig& fcc : stateful_configs()) {
    const ModelConfig config = tiny_config(fcc);
    const auto parameters = tiny_parameters(config);
    const auto executor = float64_executor(*parameters);
    const std::string hash = model_hash(*parameters);
    const std::int64_t T = 4 * 5 + 3;
    const MicroBatch whole = random_batch(config, 2, T);
    const PassResult expected = executor->evaluate(whole, nullptr);
    MemoryState state;
    std::vector<at::Tensor> losses;
    for (std::int64_t start = 0; start < T; start += 4) {
      const MicroBatch segment = part(whole, start, std::min<std::int64_t>(4, T - start));
      losses.push_back(executor->evaluate(segment, &state).token_losses);
      save_memory_state(state, file, hash);
      state = load_memory_state(file, hash);
    }
    EXPECT_LT(max_difference(at::cat(losses, 1), expected.token_losses), 1e-12);
    EXPECT_EQ(state.position, 20);
    EXPECT_TRUE(at::equal(state.partial_ids, whole.ids.narrow(1, 20, 3)));
    EXPECT_THROW(executor->evaluate(whole, &state), Error) << "the open segment is not empty";
    EXPECT_THROW(load_memory_state(file, "another"), FormatError);
  }
  std::filesystem::remove(file);
}

TEST(Streaming, ALongSequenceRunsInStretchesOfTheSameValues) {
  const ModelConfig config = tiny_config(condensation(3));
  const auto parameters = tiny_parameters(config);
  const auto executor = float64_executor(*parameters);
  const MicroBatch whole = random_batch(config, 1, 4500);
  MemoryState state;
  const at::Tensor first = executor->evaluate(part(whole, 0, 2301), &state).token_losses;
  const at::Tensor second = executor->evaluate(part(whole, 2301, 2199), &state).token_losses;
  const PassResult expected = executor->evaluate(whole, nullptr);
  EXPECT_LT(max_difference(at::cat({first, second}, 1), expected.token_losses), 1e-11);
}

TEST(Streaming, GradientsFlowThroughAnIncomingState) {
  const ModelConfig config = tiny_config(condensation(4));
  const auto parameters = tiny_parameters(config);
  const at::Tensor leaf = parameters->master().detach().clone().requires_grad_(true);
  const ModelWeights weights = parameters->view(leaf);
  const at::Tensor ids = random_batch(config, 2, 15).ids;
  const at::AutoGradMode with_grad(true);
  const ReferenceOutput first = reference_forward(config, weights, ids.narrow(1, 0, 8));
  const at::Tensor tail =
      reference_forward(config, weights, ids.narrow(1, 8, 7), first.state).hidden;
  tail.square().sum().backward();
  const at::Tensor in_parts = leaf.grad().clone();
  leaf.mutable_grad().zero_();
  reference_forward(config, weights, ids).hidden.narrow(1, 8, 7).square().sum().backward();
  EXPECT_LT(max_difference(in_parts, leaf.grad()), 1e-11);
}

TEST(Documents, NothingBeforeAResetChangesAnythingAfterIt) {
  std::vector<FccConfig> all = stateful_configs();
  for (const FccConfig& fcc : all) {
    const ModelConfig config = tiny_config(fcc);
    const auto parameters = tiny_parameters(config);
    const auto executor = float64_executor(*parameters);
    MicroBatch batch = random_batch(config, 2, 4 * 5);
    batch.segment_starts_document = at::zeros({2, 5}, at::kBool);
    batch.segment_starts_document.select(0, 1).select(0, 3).fill_(true); // row 1, segment 3
    const at::Tensor before = executor->evaluate(batch, nullptr).token_losses;
    batch.ids = batch.ids.clone();
    batch.ids.narrow(1, 0, 12).add_(1).remainder_(config.vocab_size);
    const at::Tensor after = executor->evaluate(batch, nullptr).token_losses;
    const auto tail = [](const at::Tensor& losses, std::int64_t row) {
      return losses.select(0, row).narrow(0, 12, 8);
    };
    EXPECT_EQ(max_difference(tail(before, 1), tail(after, 1)), 0.0);
    EXPECT_GT(max_difference(tail(before, 0), tail(after, 0)), 1e-6) << "row 0 carries its memory";
  }
}

TEST(Documents, ARowThatIsResetEqualsTheSameTokensFromTheStart) {
  for (const FccConfig& fcc : stateful_configs()) {
    const ModelConfig config = tiny_config(fcc);
    const auto parameters = tiny_parameters(config);
    const auto executor = float64_executor(*parameters);
    MicroBatch batch = random_batch(config, 2, 4 * 4 + 1);
    batch.segment_starts_document = at::zeros({2, 5}, at::kBool);
    batch.segment_starts_document.select(0, 1).select(0, 2).fill_(true);
    const at::Tensor losses = executor->evaluate(batch, nullptr).token_losses;
    const at::Tensor fresh = executor->evaluate(part(batch, 8, 9), nullptr).token_losses;
    EXPECT_LT(max_difference(losses[1].narrow(0, 8, 9), fresh[1]), 1e-12);
    batch.segment_starts_document = at::Tensor();
    const at::Tensor carried = executor->evaluate(batch, nullptr).token_losses;
    EXPECT_LT(max_difference(losses[0], carried[0]), 1e-12);
  }
}

TEST(Documents, AResetOfTheOpenSegmentIsPartOfTheState) {
  const ModelConfig config = tiny_config(condensation(4));
  const auto parameters = tiny_parameters(config);
  const auto executor = float64_executor(*parameters);
  MicroBatch batch = random_batch(config, 2, 4 * 2 + 3);
  batch.segment_starts_document = at::zeros({2, 3}, at::kBool);
  batch.segment_starts_document.select(0, 0).select(0, 2).fill_(true);
  MemoryState state;
  executor->evaluate(batch, &state);
  ASSERT_TRUE(state.present.defined());
  EXPECT_FALSE(state.present[0].item<bool>());
  EXPECT_TRUE(state.present[1].item<bool>());
}

TEST(Rows, AreIndependentOfEachOther) {
  for (const FccConfig& fcc : stateful_configs()) {
    const ModelConfig config = tiny_config(fcc);
    const auto parameters = tiny_parameters(config);
    const auto executor = float64_executor(*parameters);
    const MicroBatch batch = random_batch(config, 3, 4 * 3 + 2);
    const at::Tensor together = executor->evaluate(batch, nullptr).token_losses;
    for (std::int64_t row = 0; row < 3; ++row) {
      MicroBatch alone = batch;
      alone.ids = batch.ids.narrow(0, row, 1);
      alone.targets = batch.targets.narrow(0, row, 1);
      alone.coefficients = batch.coefficients.narrow(0, row, 1);
      const at::Tensor losses = executor->evaluate(alone, nullptr).token_losses;
      EXPECT_LT(max_difference(losses[0], together[row]), 1e-12);
    }
  }
}

TEST(Llama, IsCondensationWithOneSegment) {
  const auto plain = tiny_parameters(tiny_config(std::nullopt));
  const auto folded = tiny_parameters(tiny_config(condensation(64)));
  const MicroBatch batch = random_batch(plain->config(), 2, 13);
  const PassResult a = float64_executor(*plain)->train(batch);
  const PassResult b = float64_executor(*folded)->train(batch);
  EXPECT_EQ(max_difference(a.token_losses, b.token_losses), 0.0);
  EXPECT_EQ(max_difference(plain->grad(), folded->grad()), 0.0);
}

TEST(Llama, HasNoStateToGoOnFrom) {
  const auto plain = tiny_parameters(tiny_config(std::nullopt));
  const auto executor = float64_executor(*plain);
  MemoryState state;
  const MicroBatch batch = random_batch(plain->config(), 2, 13);
  executor->evaluate(batch, &state);
  EXPECT_THROW(executor->evaluate(batch, &state), Error);
}

TEST(Executor, AttentionBackendsThatNeedAGpuAreRefusedOnACpuByName) {
  const auto parameters = tiny_parameters(tiny_config(condensation(4)));
  for (const auto& [backend, name] :
       {std::pair{AttentionBackend::kFcc, "fcc"},
        std::pair{AttentionBackend::kFlash, "flash"},
        std::pair{AttentionBackend::kCudnn, "cudnn"}}) {
    EngineSection engine;
    engine.attention = backend;
    try {
      make_executor(*parameters, engine);
      ADD_FAILURE() << name << " was accepted";
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.where(), "engine.attention");
      EXPECT_EQ(error.rule(), std::string(name) + " needs a GPU");
      EXPECT_EQ(error.value(), "cpu");
    }
  }
}

TEST(Executor, FrozenWeightsTakeNoGradientAndChangeNoOther) {
  const ModelConfig config = tiny_config(condensation(4));
  const auto parameters = tiny_parameters(config);
  FlatParameters frozen(
      config,
      ComputeDType::kFloat64,
      at::kCPU,
      5,
      {"model.embed_tokens.weight", "model.norm.weight"});
  const auto copy = [&](FlatParameters& to, FlatParameters& from) {
    const auto source = from.named(from.master()), target = to.named(to.master());
    for (std::size_t i = 0; i < source.size(); ++i) {
      target[i].tensor.copy_(source[i].tensor);
    }
  };
  copy(frozen, *parameters);
  const MicroBatch batch = random_batch(config, 2, 11);
  float64_executor(*parameters)->train(batch);
  float64_executor(frozen)->train(batch);
  const auto all = parameters->named(parameters->grad()), some = frozen.named(frozen.grad());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool is_frozen =
        all[i].name == "model.embed_tokens.weight" || all[i].name == "model.norm.weight";
    EXPECT_LT(
        max_difference(some[i].tensor, is_frozen ? at::zeros_like(all[i].tensor) : all[i].tensor),
        1e-12)
        << all[i].name;
  }
}

TEST(Executor, BFloat16StaysNearFloat32AndKeepsItsGradientsInFloat32) {
  ModelConfig config = tiny_config(condensation(8));
  config.initializer_range = 0.1;
  FlatParameters wide(config, ComputeDType::kFloat32, at::kCPU, 5);
  FlatParameters narrow(config, ComputeDType::kBFloat16, at::kCPU, 5);
  MicroBatch batch = random_batch(config, 4, 8 * 4);
  batch.coefficients = batch.coefficients.to(at::kFloat) / 128;
  EngineSection engine;
  const PassResult a = make_executor(wide, engine)->train(batch);
  engine.dtype = ComputeDType::kBFloat16;
  const PassResult b = make_executor(narrow, engine)->train(batch);
  EXPECT_EQ(narrow.grad().scalar_type(), at::kFloat);
  EXPECT_NEAR(b.loss.item<float>() / a.loss.item<float>(), 1.0, 0.01);
  EXPECT_LT(((narrow.grad() - wide.grad()).norm() / wide.grad().norm()).item<float>(), 0.03);
}

} // namespace
} // namespace fcc
