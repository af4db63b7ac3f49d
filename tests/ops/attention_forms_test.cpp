// A backend that knows rows only takes part in both executions: its cells against those of the
// plain form, which takes memory where it lies.
#include "ops/attention_forms.h"

#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/tensor.h>

#include "fcc/ops/memory_attention_choice.h"

namespace fcc {
namespace {

/// The plain operators as a backend that takes no flags.
class RowsOnly : public AttentionByRows {
 public:
  AttentionForward forward_rows(
      const at::Tensor& q,
      const at::Tensor& k,
      const at::Tensor& v,
      const AttentionRowOptions& options) const override {
    EXPECT_FALSE(options.present.defined());
    return plain_.attention->forward_rows(q, k, v, options);
  }
  AttentionGradients backward_rows(
      const at::Tensor& q,
      const at::Tensor& k,
      const at::Tensor& v,
      const AttentionForward& forward,
      const at::Tensor& grad_out,
      const AttentionRowOptions& options) const override {
    return plain_.attention->backward_rows(q, k, v, forward, grad_out, options);
  }

 private:
  AttentionChoice plain_ = AttentionBackend::kReference;
};

struct Results {
  at::Tensor out, lse;
  CellAttentionGrads grads;
};

Results
attend(const Attention& backend, const CellAttentionInput& input, const at::Tensor& grad_out) {
  const at::Tensor& q = input.q;
  Results results{
      at::full_like(q, NAN),
      at::full({q.size(0), q.size(1), q.size(3), q.size(2)}, NAN, q.options()),
      {at::full_like(q, NAN), at::full_like(input.k, NAN), at::full_like(input.v, NAN), {}, {}}};
  if (input.k_mem.defined()) {
    results.grads.k_mem = at::full_like(input.k_mem, NAN);
    results.grads.v_mem = at::full_like(input.v_mem, NAN);
  }
  backend.forward(input, results.out, results.lse);
  backend.backward(input, results.out, results.lse, grad_out, results.grads);
  return results;
}

class AttentionByRowsOfCells : public testing::TestWithParam<std::string> {};

TEST_P(AttentionByRowsOfCells, EqualsThePlainFormForwardAndBackward) {
  const std::int64_t C = 3, B = 2, L = 5, M = 7, H = 4, G = 2, E = 8;
  at::Generator generator = at::detail::createCPUGenerator(4);
  const auto normal = [&](at::IntArrayRef shape) {
    return at::empty(shape, at::kDouble).normal_(0, 1, generator);
  };
  const at::Tensor rows = normal({C, 2, B, L, H + 2 * G, E}).select(1, 1); // strided cells
  const at::Tensor memory = normal({C, B, M, 2 * G, E});
  CellAttentionInput input;
  input.q = rows.slice(3, 0, H);
  input.k = rows.slice(3, H, H + G);
  input.v = rows.slice(3, H + G);
  if (GetParam() != "absent") {
    input.k_mem = memory.slice(3, 0, G);
    input.v_mem = memory.slice(3, G);
  }
  if (GetParam() == "mixed") {
    input.has_memory = at::tensor({1, 0, 0, 1, 1, 1}, at::kInt).to(at::kBool).view({C, B});
  } else if (GetParam() == "last_has_none") {
    input.has_memory = at::tensor({1, 1, 1, 1, 0, 0}, at::kInt).to(at::kBool).view({C, B});
    input.last_cell_has_none = true;
  }
  const at::Tensor grad_out = normal({C, B, L, H, E});
  const AttentionChoice plain = AttentionBackend::kReference;
  const Results want = attend(*plain.attention, input, grad_out);
  const Results got = attend(RowsOnly(), input, grad_out);
  const auto expect_equal = [](const char* name, const at::Tensor& a, const at::Tensor& b) {
    ASSERT_EQ(a.defined(), b.defined()) << name;
    if (a.defined()) {
      EXPECT_LT((a - b).abs().max().item<double>(), 1e-12) << name;
    }
  };
  expect_equal("out", got.out, want.out);
  expect_equal("lse", got.lse, want.lse);
  expect_equal("dq", got.grads.q, want.grads.q);
  expect_equal("dk", got.grads.k, want.grads.k);
  expect_equal("dv", got.grads.v, want.grads.v);
  expect_equal("dk of the memory", got.grads.k_mem, want.grads.k_mem);
  expect_equal("dv of the memory", got.grads.v_mem, want.grads.v_mem);
}

INSTANTIATE_TEST_SUITE_P(
    Memories,
    AttentionByRowsOfCells,
    testing::Values("all", "mixed", "last_has_none", "absent"),
    [](const testing::TestParamInfo<std::string>& each) { return each.param; });

} // namespace
} // namespace fcc
