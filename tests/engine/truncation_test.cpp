#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "model/plain_condensation.h"
#include "model/tiny_model.h"

namespace fcc {
namespace {

using namespace fcc::testing;

// Gradients of the plain writing with cuts by hand, as a flat buffer.
at::Tensor plain_gradient(
    FlatParameters& parameters,
    const MicroBatch& batch,
    std::int64_t first_counted,
    const std::function<bool(std::int64_t)>& cut) {
  at::Tensor leaf = parameters.master().detach().clone();
  leaf.set_requires_grad(true);
  const PlainCondensation plain{parameters.config(), parameters.view(leaf)};
  at::Tensor loss = at::full({}, 0.0, at::kDouble);
  for (std::int64_t row = 0; row < batch.ids.size(0); ++row) {
    const at::Tensor log_probabilities = plain.logits(batch.ids[row], cut).log_softmax(-1);
    const at::Tensor chosen =
        log_probabilities.gather(1, batch.targets[row].clamp_min(0).unsqueeze(1)).squeeze(1);
    const at::Tensor weighted = chosen * batch.coefficients[row];
    loss = loss - weighted.narrow(0, first_counted, weighted.size(0) - first_counted).sum();
  }
  loss.backward();
  return leaf.grad();
}

double relative_error(const at::Tensor& actual, const at::Tensor& expected) {
  return ((actual - expected).norm() / expected.norm()).item<double>();
}

class TruncationEvery : public ::testing::TestWithParam<int> {};

TEST_P(TruncationEvery, EqualsCutsMadeByHand) {
  const std::int64_t k = GetParam();
  const ModelConfig config = tiny_config(condensation(4));
  const auto parameters = tiny_parameters(config);
  const MicroBatch batch = random_batch(config, 2, 4 * 5 + 3);
  float64_executor(*parameters, k)->train(batch);
  const at::Tensor expected =
      plain_gradient(*parameters, batch, 0, [k](std::int64_t s) { return s % k == 0; });
  EXPECT_LT(relative_error(parameters->grad(), expected), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Segments, TruncationEvery, ::testing::Values(1, 2, 3, 100));

TEST(Truncation, NoneIsFullBackpropagationThroughMemory) {
  const ModelConfig config = tiny_config(condensation(4));
  const auto parameters = tiny_parameters(config);
  const MicroBatch batch = random_batch(config, 2, 4 * 4);
  float64_executor(*parameters)->train(batch);
  const at::Tensor whole =
      plain_gradient(*parameters, batch, 0, [](std::int64_t) { return false; });
  EXPECT_LT(relative_error(parameters->grad(), whole), 1e-12);
  const at::Tensor cut = plain_gradient(*parameters, batch, 0, [](std::int64_t) { return true; });
  EXPECT_GT(relative_error(parameters->grad(), cut), 1e-3)
      << "the memory's gradient is too small to see";
}

TEST(Truncation, CountsFromTheFirstSegmentAfterThePrefix) {
  const ModelConfig config = tiny_config(condensation(4));
  const auto parameters = tiny_parameters(config);
  MicroBatch batch = random_batch(config, 2, 4 * 7 + 1);
  batch.num_prefix_segments = 3;
  const PassResult result = float64_executor(*parameters, 2)->train(batch);
  // Segments 0..2 are the prefix: no gradient enters them, and the cuts lie before 3, 5 and 7.
  const at::Tensor expected = plain_gradient(
      *parameters, batch, 12, [](std::int64_t s) { return s < 3 || (s - 3) % 2 == 0; });
  EXPECT_LT(relative_error(parameters->grad(), expected), 1e-12);
  EXPECT_EQ(result.token_losses.narrow(1, 0, 12).abs().max().item<double>(), 0.0);
  EXPECT_LT(max_difference(result.loss, (result.token_losses * batch.coefficients).sum()), 1e-12);
}

TEST(Truncation, ZeroSegmentsAreRefused) {
  const ModelConfig config = tiny_config(condensation(4));
  const auto parameters = tiny_parameters(config);
  EXPECT_THROW(float64_executor(*parameters, 0)->train(random_batch(config, 1, 9)), Error);
}

} // namespace
} // namespace fcc
