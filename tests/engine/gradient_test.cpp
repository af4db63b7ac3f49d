#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "model/tiny_model.h"

namespace fcc {
namespace {

using namespace fcc::testing;

struct GradientCase {
  std::string name;
  std::optional<FccConfig> fcc;
  std::int64_t length = 0; ///< T
  bool reset = false;      ///< some rows start a document inside
  bool tied = true;
};

class Gradient : public ::testing::TestWithParam<GradientCase> {};

// The loss along a random direction of each tensor, against <gradient, direction>.
TEST_P(Gradient, OfEveryTensorAgreesWithFiniteDifferences) {
  const GradientCase& param = GetParam();
  ModelConfig config = tiny_config(param.fcc);
  config.tie_word_embeddings = param.tied;
  const auto parameters = tiny_parameters(config);
  const auto executor = float64_executor(*parameters);
  MicroBatch batch = random_batch(config, 3, param.length);
  if (param.reset) {
    const std::int64_t S =
        (param.length + param.fcc->segment_length - 1) / param.fcc->segment_length;
    batch.segment_starts_document = at::zeros({3, S}, at::kBool);
    batch.segment_starts_document.select(0, 1).select(0, 1).fill_(true);
    batch.segment_starts_document.select(0, 2).select(0, S - 1).fill_(true);
  }
  const PassResult trained = executor->train(batch);
  EXPECT_NEAR(
      trained.loss.item<double>(), executor->evaluate(batch, nullptr).loss.item<double>(), 1e-12);

  at::Generator generator = at::detail::createCPUGenerator(11);
  const auto grads = parameters->named(parameters->grad());
  const auto weights = parameters->named(parameters->master());
  constexpr double kStep = 1e-5;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const at::Tensor direction = at::empty_like(weights[i].tensor).normal_(0, 1, generator);
    const auto loss_at = [&](double step) {
      weights[i].tensor.add_(direction, step);
      const double loss = executor->evaluate(batch, nullptr).loss.item<double>();
      weights[i].tensor.add_(direction, -step);
      return loss;
    };
    // Central differences of fourth order.
    const double near = loss_at(kStep) - loss_at(-kStep);
    const double far = loss_at(2 * kStep) - loss_at(-2 * kStep);
    const double measured = (8 * near - far) / (12 * kStep);
    const double expected = (grads[i].tensor * direction).sum().item<double>();
    const double scale = grads[i].tensor.norm().item<double>();
    EXPECT_GT(scale, 1e-4) << weights[i].name << " takes no gradient";
    EXPECT_NEAR(measured, expected, 1e-6 * std::max(scale, std::abs(expected))) << weights[i].name;
  }
}

GradientCase with(std::string name, FccConfig fcc, bool reset = false) {
  return {std::move(name), fcc, 3 * fcc.segment_length + 2, reset, true};
}

std::vector<GradientCase> cases() {
  std::vector<GradientCase> all;
  all.push_back({"llama", std::nullopt, 11, false, true});
  all.push_back({"llama_untied", std::nullopt, 11, false, false});
  all.push_back(with("condensation", condensation(5)));
  all.push_back(with("condensation_reset", condensation(5), true));
  for (const auto& [name, norm] : EnumNames<MemoryNorm>::value) {
    FccConfig fcc = condensation(4);
    fcc.memory_norm = norm;
    all.push_back(with("memory_norm_" + std::string(name), fcc));
  }
  for (const auto& [name, positions] : EnumNames<MemoryPositions>::value) {
    FccConfig fcc = condensation(4);
    fcc.memory_positions = positions;
    all.push_back(with("memory_positions_" + std::string(name), fcc));
  }
  for (const auto& [name, source] : EnumNames<MemorySource>::value) {
    FccConfig fcc = condensation(4);
    fcc.memory_source = source;
    all.push_back(with("memory_source_" + std::string(name), fcc));
  }
  for (const auto& [name, first] : EnumNames<FirstMemory>::value) {
    FccConfig fcc = condensation(4);
    fcc.first_memory = first;
    all.push_back(with("first_memory_" + std::string(name), fcc));
    all.push_back(with("first_memory_" + std::string(name) + "_reset", fcc, true));
  }
  all.push_back(with("local_global", local_global(4, 2)));
  all.push_back(with("local_global_reset", local_global(4, 1), true));
  return all;
}

std::string name_of(const ::testing::TestParamInfo<GradientCase>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Options, Gradient, ::testing::ValuesIn(cases()), name_of);

} // namespace
} // namespace fcc
