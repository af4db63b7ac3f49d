#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "fcc/model/reference.h"
#include "golden/golden_case.h"

namespace fcc {
namespace {

class Golden : public ::testing::TestWithParam<std::filesystem::path> {};

double max_logit_error(const GoldenCase& golden, ComputeDType dtype) {
  const at::NoGradGuard no_grad;
  const auto parameters = golden.parameters(dtype);
  const ModelWeights weights = parameters->view(parameters->compute());
  ReferenceOptions options;
  options.segment_starts_document = golden.micro_batch(dtype).segment_starts_document;
  const at::Tensor hidden =
      reference_forward(golden.config, weights, golden.ids, {}, options).hidden;
  const at::Tensor logits = reference_logits(weights, hidden).to(at::kDouble);
  return (logits - golden.logits).abs().max().item<double>();
}

TEST_P(Golden, LogitsAgreeInFloat64) {
  EXPECT_LE(max_logit_error(GoldenCase(GetParam()), ComputeDType::kFloat64), 1e-9);
}

TEST_P(Golden, LogitsAgreeInFloat32) {
  EXPECT_LE(max_logit_error(GoldenCase(GetParam()), ComputeDType::kFloat32), 1e-4);
}

TEST_P(Golden, LossAndEveryGradientAgreeInFloat64) {
  const GoldenCase golden(GetParam());
  const auto parameters = golden.parameters(ComputeDType::kFloat64);
  EngineSection engine;
  engine.dtype = ComputeDType::kFloat64;
  engine.bptt_segments = golden.bptt_segments;
  const auto executor = make_executor(*parameters, engine);
  const PassResult result = executor->train(golden.micro_batch(ComputeDType::kFloat64));
  EXPECT_NEAR(result.loss.item<double>(), golden.loss_value, 1e-10);
  for (const NamedTensor& actual : parameters->named(parameters->grad())) {
    const at::Tensor expected = golden.grad(actual.name);
    const double norm = expected.norm().item<double>();
    const double error = (actual.tensor - expected).norm().item<double>();
    EXPECT_LE(error, norm > 0 ? 1e-6 * norm : 1e-12) << actual.name << " of norm " << norm;
  }
}

// GoogleTest takes letters, digits and underscores only.
std::string stem(const ::testing::TestParamInfo<std::filesystem::path>& info) {
  std::string name = info.param.stem().string();
  for (char& c : name) {
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    c = allowed ? c : '_';
  }
  return name;
}

TEST(GoldenCases, AreThere) {
  EXPECT_FALSE(GoldenCase::all().empty()) << "FCC_GOLDEN_DIR must hold .safetensors files";
}

INSTANTIATE_TEST_SUITE_P(Cases, Golden, ::testing::ValuesIn(GoldenCase::all()), stem);

} // namespace
} // namespace fcc
