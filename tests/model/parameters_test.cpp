#include <set>

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>

#include "fcc/core/error.h"
#include "model/tiny_model.h"

namespace fcc {
namespace {

using namespace fcc::testing;

TEST(Parameters, OfTheTableOneModelAreCountedExactly) {
  EXPECT_EQ(count_parameters(model_preset("table-1")), 126489088);
}

TEST(Parameters, NamesCoverTheBufferWithoutOverlap) {
  FccConfig fcc = condensation(4);
  fcc.memory_norm = MemoryNorm::kOwn;
  fcc.first_memory = FirstMemory::kLearned;
  ModelConfig config = tiny_config(fcc);
  config.tie_word_embeddings = false;
  FlatParameters parameters(config, ComputeDType::kFloat32, at::kCPU, 1);
  at::Tensor flat = parameters.master().clone().zero_();
  std::set<std::string> names;
  std::int64_t count = 0;
  for (const NamedTensor& weight : parameters.named(flat)) {
    EXPECT_TRUE(names.insert(weight.name).second) << weight.name;
    EXPECT_TRUE(weight.tensor.is_contiguous());
    weight.tensor.add_(1);
    count += weight.tensor.numel();
  }
  EXPECT_EQ(count, parameters.num_parameters());
  EXPECT_EQ(count, count_parameters(config));
  EXPECT_EQ(flat.sum().item<double>(), static_cast<double>(count)) << "no element twice";
  EXPECT_TRUE(names.contains("model.layers.1.self_attn.k_proj.weight"));
  EXPECT_TRUE(names.contains("model.layers.0.initial_memory"));
  EXPECT_TRUE(names.contains("lm_head.weight"));
}

TEST(Parameters, OnlyMatricesLieInTheDecayRegion) {
  FlatParameters parameters(tiny_config(local_global(4, 1)), ComputeDType::kFloat32, at::kCPU, 1);
  const RegionEnds ends = parameters.regions();
  EXPECT_EQ(ends.no_decay, ends.all);
  for (const NamedTensor& weight : parameters.named(parameters.master())) {
    EXPECT_EQ(weight.tensor.storage_offset() < ends.decay, weight.tensor.dim() >= 2) << weight.name;
  }
  const ModelWeights views = parameters.view(parameters.master());
  for (const at::Tensor& stacked : {views.layers.qkv_proj, views.local.down_proj, views.norm}) {
    EXPECT_EQ(stacked.storage_offset() % 64, 0);
  }
}

TEST(Parameters, StartAlikeInEveryDtype) {
  const ModelConfig config = tiny_config(condensation(4));
  FlatParameters single(config, ComputeDType::kFloat32, at::kCPU, 7);
  FlatParameters wide(config, ComputeDType::kFloat64, at::kCPU, 7);
  FlatParameters narrow(config, ComputeDType::kBFloat16, at::kCPU, 7);
  FlatParameters other(config, ComputeDType::kFloat32, at::kCPU, 8);
  EXPECT_TRUE(at::equal(single.master().to(at::kDouble), wide.master()));
  EXPECT_TRUE(at::equal(single.master(), narrow.master()));
  EXPECT_TRUE(at::equal(narrow.compute(), narrow.master().to(at::kBFloat16)));
  EXPECT_FALSE(at::equal(single.master(), other.master()));
  EXPECT_TRUE(single.compute().is_same(single.master()));
}

TEST(Parameters, FrozenOnesComeLast) {
  FlatParameters parameters(
      tiny_config(condensation(4)),
      ComputeDType::kFloat32,
      at::kCPU,
      1,
      {"model.embed_tokens.weight"});
  const RegionEnds ends = parameters.regions();
  for (const NamedTensor& weight : parameters.named(parameters.master())) {
    const bool frozen = weight.tensor.storage_offset() >= ends.no_decay;
    EXPECT_EQ(frozen, weight.name == "model.embed_tokens.weight");
  }
}

TEST(Parameters, AFreezePatternMustMatchAKindInAllLayers) {
  const auto freeze = [](const std::string& pattern) {
    FlatParameters(tiny_config(condensation(4)), ComputeDType::kFloat32, at::kCPU, 1, {pattern});
  };
  EXPECT_THROW(freeze("model.layers.0.*"), ConfigError);
  EXPECT_THROW(freeze("model.nothing"), ConfigError);
  EXPECT_NO_THROW(freeze("model.layers.*"));
}

} // namespace
} // namespace fcc
