#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention_case.cuh"

// The rule: the error against float64 is at most twice that of the same arithmetic with the
// roundings that bf16 tensor cores force, plus a small absolute term.

namespace fcc::kernels::testing {
namespace {

class MemoryAttentionForward : public ::testing::TestWithParam<AttentionCase> {
 protected:
  void SetUp() override {
    if (!has_hopper()) {
      GTEST_SKIP() << "needs a GPU of compute capability 9.0";
    }
  }
};

void run(const MemoryAttentionForwardParams& params) {
  const KernelStatus status = memory_attention_forward(params);
  ASSERT_EQ(status.error, cudaSuccess) << (status.message == nullptr ? "" : status.message);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
}

struct Reference {
  std::vector<double> out;
  std::vector<double> lse;
};

Reference reference(const MemoryAttentionForwardParams& params, ReferenceMath math) {
  const MemoryAttentionShape& s = params.shape;
  const size_t rows = static_cast<size_t>(s.num_cells) * static_cast<size_t>(s.batch) *
                      static_cast<size_t>(s.num_queries) * static_cast<size_t>(s.num_heads);
  const DeviceArray<double> out(rows * static_cast<size_t>(s.head_dim));
  const DeviceArray<double> lse(rows);
  reference_forward(params, math, out.data(), lse.data());
  return {out.to_host(), lse.to_host()};
}

std::vector<double> written_out(const MemoryAttentionForwardParams& params) {
  const MemoryAttentionShape& s = params.shape;
  return packed_to_host(params.out.data, params.out.strides, s, s.num_queries, s.num_heads);
}

TEST_P(MemoryAttentionForward, IsAsExactAsBf16ProductsCanBe) {
  const AttentionData data(GetParam());
  const MemoryAttentionForwardParams params = data.forward_params();
  run(params);
  const Reference exact = reference(params, ReferenceMath::kDouble);
  const Reference low = reference(params, ReferenceMath::kLowPrecision);
  const Difference error = difference(written_out(params), exact.out);
  const Difference bound = difference(low.out, exact.out);
  // Written so that NaN, and with it an element that was not written, fails.
  EXPECT_TRUE(error.relative <= 2.0 * bound.relative + 1e-5)
      << error.relative << " against " << bound.relative;
  EXPECT_TRUE(error.largest <= 2.0 * bound.largest + 1e-3)
      << error.largest << " against " << bound.largest;

  const std::vector<float> lse = data.lse.to_host();
  const std::vector<double> lse_values(lse.begin(), lse.end());
  const Difference lse_error = difference(lse_values, exact.lse);
  const Difference lse_bound = difference(low.lse, exact.lse);
  EXPECT_TRUE(lse_error.largest <= 2.0 * lse_bound.largest + 1e-5)
      << lse_error.largest << " against " << lse_bound.largest;
}

TEST_P(MemoryAttentionForward, GivesEqualBitsWhenRepeatedAndLeavesThePaddingAlone) {
  AttentionData data(GetParam());
  run(data.forward_params());
  const std::vector<__nv_bfloat16> out = data.out.to_host();
  const std::vector<float> lse = data.lse.to_host();
  data.out.poison();
  data.lse.poison();
  run(data.forward_params());
  const std::vector<__nv_bfloat16> again = data.out.to_host();
  const std::vector<float> lse_again = data.lse.to_host();
  EXPECT_EQ(std::memcmp(out.data(), again.data(), out.size() * sizeof(out[0])), 0);
  EXPECT_EQ(std::memcmp(lse.data(), lse_again.data(), lse.size() * sizeof(lse[0])), 0);

  const MemoryAttentionShape& s = data.shape();
  const auto row = static_cast<size_t>(data.out_row);
  const auto width = static_cast<size_t>(s.num_heads) * static_cast<size_t>(s.head_dim);
  size_t touched = 0;
  for (size_t i = 0; i < again.size(); ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, &again[i], sizeof(bits));
    touched += i % row >= width && bits != 0xFFFFU ? 1 : 0;
  }
  EXPECT_EQ(touched, 0U);
}

constexpr auto kAll = MemoryPattern::kAll;
constexpr auto kNone = MemoryPattern::kNone;
constexpr auto kMixed = MemoryPattern::kMixed;

// Shape: cells, batch, queries, memory, heads, key/value heads, head width.
INSTANTIATE_TEST_SUITE_P(
    Small,
    MemoryAttentionForward,
    ::testing::Values(
        AttentionCase{{1, 1, 1, 0, 1, 1, 64}},
        AttentionCase{{1, 1, 1, 1, 1, 1, 128}},
        AttentionCase{{1, 2, 17, 17, 4, 2, 64}, kMixed},
        AttentionCase{{3, 1, 17, 17, 8, 1, 128}, kMixed, 1.0F, true},
        AttentionCase{{3, 1, 17, 200, 5, 1, 64}, kMixed},
        AttentionCase{{1, 1, 64, 64, 2, 2, 64}},
        AttentionCase{{3, 1, 113, 113, 6, 2, 64}, kMixed, 1.0F, true},
        AttentionCase{{3, 1, 113, 64, 4, 4, 128}, kMixed},
        AttentionCase{{3, 1, 239, 239, 8, 2, 64}, kMixed, 4.0F, true},
        AttentionCase{{3, 1, 239, 239, 3, 1, 128}, kMixed, 4.0F},
        AttentionCase{{3, 2, 113, 239, 7, 1, 128}, kMixed, 1.0F, true}));

// Enough items that blocks take several, with all ratios of heads.
INSTANTIATE_TEST_SUITE_P(
    ManyItems,
    MemoryAttentionForward,
    ::testing::Values(
        AttentionCase{{16, 1, 256, 256, 32, 8, 64}, kMixed, 1.0F, true},
        AttentionCase{{16, 1, 256, 256, 24, 8, 128}, kMixed, 1.0F, true},
        AttentionCase{{8, 3, 239, 113, 8, 8, 64}, kMixed},
        AttentionCase{{8, 3, 239, 113, 16, 8, 128}, kMixed},
        AttentionCase{{9, 1, 300, 65, 15, 5, 64}, kMixed, 2.0F},
        AttentionCase{{9, 1, 300, 65, 20, 5, 128}, kMixed, 2.0F},
        AttentionCase{{5, 2, 385, 129, 25, 5, 64}, kAll},
        AttentionCase{{5, 2, 385, 129, 32, 4, 128}, kAll},
        AttentionCase{{64, 1, 64, 64, 32, 8, 64}, kMixed, 1.0F, true},
        AttentionCase{{64, 2, 113, 17, 12, 2, 64}, kMixed},
        AttentionCase{{64, 1, 17, 17, 24, 8, 128}, kNone}));

INSTANTIATE_TEST_SUITE_P(
    Segments,
    MemoryAttentionForward,
    ::testing::Values(
        AttentionCase{{1, 1, 512, 512, 32, 8, 64}},
        AttentionCase{{1, 1, 512, 512, 24, 8, 128}},
        AttentionCase{{4, 1, 512, 512, 32, 8, 64}, kMixed, 8.0F},
        AttentionCase{{4, 1, 512, 512, 24, 8, 128}, kMixed, 8.0F},
        AttentionCase{{2, 1, 1000, 1000, 16, 4, 64}, kAll, 1.0F, true},
        AttentionCase{{2, 1, 1000, 1000, 12, 4, 128}, kAll},
        AttentionCase{{1, 2, 1024, 1024, 16, 4, 64}, kMixed},
        AttentionCase{{1, 1, 2048, 2048, 16, 4, 64}},
        AttentionCase{{1, 1, 2048, 2048, 6, 2, 128}},
        AttentionCase{{1, 2, 2048, 0, 16, 4, 64}},
        AttentionCase{{2, 1, 1000, 0, 12, 4, 128}},
        AttentionCase{{1, 2, 113, 512, 4, 2, 64}, kNone}));

// Rises and falls of the scores along the keys: the running maximum must follow the first and may
// not lose rows to the second.
TEST(MemoryAttentionForwardCall, SurvivesScoresThatGrowAlongTheKeys) {
  if (!has_hopper()) {
    GTEST_SKIP() << "needs a GPU of compute capability 9.0";
  }
  for (const int head_dim : {64, 128}) {
    const AttentionData data(AttentionCase{{2, 1, 256, 320, 4, 2, head_dim}, kAll, 24.0F});
    const MemoryAttentionForwardParams params = data.forward_params();
    run(params);
    const Reference exact = reference(params, ReferenceMath::kDouble);
    const Reference low = reference(params, ReferenceMath::kLowPrecision);
    const Difference error = difference(written_out(params), exact.out);
    const Difference bound = difference(low.out, exact.out);
    EXPECT_TRUE(error.relative <= 2.0 * bound.relative + 1e-5) << error.relative;
  }
}

TEST(MemoryAttentionForwardCall, CanBeCapturedInAGraph) {
  if (!has_hopper()) {
    GTEST_SKIP() << "needs a GPU of compute capability 9.0";
  }
  AttentionData data(AttentionCase{{3, 1, 239, 113, 8, 2, 64}, kMixed});
  run(data.forward_params());
  const std::vector<float> expected = data.lse.to_host();
  data.lse.poison();

  cudaStream_t stream = nullptr;
  ASSERT_EQ(cudaStreamCreate(&stream), cudaSuccess);
  ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  MemoryAttentionForwardParams params = data.forward_params();
  params.stream = stream;
  EXPECT_TRUE(memory_attention_forward(params).ok());
  cudaGraph_t graph = nullptr;
  ASSERT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
  cudaGraphExec_t program = nullptr;
  ASSERT_EQ(cudaGraphInstantiate(&program, graph, 0), cudaSuccess);
  ASSERT_EQ(cudaGraphLaunch(program, stream), cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  EXPECT_EQ(expected, data.lse.to_host());
  cudaGraphExecDestroy(program);
  cudaGraphDestroy(graph);
  cudaStreamDestroy(stream);
}

std::string refusal(const MemoryAttentionForwardParams& params) {
  const KernelStatus status = memory_attention_forward(params);
  EXPECT_EQ(status.error, cudaErrorInvalidValue);
  return status.message == nullptr ? "" : status.message;
}

TEST(MemoryAttentionForwardCall, NamesTheRuleThatIsBroken) {
  MemoryAttentionForwardParams params;
  params.shape = {1, 1, 8, 8, 3, 2, 64};
  EXPECT_NE(refusal(params).find("num_kv_heads"), std::string::npos);
  params.shape.num_heads = 4;
  params.shape.head_dim = 96;
  EXPECT_NE(refusal(params).find("head_dim"), std::string::npos);
  params.shape.head_dim = 64;
  EXPECT_NE(refusal(params).find("scale"), std::string::npos);
  params.scale = NAN;
  EXPECT_NE(refusal(params).find("scale"), std::string::npos);
  params.scale = 1.0F;
  EXPECT_NE(refusal(params).find("lse"), std::string::npos);
  params.shape.num_queries = 0;
  EXPECT_NE(refusal(params).find("num_queries"), std::string::npos);
}

TEST(MemoryAttentionForwardCall, RefusesLayoutsThatTheCopyEngineCannotReach) {
  if (!has_hopper()) {
    GTEST_SKIP() << "needs a GPU of compute capability 9.0";
  }
  const AttentionData data(AttentionCase{{2, 2, 17, 17, 4, 2, 64}});
  MemoryAttentionForwardParams params = data.forward_params();
  params.q.strides.row += 1;
  EXPECT_NE(refusal(params).find("multiples of 8"), std::string::npos);
  params = data.forward_params();
  params.k_mem.strides.batch = -params.k_mem.strides.batch;
  EXPECT_NE(refusal(params).find("positive"), std::string::npos);
  params = data.forward_params();
  params.v_cur.data = static_cast<const char*>(params.v_cur.data) + 8;
  EXPECT_NE(refusal(params).find("16 bytes"), std::string::npos);
  params = data.forward_params();
  params.out.data = nullptr;
  EXPECT_NE(refusal(params).find("null"), std::string::npos);
}

} // namespace
} // namespace fcc::kernels::testing
