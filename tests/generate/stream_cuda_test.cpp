#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include "fcc/generate/stream.h"
#include "fcc/model/reference.h"
#include "generate/tiny_model.h"

namespace fcc {
namespace {

ModelConfig gpu_config(Architecture arch) {
  ModelConfig config = test::tiny_config(arch);
  config.hidden_size = 48;
  config.head_dim = 64; // the flash kernel wants multiples of 8
  return config;
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kCPU, at::kDouble) - b.to(at::kCPU, at::kDouble)).abs().max().item<double>();
}

// Logits of the full pass in float64 on the CPU, of weights rounded to bfloat16 first.
at::Tensor exact_logits(
    const ModelConfig& config,
    const FlatParameters& rounded,
    at::Tensor compute,
    const at::Tensor& ids,
    const MemoryState& state) {
  const at::NoGradGuard no_gradients;
  const ModelWeights weights = rounded.view(compute.to(at::kCPU, at::kDouble));
  return reference_logits(weights, reference_forward(config, weights, ids, state).hidden);
}

class CudaStream : public testing::TestWithParam<Architecture> {
 protected:
  void SetUp() override {
    if (!at::hasCUDA()) {
      GTEST_SKIP() << "needs a GPU";
    }
    at::manual_seed(7);
  }
};

TEST_P(CudaStream, InFloat64ItEqualsTheFullPassOnTheCpu) {
  const at::NoGradGuard no_gradients;
  const ModelConfig config = gpu_config(GetParam());
  FlatParameters parameters = test::tiny_parameters(config);
  const at::Tensor ids = test::tiny_ids(config, 2, 18);
  const at::Tensor expected = exact_logits(config, parameters, parameters.compute(), ids, {});
  const ModelWeights weights = parameters.view(parameters.compute().to(at::kCUDA));
  TokenStream stream(config, weights, 2);
  for (std::int64_t i = 0; i < ids.size(1); ++i) {
    EXPECT_LT(largest_difference(stream.feed(ids.narrow(1, i, 1)), expected.select(1, i)), 1e-9);
  }
}

TEST_P(CudaStream, InBFloat16ItStaysCloseAlsoWithRowsThatHaveNoMemory) {
  const at::NoGradGuard no_gradients;
  const ModelConfig config = gpu_config(GetParam());
  FlatParameters parameters = test::tiny_parameters(config, ComputeDType::kBFloat16);
  const ModelWeights weights = parameters.view(parameters.compute().to(at::kCUDA));
  MemoryState state;
  if (GetParam() != Architecture::kLlama) {
    TokenStream before(config, weights, 3);
    before.prefill(test::tiny_ids(config, 3, 10));
    state = before.state();
    state.present = at::tensor({1, 0, 1}, at::kLong).to(at::kBool);
  }
  const at::Tensor ids = test::tiny_ids(config, 3, 18);
  MemoryState on_cpu = state;
  if (state.memory.defined()) {
    on_cpu.memory = state.memory.to(at::kCPU, at::kDouble);
  }
  const at::Tensor expected = exact_logits(config, parameters, parameters.compute(), ids, on_cpu);
  const double scale = expected.abs().max().item<double>();
  TokenStream by_token(config, weights, 3, state), at_once(config, weights, 3, state);
  for (std::int64_t i = 0; i < ids.size(1); ++i) {
    EXPECT_LT(
        largest_difference(by_token.feed(ids.narrow(1, i, 1)), expected.select(1, i)),
        0.05 * scale);
  }
  EXPECT_LT(largest_difference(at_once.feed(ids), expected.select(1, 17)), 0.05 * scale);
}

INSTANTIATE_TEST_SUITE_P(
    EachArchitecture,
    CudaStream,
    testing::Values(Architecture::kLlama, Architecture::kCondensation, Architecture::kLocalGlobal));

} // namespace
} // namespace fcc
