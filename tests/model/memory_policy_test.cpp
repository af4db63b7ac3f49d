#include "fcc/model/memory_policy.h"

#include <algorithm>

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include "model/tiny_model.h"

namespace fcc {
namespace {

using testing::condensation;
using testing::local_global;
using testing::tiny_config;

MemoryPolicy with(MemoryPositions positions) {
  FccConfig fcc = condensation(5);
  fcc.memory_positions = positions;
  return MemoryPolicy(tiny_config(fcc));
}

TEST(MemoryPolicy, KeysStandAsTheOptionSays) {
  const KeyPositions first{.memory = 0, .segment = 5}, true_ones{.memory = 35, .segment = 40};
  EXPECT_EQ(with(MemoryPositions::kWindow).positions(40, 5), first);
  EXPECT_EQ(with(MemoryPositions::kGlobal).positions(40, 5), true_ones);
  EXPECT_EQ(with(MemoryPositions::kSame).positions(40, 5), (KeyPositions{0, 0}));
  EXPECT_EQ(with(MemoryPositions::kNone).positions(40, 5), (KeyPositions{std::nullopt, 0}));
}

TEST(MemoryPolicy, ALlamaRemembersNothingAndLocalGlobalItsTop) {
  const MemoryPolicy llama(tiny_config(std::nullopt));
  EXPECT_FALSE(llama.carries());
  EXPECT_FALSE(llama.is_seen(9, false));
  EXPECT_EQ(llama.num_memories(), 0);
  EXPECT_EQ(llama.segment_length(113), 113);
  const MemoryPolicy stacks(tiny_config(local_global(5, 1)));
  EXPECT_EQ(stacks.num_memories(), 1);
  EXPECT_EQ(stacks.segment_length(113), 5);
  EXPECT_TRUE(stacks.weights().empty());
  EXPECT_EQ(MemoryPolicy(tiny_config(condensation(5))).num_memories(), 2);
}

TEST(MemoryPolicy, TheFirstSegmentSeesAMemoryOnlyWhereThereIsOne) {
  FccConfig fcc = condensation(5);
  EXPECT_FALSE(MemoryPolicy(tiny_config(fcc)).is_seen(1, false));
  EXPECT_TRUE(MemoryPolicy(tiny_config(fcc)).is_seen(1, true));
  EXPECT_TRUE(MemoryPolicy(tiny_config(fcc)).is_seen(2, false));
  fcc.first_memory = FirstMemory::kZeros;
  EXPECT_TRUE(MemoryPolicy(tiny_config(fcc)).is_seen(1, false));
}

TEST(MemoryPolicy, RowsWithoutACarriedMemorySeeTheFirstOne) {
  FccConfig fcc = condensation(2);
  fcc.first_memory = FirstMemory::kLearned;
  const MemoryPolicy policy(tiny_config(fcc));
  MemoryWeights<at::Tensor> weights;
  weights.initial_memory = at::full({2, 3}, 7.0, at::kDouble); // [L, D]
  const at::Tensor carried = at::full({2, 2, 3}, 1.0, at::kDouble);
  const at::Tensor seen =
      policy.visible(carried, at::tensor({1, 0}).to(at::kBool), weights, {2, 2, 3}, at::kDouble);
  EXPECT_TRUE(seen[0].equal(carried[0]));
  EXPECT_TRUE(seen[1].equal(weights.initial_memory));
  const at::Tensor nothing = policy.visible({}, {}, weights, {4, 2, 3}, at::kDouble);
  EXPECT_TRUE(nothing[3].equal(weights.initial_memory));
}

TEST(MemoryPolicy, NamesEveryWeightThatMemoryAdds) {
  FccConfig fcc = condensation(5);
  EXPECT_TRUE(MemoryPolicy(tiny_config(fcc)).weights().empty());
  fcc.memory_norm = MemoryNorm::kOwn;
  fcc.first_memory = FirstMemory::kLearned;
  auto weights = MemoryPolicy(tiny_config(fcc)).weights();
  ASSERT_EQ(weights.size(), 2U);
  EXPECT_EQ(weights[1].shape, (std::vector<std::int64_t>{5, 12}));
  for (const Architecture arch : {Architecture::kInfiniAttention, Architecture::kTitansMag}) {
    FccConfig other;
    other.arch = arch;
    other.segment_length = 5;
    const auto more = MemoryPolicy(tiny_config(other)).weights();
    weights.insert(weights.end(), more.begin(), more.end());
  }
  ASSERT_EQ(weights.size(), MemoryWeights<at::Tensor>::kMembers.size());
  for (const auto member : MemoryWeights<at::Tensor>::kMembers) {
    EXPECT_EQ(
        std::count_if(
            weights.begin(),
            weights.end(),
            [member](const MemoryWeightLayout& weight) { return weight.member == member; }),
        1);
  }
}

} // namespace
} // namespace fcc
