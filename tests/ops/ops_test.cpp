#include <cmath>

#include <gtest/gtest.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "fcc/ops/cross_entropy.h"
#include "fcc/ops/rms_norm.h"
#include "fcc/ops/rope.h"
#include "ops/shared_gradient.h"

namespace fcc {
namespace {

at::Tensor normal(at::IntArrayRef shape, std::uint64_t seed, at::ScalarType type = at::kDouble) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::empty(shape, at::TensorOptions(type)).normal_(0, 1, generator);
}

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

TEST(RmsNorm, RoundsOnceInBFloat16) {
  const at::Tensor x = normal({3, 113}, 1).to(at::kBFloat16);
  const at::Tensor weight = normal({113}, 2).to(at::kBFloat16);
  const at::Tensor exact = rms_norm(x.to(at::kDouble), weight.to(at::kDouble), 1e-5);
  EXPECT_TRUE(at::equal(
      rms_norm(x, weight, 1e-5),
      rms_norm(x.to(at::kFloat), weight.to(at::kFloat), 1e-5).to(at::kBFloat16)));
  EXPECT_LT(
      ((rms_norm(x, weight, 1e-5).to(at::kDouble) - exact) / exact).abs().max().item<double>(),
      0.004);
}

TEST(RmsNorm, OfCellsRoundsWhereTheReferenceDoes) {
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat, at::kDouble}) {
    const at::Tensor x = normal({3, 17, 113}, 1).to(type), weight = normal({3, 113}, 2).to(type);
    const at::Tensor memory = normal({3, 5, 113}, 3).to(type);
    const at::Tensor memory_weight = normal({3, 113}, 4).to(type);
    at::Tensor out = at::empty({3, 17, 113}, x.options());
    rms_norm_forward(x, weight, 1e-5, out);
    at::Tensor both = at::empty({3, 22, 113}, x.options());
    rms_norm_forward_with_memory(memory, memory_weight, x, weight, 1e-5, both);
    for (std::int64_t cell = 0; cell < 3; ++cell) {
      EXPECT_TRUE(at::equal(out[cell], rms_norm(x[cell], weight[cell], 1e-5))) << type;
      EXPECT_TRUE(at::equal(both[cell].slice(0, 5), out[cell])) << type;
      EXPECT_TRUE(
          at::equal(both[cell].slice(0, 0, 5), rms_norm(memory[cell], memory_weight[cell], 1e-5)))
          << type;
    }
  }
}

TEST(RmsNorm, OfARowOfZerosIsZero) {
  EXPECT_EQ(rms_norm(at::zeros({2, 5}), at::ones({5}), 1e-5).abs().max().item<float>(), 0.0F);
}

TEST(Rope, ScoresDependOnTheDistanceAloneAtAMillionTokens) {
  const std::vector<double> frequencies = rope_frequencies(64, 500000.0);
  const at::Tensor q = normal({1, 1, 1, 64}, 1), k = normal({1, 1, 1, 64}, 2);
  const auto score = [&](std::int64_t far, at::ScalarType type) {
    const at::TensorOptions options = at::TensorOptions(type);
    const RopeTable q_table = make_rope_table(frequencies, far + 37, 1, options);
    const RopeTable k_table = make_rope_table(frequencies, far, 1, options);
    return (rope(q.to(type), q_table) * rope(k.to(type), k_table)).sum().item<double>();
  };
  EXPECT_NEAR(score(0, at::kDouble), score(1'000'003, at::kDouble), 1e-8);
  EXPECT_NEAR(score(0, at::kFloat), score(1'000'003, at::kFloat), 1e-5);
  EXPECT_NEAR(score(0, at::kDouble), score(-512, at::kDouble), 1e-12);
}

TEST(Rope, PairsElementIWithElementIPlusHalf) {
  const RopeTable table = make_rope_table(rope_frequencies(4, 100.0), 3, 1, at::kDouble);
  at::Tensor x = at::zeros({1, 1, 1, 4}, at::kDouble);
  x.fill_(0).select(3, 1).fill_(1.0); // pair 1 is (1, 3), frequency 100^(-2/4) = 0.1
  const at::Tensor y = rope(x, table).view({4});
  EXPECT_NEAR(y[1].item<double>(), std::cos(0.3), 1e-15);
  EXPECT_NEAR(y[3].item<double>(), std::sin(0.3), 1e-15);
}

TEST(Rope, Llama3ScalingKeepsShortWavesAndStretchesLongOnes) {
  const RopeScaling scaling{
      .factor = 32,
      .low_freq_factor = 1,
      .high_freq_factor = 4,
      .original_max_position_embeddings = 8192};
  const auto plain = rope_frequencies(64, 500000.0),
             scaled = rope_frequencies(64, 500000.0, scaling);
  EXPECT_EQ(scaled.front(), plain.front());
  EXPECT_DOUBLE_EQ(scaled.back(), plain.back() / 32);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    EXPECT_LE(scaled[i], plain[i]);
    EXPECT_GE(scaled[i], plain[i] / 32);
  }
}

struct Head {
  at::Tensor hidden = normal({113, 7}, 1), weight = normal({29, 7}, 2);
  at::Tensor targets = at::arange(113, at::kLong).remainder(31) - 2; // -2, -1: ignored
  at::Tensor coefficients = normal({113}, 3).abs();
};

TEST(CrossEntropy, AgreesWithAutogradOverWholeLogits) {
  const at::AutoGradMode with_grad(true);
  Head head;
  const at::Tensor hidden = head.hidden.clone().requires_grad_(true);
  const at::Tensor weight = head.weight.clone().requires_grad_(true);
  const at::Tensor chosen = hidden.matmul(weight.t())
                                .log_softmax(-1)
                                .gather(1, head.targets.clamp_min(0).unsqueeze(1))
                                .squeeze(1);
  const at::Tensor counted = head.targets.ge(0).to(at::kDouble);
  const at::Tensor loss = -(chosen * counted * head.coefficients).sum();
  loss.backward();
  at::Tensor grad_weight = at::ones({29, 7}, at::kDouble);
  const CrossEntropyResult result = linear_cross_entropy_with_gradient(
      head.hidden, head.weight, head.targets, head.coefficients, grad_weight, {.chunk_tokens = 10});
  EXPECT_LT(max_difference(result.loss, loss), 1e-11);
  EXPECT_LT(max_difference(result.token_losses, -(chosen * counted)), 1e-12);
  EXPECT_LT(max_difference(result.grad_hidden, hidden.grad()), 1e-12);
  EXPECT_LT(max_difference(grad_weight - 1, weight.grad()), 1e-11) << "the gradient is added";
}

TEST(CrossEntropy, DoesNotDependOnTheChunk) {
  Head head;
  const CrossEntropyResult whole =
      linear_cross_entropy(head.hidden, head.weight, head.targets, head.coefficients);
  for (const std::int64_t chunk : {1, 64, 113, 239}) {
    const CrossEntropyResult result = linear_cross_entropy(
        head.hidden, head.weight, head.targets, head.coefficients, {.chunk_tokens = chunk});
    EXPECT_LT(max_difference(result.loss, whole.loss), 1e-11);
    EXPECT_LT(max_difference(result.token_losses, whole.token_losses), 1e-13);
  }
}

TEST(CrossEntropy, AddsABFloat16WeightGradientInFloat32) {
  const Head head;
  const at::Tensor hidden = head.hidden.to(at::kBFloat16), weight = head.weight.to(at::kBFloat16);
  const auto gradient_on = [&](double before) {
    at::Tensor grad_weight = at::zeros({29, 7}, at::kFloat) + before;
    const CrossEntropyResult result = linear_cross_entropy_with_gradient(
        hidden, weight, head.targets, head.coefficients, grad_weight);
    EXPECT_EQ(result.loss.scalar_type(), at::kFloat);
    EXPECT_EQ(result.grad_hidden.scalar_type(), at::kBFloat16);
    return at::Tensor(grad_weight - before);
  };
  const at::Tensor alone = gradient_on(0);
  EXPECT_GT(alone.abs().max().item<float>(), 0.5F);
  // On top of 65,536 a float32 sum is exact to 1/128; one in bfloat16 has steps of 256 or more.
  EXPECT_LT(max_difference(gradient_on(65536), alone), 1.0 / 128);
}

TEST(CrossEntropy, SumsTheChunksOfABFloat16WeightGradientInFloat32) {
  const std::int64_t count = 113;
  const at::Tensor row = normal({1, 7}, 1).to(at::kBFloat16);
  const at::Tensor weight = normal({29, 7}, 2).to(at::kBFloat16);
  const auto gradient_of = [&](std::int64_t rows) { // alike, each a chunk of its own
    at::Tensor grad_weight = at::zeros({29, 7}, at::kFloat);
    linear_cross_entropy_with_gradient(
        row.expand({rows, 7}).contiguous(),
        weight,
        at::zeros({rows}, at::kLong),
        at::ones({rows}),
        grad_weight,
        {.chunk_tokens = 1});
    return grad_weight;
  };
  const at::Tensor one = gradient_of(1), all = gradient_of(count);
  EXPECT_LT(max_difference(all, one * count), 1e-4 * count * one.abs().max().item<double>());
}

TEST(SharedGradient, SumsTheGradientsOfSeveralUsesInTheMastersType) {
  const at::AutoGradMode with_grad(true);
  const at::Tensor master = normal({5}, 1, at::kFloat).requires_grad_(true);
  const at::Tensor rounded = master.detach().to(at::kBFloat16);
  const at::Tensor large = at::ones({5}, at::kBFloat16) * 256, small = at::ones({5}, at::kBFloat16);
  // 256 + 1 needs nine bits: bfloat16 would lose the 1.
  const at::Tensor loss = (share_gradient(master, rounded) * large).sum() +
                          (share_gradient(master, rounded) * small).sum();
  loss.backward();
  EXPECT_EQ(max_difference(master.grad(), at::zeros({5}) + 257), 0.0);
}

} // namespace
} // namespace fcc
