#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>

#include "fcc/engine/engine_choice.h"
#include "fcc/engine/make_executor.h"
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

void expect_loss_and_gradients(const GoldenCase& golden, const EngineSection& engine) {
  const auto parameters = golden.parameters(ComputeDType::kFloat64);
  const auto executor = make_executor(*parameters, engine);
  executor->clear_gradients();
  const PassResult result = executor->train(golden.micro_batch(ComputeDType::kFloat64));
  EXPECT_NEAR(result.loss.item<double>(), golden.loss_value, 1e-10);
  // Files that hold float32 gradients can be met no closer. The absolute term is for gradients that
  // are zero but for rounding.
  const double largest = parameters->grad().norm().item<double>();
  for (const NamedTensor& actual : parameters->named(parameters->grad())) {
    const at::Tensor expected = golden.grad(actual.name);
    const double norm = expected.norm().item<double>();
    const double error = (actual.tensor - expected).norm().item<double>();
    const bool wide = golden.file.at("grad." + actual.name).dtype == DType::kF64;
    EXPECT_LE(error, (wide ? 1e-10 : 1e-6) * norm + 1e-12 * largest)
        << actual.name << " of norm " << norm;
  }
}

EngineSection engine_for(const GoldenCase& golden, Execution execution) {
  EngineSection engine;
  engine.execution = execution;
  engine.dtype = ComputeDType::kFloat64;
  engine.bptt_segments = golden.bptt_segments;
  return engine;
}

TEST_P(Golden, LossAndEveryGradientOfTheReferenceAgreeInFloat64) {
  const GoldenCase golden(GetParam());
  expect_loss_and_gradients(golden, engine_for(golden, Execution::kReference));
}

TEST_P(Golden, LossAndEveryGradientOfFusedAgreeInFloat64) {
  const GoldenCase golden(GetParam());
  EngineSection engine = engine_for(golden, Execution::kFused);
  const bool resets = golden.micro_batch(ComputeDType::kFloat64).segment_starts_document.defined();
  if (fused_refusal({.model = golden.config, .device = at::kCPU, .documents_reset = resets})) {
    // Whoever adds a case that fused should serve would not notice that it is passed over.
    EXPECT_NE(golden.config.arch(), Architecture::kCondensation);
    EXPECT_NE(golden.config.arch(), Architecture::kLlama);
    GTEST_SKIP() << "fused does not serve this model";
  }
  for (const Schedule schedule : {Schedule::kWavefront, Schedule::kSequential}) {
    SCOPED_TRACE(enum_name(schedule));
    engine.schedule = schedule;
    engine.activations = Activations::kStore;
    engine.chunk_segments.reset();
    expect_loss_and_gradients(golden, engine);
    engine.activations = Activations::kRecompute;
    engine.chunk_segments = 1;
    expect_loss_and_gradients(golden, engine);
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
