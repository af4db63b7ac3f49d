#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "attention_gradients.cuh"

// The rule for every gradient: its error against float64 is at most twice that of the same
// arithmetic with the roundings that bf16 tensor cores force, plus a small absolute term.

namespace fcc::kernels::testing {
namespace {

class MemoryAttentionBackward : public ::testing::TestWithParam<AttentionCase> {
 protected:
  void SetUp() override {
    if (!has_hopper()) {
      GTEST_SKIP() << "needs a GPU of compute capability 9.0";
    }
  }
};

void run(const GradientData& data) {
  const KernelStatus status = memory_attention_backward(data.params());
  ASSERT_EQ(status.error, cudaSuccess) << (status.message == nullptr ? "" : status.message);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

TEST_P(MemoryAttentionBackward, IsAsExactAsBf16ProductsCanBe) {
  const GradientData data(GetParam());
  run(data);
  const Gradients written = data.written();
  const Gradients exact = data.reference(ReferenceMath::kDouble);
  const Gradients low = data.reference(ReferenceMath::kLowPrecision);
  for (size_t i = 0; i < written.all().size(); ++i) {
    const auto [name, value] = written.all()[i];
    const std::vector<double>& reference = *exact.all()[i].second;
    const Difference error = difference(*value, reference);
    const Difference bound = difference(*low.all()[i].second, reference);
    double largest = 0.0;
    for (const double element : reference) {
      largest = std::max(largest, std::abs(element));
    }
    ASSERT_EQ(value->size(), reference.size()) << name;
    // Written so that NaN fails.
    EXPECT_TRUE(error.relative <= 2.0 * bound.relative + 1e-4)
        << name << ": " << error.relative << " against " << bound.relative;
    EXPECT_TRUE(error.largest <= 2.0 * bound.largest + 1e-4 * (1.0 + largest))
        << name << ": " << error.largest << " against " << bound.largest;
  }
}

TEST_P(MemoryAttentionBackward, GivesEqualBitsWhenRepeated) {
  GradientData data(GetParam());
  run(data);
  const std::vector<uint16_t> first = data.bits();
  for (int repeat = 0; repeat < 2; ++repeat) {
    data.poison();
    run(data);
    EXPECT_EQ(first, data.bits());
  }
}

constexpr auto kAll = MemoryPattern::kAll;
constexpr auto kNone = MemoryPattern::kNone;
constexpr auto kMixed = MemoryPattern::kMixed;

// Shape: cells, batch, queries, memory, heads, key/value heads, head width.
INSTANTIATE_TEST_SUITE_P(
    Small,
    MemoryAttentionBackward,
    ::testing::Values(
        AttentionCase{{1, 1, 1, 0, 1, 1, 64}},
        AttentionCase{{1, 1, 1, 1, 1, 1, 128}},
        AttentionCase{{1, 2, 17, 17, 4, 2, 64}, kMixed},
        AttentionCase{{3, 1, 17, 17, 8, 1, 128}, kMixed, 1.0F, true},
        AttentionCase{{1, 1, 64, 64, 2, 2, 64}},
        AttentionCase{{2, 2, 113, 113, 6, 2, 64}, kMixed, 1.0F, true},
        AttentionCase{{3, 1, 113, 64, 4, 4, 128}, kMixed},
        AttentionCase{{3, 1, 239, 239, 8, 2, 64}, kMixed, 4.0F, true},
        AttentionCase{{3, 1, 239, 239, 3, 1, 128}, kMixed, 4.0F}));

INSTANTIATE_TEST_SUITE_P(
    Segments,
    MemoryAttentionBackward,
    ::testing::Values(
        AttentionCase{{2, 1, 256, 256, 8, 2, 64}, kAll, 1.0F, true},
        AttentionCase{{2, 1, 256, 256, 6, 2, 128}, kMixed},
        AttentionCase{{1, 2, 512, 512, 4, 1, 64}, kMixed},
        AttentionCase{{1, 1, 512, 512, 3, 1, 128}},
        AttentionCase{{1, 1, 512, 512, 4, 1, 64}, kAll, 8.0F},
        AttentionCase{{1, 1, 1000, 1000, 2, 1, 64}},
        AttentionCase{{1, 1, 1000, 37, 2, 2, 128}},
        AttentionCase{{1, 1, 1024, 1024, 2, 1, 128}},
        AttentionCase{{1, 1, 2048, 2048, 2, 1, 64}},
        AttentionCase{{1, 2, 1024, 0, 4, 2, 64}},
        AttentionCase{{1, 1, 2048, 0, 2, 1, 128}},
        AttentionCase{{1, 2, 113, 512, 4, 2, 64}, kNone},
        AttentionCase{{64, 1, 64, 64, 4, 2, 64}, kMixed, 1.0F, true},
        AttentionCase{{33, 2, 64, 64, 8, 8, 128}, kMixed}));

TEST(MemoryAttentionBackwardCall, NamesTheRuleThatAShapeBreaks) {
  MemoryAttentionBackwardParams params;
  params.shape = {1, 1, 8, 8, 3, 2, 64};
  const KernelStatus status = memory_attention_backward(params);
  EXPECT_EQ(status.error, cudaErrorInvalidValue);
  ASSERT_NE(status.message, nullptr);
  EXPECT_NE(std::string(status.message).find("num_kv_heads"), std::string::npos);
}

} // namespace
} // namespace fcc::kernels::testing
