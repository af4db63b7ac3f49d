#include "fcc/generate/stream.h"
#include "fcc/io/files.h"

#include <unistd.h>

#include <filesystem>

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/model/reference.h"
#include "generate/tiny_model.h"

namespace fcc {
namespace {

constexpr double kTolerance = 1e-10;

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

class StreamOfEachModel : public testing::TestWithParam<test::NamedConfig> {
 protected:
  void SetUp() override {
    at::manual_seed(7);
    parameters_ = std::make_unique<FlatParameters>(test::tiny_parameters(config_));
    weights_ = parameters_->view(parameters_->compute());
  }
  // The logits of the full pass, [B, T, V].
  at::Tensor full_pass(const at::Tensor& ids, const MemoryState& state = {}) const {
    const at::NoGradGuard no_gradients;
    return reference_logits(weights_, reference_forward(config_, weights_, ids, state).hidden);
  }

  ModelConfig config_ = GetParam().config;
  std::unique_ptr<FlatParameters> parameters_;
  ModelWeights weights_;
};

TEST_P(StreamOfEachModel, TokenByTokenEqualsTheFullPass) {
  const at::Tensor ids = test::tiny_ids(config_, 3, 23);
  const at::Tensor expected = full_pass(ids);
  TokenStream stream(config_, weights_, 3);
  EXPECT_FALSE(stream.has_logits());
  for (std::int64_t i = 0; i < ids.size(1); ++i) {
    const at::Tensor logits = stream.feed(ids.narrow(1, i, 1));
    ASSERT_LT(largest_difference(logits, expected.select(1, i)), kTolerance) << "token " << i;
    EXPECT_EQ(stream.num_tokens(), i + 1);
  }
}

TEST_P(StreamOfEachModel, AnySplitIntoFeedsEqualsTheFullPass) {
  const at::Tensor ids = test::tiny_ids(config_, 2, 31);
  const at::Tensor expected = full_pass(ids);
  Random random(5);
  for (int trial = 0; trial < 8; ++trial) {
    TokenStream stream(config_, weights_, 2);
    for (std::int64_t fed = 0; fed < ids.size(1);) {
      const std::int64_t count = 1 + random.below(std::min<std::int64_t>(13, ids.size(1) - fed));
      const at::Tensor logits = stream.feed(ids.narrow(1, fed, count));
      fed += count;
      ASSERT_LT(largest_difference(logits, expected.select(1, fed - 1)), kTolerance)
          << "after " << fed;
    }
  }
}

TEST_P(StreamOfEachModel, SavedAndRestoredAfterEveryTokenItGoesOnAlike) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() /
      ("fcc_stream_" + std::to_string(::getpid()) + "_" + GetParam().name + ".safetensors");
  const at::Tensor ids = test::tiny_ids(config_, 2, 17);
  const at::Tensor expected = full_pass(ids);
  MemoryState state;
  for (std::int64_t i = 0; i < ids.size(1); ++i) {
    TokenStream stream(config_, weights_, 2, state);
    EXPECT_EQ(stream.num_tokens(), i);
    if (stream.has_logits()) {
      ASSERT_LT(largest_difference(stream.logits(), expected.select(1, i - 1)), kTolerance);
    } else {
      // What came out of the last layer is lost at a border, unless it is the memory.
      EXPECT_TRUE(
          i == 0 ||
          (i % config_.fcc->segment_length == 0 && !MemoryPolicy(config_).ends_with_output()));
    }
    ASSERT_LT(
        largest_difference(stream.feed(ids.narrow(1, i, 1)), expected.select(1, i)), kTolerance)
        << "token " << i;
    save_memory_state(stream.state(), file, "hash");
    state = load_memory_state(file, "hash");
  }
  std::filesystem::remove(file);
}

TEST(SavedState, IsRefusedOnceABitOfItHasChanged) {
  const std::filesystem::path file = std::filesystem::temp_directory_path() /
                                     ("fcc_damaged_" + std::to_string(::getpid()) + ".safetensors");
  MemoryState state;
  state.memory = at::ones({2, 1, 3, 4});
  state.position = 3;
  save_memory_state(state, file, "hash");
  EXPECT_EQ(load_memory_state(file, "hash").position, 3);
  std::string content = read_file(file);
  content.back() = static_cast<char>(content.back() ^ 1);
  write_file_atomic(file, content);
  EXPECT_THROW(load_memory_state(file, "hash"), FormatError);
  std::filesystem::remove(file);
}

TEST_P(StreamOfEachModel, ItsStateIsThatOfTheFullPass) {
  if (config_.arch() == Architecture::kLlama) {
    return; // keeps no memory: its state is the tokens
  }
  const at::NoGradGuard no_gradients;
  const at::Tensor ids = test::tiny_ids(config_, 2, 18);
  const MemoryState expected = reference_forward(config_, weights_, ids).state;
  TokenStream stream(config_, weights_, 2);
  stream.prefill(ids);
  const MemoryState state = stream.state();
  EXPECT_EQ(state.position, expected.position);
  EXPECT_LT(largest_difference(state.memory, expected.memory), kTolerance);
  EXPECT_EQ(state.partial_ids.defined(), expected.partial_ids.defined());
  if (state.partial_ids.defined()) {
    EXPECT_TRUE(state.partial_ids.equal(expected.partial_ids));
  }
}

TEST_P(StreamOfEachModel, AForkGoesOnBitForBitAndEachItsOwnWay) {
  const at::Tensor ids = test::tiny_ids(config_, 2, 26);
  const at::Tensor others = test::tiny_ids(config_, 2, 13);
  for (const std::int64_t length : {0, 3, 5, 13}) { // of a segment's 5: inside, at a border
    TokenStream stream(config_, weights_, 2);
    if (length > 0) {
      stream.prefill(ids.narrow(1, 0, length));
    }
    TokenStream undisturbed = stream.fork();
    TokenStream fork = stream.fork();
    EXPECT_EQ(fork.num_tokens(), length);
    EXPECT_EQ(fork.has_logits(), length > 0);
    for (std::int64_t i = 0; i < 13; ++i) {
      const at::Tensor next = ids.narrow(1, length + i, 1);
      fork.prefill(others.narrow(1, i, 1));
      const at::Tensor logits = stream.feed(next);
      ASSERT_TRUE(at::equal(logits, undisturbed.feed(next))) << length << " and " << i;
    }
    TokenStream alone(config_, weights_, 2);
    if (length > 0) {
      alone.prefill(ids.narrow(1, 0, length));
    }
    EXPECT_LT(largest_difference(alone.feed(others), fork.logits()), kTolerance);
  }
}

TEST_P(StreamOfEachModel, RowsWithoutMemoryDoNotSeeIt) {
  if (config_.arch() == Architecture::kLlama) {
    return;
  }
  const at::NoGradGuard no_gradients;
  const std::int64_t L = config_.fcc->segment_length;
  MemoryState state = reference_forward(config_, weights_, test::tiny_ids(config_, 3, 2 * L)).state;
  state.present = at::tensor({1, 0, 1}, at::kLong).to(at::kBool);
  const at::Tensor ids = test::tiny_ids(config_, 3, 2 * L + 3);
  const at::Tensor expected = full_pass(ids, state);
  TokenStream by_token(config_, weights_, 3, state), at_once(config_, weights_, 3, state);
  for (std::int64_t i = 0; i < ids.size(1); ++i) {
    const at::Tensor logits = by_token.feed(ids.narrow(1, i, 1));
    ASSERT_LT(largest_difference(logits, expected.select(1, i)), kTolerance) << "token " << i;
  }
  EXPECT_LT(largest_difference(at_once.feed(ids), expected.select(1, ids.size(1) - 1)), kTolerance);
}

TEST_P(StreamOfEachModel, InFloat32AndBFloat16ItStaysClose) {
  for (const auto& [dtype, tolerance] :
       {std::pair{ComputeDType::kFloat32, 1e-4}, std::pair{ComputeDType::kBFloat16, 0.25}}) {
    at::manual_seed(7);
    FlatParameters parameters = test::tiny_parameters(config_, dtype);
    const ModelWeights weights = parameters.view(parameters.compute());
    const at::Tensor ids = test::tiny_ids(config_, 2, 13);
    const at::NoGradGuard no_gradients;
    const at::Tensor expected =
        reference_logits(weights, reference_forward(config_, weights, ids).hidden);
    TokenStream stream(config_, weights, 2);
    for (std::int64_t i = 0; i < ids.size(1); ++i) {
      const at::Tensor logits = stream.feed(ids.narrow(1, i, 1));
      EXPECT_EQ(logits.scalar_type(), weights.embed_tokens.scalar_type());
      EXPECT_LT(largest_difference(logits, expected.select(1, i)), tolerance) << "token " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    TokenStream,
    StreamOfEachModel,
    testing::ValuesIn(test::all_tiny_configs()),
    [](const auto& model) { return model.param.name; });

class TokenStreamTest : public testing::Test {
 protected:
  ModelConfig config_ = test::tiny_config(Architecture::kCondensation);
  FlatParameters parameters_ = test::tiny_parameters(config_);
  ModelWeights weights_ = parameters_.view(parameters_.compute());
};

TEST_F(TokenStreamTest, AStateOutlivesItsStreamAndDoesNotChangeAsItGoesOn) {
  TokenStream stream(config_, weights_, 1);
  stream.prefill(test::tiny_ids(config_, 1, 12));
  const MemoryState state = stream.state();
  const at::Tensor memory = state.memory.clone();
  stream.prefill(test::tiny_ids(config_, 1, 20));
  EXPECT_TRUE(state.memory.equal(memory));
  EXPECT_EQ(state.partial_ids.size(1), 2);
  EXPECT_EQ(state.position, 10);
}

TEST_F(TokenStreamTest, RefusesIdsAndStatesThatDoNotFit) {
  TokenStream stream(config_, weights_, 2);
  EXPECT_THROW(stream.logits(), Error);
  EXPECT_THROW(stream.feed(test::tiny_ids(config_, 1, 3)), Error);
  EXPECT_THROW(stream.feed(test::tiny_ids(config_, 2, 3).narrow(1, 0, 0)), Error);
  EXPECT_THROW(stream.feed(test::tiny_ids(config_, 2, 3).to(at::kInt)), Error);
  const at::Tensor outside = at::tensor(std::vector<std::int64_t>{28, 29}, at::kLong).view({2, 1});
  EXPECT_THROW(stream.feed(outside), Error);
  stream.prefill(test::tiny_ids(config_, 2, 7));
  EXPECT_THROW(TokenStream(config_, weights_, 3, stream.state()), Error);
  const ModelConfig llama = test::tiny_config(Architecture::kLlama);
  EXPECT_THROW(TokenStream(llama, weights_, 2, stream.state()), Error);
}

TEST_F(TokenStreamTest, GreedyContinuationTakesTheLikeliestTokenOfEachFullPass) {
  const std::vector<std::vector<std::int32_t>> prompts{
      {3, 1, 4, 1, 5, 9, 2}, {6, 5, 3, 5, 8, 9, 7}, {2, 7, 1, 8, 2, 8, 1}};
  const auto answers = continue_greedily(config_, weights_, prompts, 6);
  ASSERT_EQ(answers.size(), 3u);
  const at::NoGradGuard no_gradients;
  for (std::size_t row = 0; row < 3; ++row) {
    std::vector<std::int64_t> text(prompts[row].begin(), prompts[row].end());
    for (const std::int32_t id : answers[row]) {
      const at::Tensor ids = at::tensor(text, at::kLong).unsqueeze(0);
      const at::Tensor hidden = reference_forward(config_, weights_, ids).hidden;
      const at::Tensor logits = reference_logits(weights_, hidden).select(1, ids.size(1) - 1);
      EXPECT_EQ(id, logits.argmax().item<std::int64_t>());
      text.push_back(id);
    }
    EXPECT_EQ(answers[row].size(), 6u);
  }
  EXPECT_THROW(continue_greedily(config_, weights_, {{1, 2}, {3}}, 1), Error);
}

TEST_F(TokenStreamTest, AContinuationGoesOnWhereAnotherReaderOfThePromptStopped) {
  const std::vector<std::vector<std::int32_t>> prompts{
      {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5}, {8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2}};
  std::int64_t num_read = 0;
  const PromptRunner run_first = [&](const at::Tensor& ids, MemoryState& state) {
    TokenStream reader(config_, weights_, ids.size(0));
    reader.prefill(ids.slice(1, 0, 9));
    state = reader.state();
    num_read += 9;
    return std::int64_t{9};
  };
  EXPECT_EQ(
      continue_greedily(config_, weights_, prompts, 5, run_first),
      continue_greedily(config_, weights_, prompts, 5));
  const Sampler sampler({.temperature = 0});
  EXPECT_EQ(
      continue_sampled(config_, weights_, prompts[0], sampler, 5, {}, run_first),
      continue_sampled(config_, weights_, prompts[0], sampler, 5, {}));
  EXPECT_EQ(num_read, 18);
}

TEST_F(TokenStreamTest, AnObserverSeesEveryLayerAndTheKeysItHolds) {
  TokenStream stream(config_, weights_, 1);
  std::vector<std::int64_t> layers, keys;
  stream.observe([&](const LayerView& view) {
    layers.push_back(view.layer);
    keys.push_back(view.k.size(1));
  });
  stream.prefill(test::tiny_ids(config_, 1, 8)); // one whole segment and three tokens
  EXPECT_EQ(layers, (std::vector<std::int64_t>{0, 1, 2, 0, 1, 2}));
  EXPECT_EQ(keys, (std::vector<std::int64_t>{5, 5, 5, 8, 8, 8}));
}

} // namespace
} // namespace fcc
