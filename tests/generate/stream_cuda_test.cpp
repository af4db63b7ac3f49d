#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/stack.h>
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

// ‖a - exact‖ / ‖exact‖ over all rows, tokens and logits.
double relative_error(const at::Tensor& a, const at::Tensor& exact) {
  return ((a.to(at::kCPU, at::kDouble) - exact).norm() / exact.norm()).item<double>();
}

// Logits of the full pass on the CPU in `dtype`, of weights rounded to their own type first.
at::Tensor full_pass_logits(
    const ModelConfig& config,
    const FlatParameters& parameters,
    at::ScalarType dtype,
    const at::Tensor& ids,
    MemoryState state) {
  const at::NoGradGuard no_gradients;
  const ModelWeights weights = parameters.view(parameters.compute().to(at::kCPU, dtype));
  if (state.memory.defined()) {
    state.memory = state.memory.to(at::kCPU, dtype);
  }
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
  const at::Tensor expected = full_pass_logits(config, parameters, at::kDouble, ids, {});
  const ModelWeights weights = parameters.view(parameters.compute().to(at::kCUDA));
  TokenStream stream(config, weights, 2);
  for (std::int64_t i = 0; i < ids.size(1); ++i) {
    EXPECT_LT(largest_difference(stream.feed(ids.narrow(1, i, 1)), expected.select(1, i)), 1e-9);
  }
}

// Weights of this size double small differences many times over, so the bar is the error of the
// plain full pass in bfloat16, not a share of the logits.
TEST_P(CudaStream, InBFloat16ItErrsAtMostTwiceAsMuchAsTheFullPassAlsoWithRowsWithoutMemory) {
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
  const at::Tensor exact = full_pass_logits(config, parameters, at::kDouble, ids, state);
  const at::Tensor plain = full_pass_logits(config, parameters, at::kBFloat16, ids, state);
  TokenStream by_token(config, weights, 3, state), at_once(config, weights, 3, state);
  std::vector<at::Tensor> logits;
  for (std::int64_t i = 0; i < ids.size(1); ++i) {
    logits.push_back(by_token.feed(ids.narrow(1, i, 1)));
  }
  EXPECT_LT(relative_error(at::stack(logits, 1), exact), 2 * relative_error(plain, exact) + 0.01);
  const at::Tensor last = exact.select(1, 17);
  EXPECT_LT(
      relative_error(at_once.feed(ids), last),
      2 * relative_error(plain.select(1, 17), last) + 0.01);
}

INSTANTIATE_TEST_SUITE_P(
    EachArchitecture,
    CudaStream,
    testing::Values(Architecture::kLlama, Architecture::kCondensation, Architecture::kLocalGlobal));

} // namespace
} // namespace fcc
