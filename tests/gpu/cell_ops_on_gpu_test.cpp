// The kernels on a GPU: against float64, by the rule that a fast form may err at most twice as much
// as the same maths in plain bfloat16 operators.
#include "fcc/ops/cell_attention.h"
#include "fcc/ops/cell_ops.h"
#include "fcc/ops/cross_entropy.h"
#include "fcc/optim/grad_norm.h"
#include "gpu/gpu_test.h"
#include "ops/kernels.h"

namespace fcc {
namespace {

TEST(CellOpsOnGpu, RmsNormEqualsItsReference) {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t width : {512, 2048, 3072, 24}) {
    for (const std::int64_t rows : {1, 113, 512}) {
      const at::Tensor grid = random_bf16({3, 2, rows, width});
      const at::Tensor x = grid.select(1, 1); // strided cells
      const at::Tensor weight = random_bf16({3, width}), grad = random_bf16({3, rows, width});
      const at::Tensor residual = random_bf16({3, rows, width});
      at::Tensor out = at::full({3, rows, width}, NAN, gpu(at::kBFloat16));
      rms_norm_forward(x, weight, 1e-5, out);
      const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
      at::Tensor want = at::empty({3, rows, width}, gpu(at::kDouble));
      rms_norm_forward(wide(x), wide(weight), 1e-5, want);
      EXPECT_LT(relative(out, want), 4e-3);

      const at::Tensor memory = random_bf16({3, 7, width}), memory_weight = random_bf16({3, width});
      at::Tensor both = at::full({3, 7 + rows, width}, NAN, gpu(at::kBFloat16));
      rms_norm_forward_with_memory(memory, memory_weight, x, weight, 1e-5, both);
      at::Tensor want_memory = at::empty_like(memory);
      rms_norm_forward(memory, memory_weight, 1e-5, want_memory);
      EXPECT_TRUE(at::equal(both.slice(1, 0, 7), want_memory)) << width << " " << rows;
      EXPECT_TRUE(at::equal(both.slice(1, 7), out)) << width << " " << rows;

      for (const GradInput mode : {GradInput::kOverwrite, GradInput::kAccumulate}) {
        at::Tensor grad_x = random_bf16({3, rows, width});
        at::Tensor want_x = wide(grad_x);
        at::Tensor grad_w = at::ones({3, width}, gpu(at::kFloat));
        at::Tensor want_w = at::ones({3, width}, gpu(at::kDouble));
        rms_norm_backward(grad, x, weight, 1e-5, residual, {grad_x, mode}, grad_w);
        rms_norm_backward(
            wide(grad), wide(x), wide(weight), 1e-5, wide(residual), {want_x, mode}, want_w);
        EXPECT_LT(relative(grad_x, want_x), 4e-3) << width << " " << rows;
        EXPECT_LT(relative(grad_w, want_w), 1e-5) << width << " " << rows;

        // As into the memory: nothing else is added, and nobody asks for the weight's gradient.
        at::Tensor alone = random_bf16({3, rows, width});
        at::Tensor want_alone = wide(alone);
        rms_norm_backward(grad, x, weight, 1e-5, {}, {alone, mode}, {});
        rms_norm_backward(wide(grad), wide(x), wide(weight), 1e-5, {}, {want_alone, mode}, {});
        EXPECT_LT(relative(alone, want_alone), 4e-3) << width << " " << rows;
      }
    }
  }
}

TEST(CellOpsOnGpu, RmsNormBackwardNeedsNoEps) {
  SKIP_WITHOUT_GPU();
  const at::Tensor x = random_bf16({2, 113, 512}), grad = random_bf16({2, 113, 512});
  const at::Tensor weight = random_bf16({2, 512});
  at::Tensor grad_x = at::empty_like(x), grad_w = at::zeros({2, 512}, gpu(at::kFloat));
  rms_norm_backward(grad, x, weight, 0.0, {}, {grad_x}, grad_w);
  EXPECT_TRUE(at::isfinite(grad_x).all().item<bool>());
  EXPECT_TRUE(at::isfinite(grad_w).all().item<bool>());
}

TEST(CellOpsOnGpu, SwigluAndRopeEqualTheirReferences) {
  SKIP_WITHOUT_GPU();
  const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
  at::Tensor gate_up = random_bf16({2, 113, 2 * 80});
  at::Tensor out = at::empty({2, 113, 80}, gpu(at::kBFloat16));
  at::Tensor want = at::empty({2, 113, 80}, gpu(at::kDouble));
  at::Tensor wide_gate_up = wide(gate_up);
  swiglu_forward(gate_up, out);
  swiglu_forward(wide_gate_up, want);
  EXPECT_LT(relative(out, want), 4e-3);
  const at::Tensor grad = random_bf16({2, 113, 80}), hidden = out.clone();
  out.copy_(grad);
  swiglu_backward(out, gate_up);
  swiglu_backward(wide(grad), wide_gate_up);
  EXPECT_LT(relative(gate_up, wide_gate_up), 4e-3);
  EXPECT_TRUE(at::equal(out, hidden)) << "the output made again must be the same to the bit";

  at::Tensor x = random_bf16({2, 3 * 17, 5 * 64});
  at::Tensor wide_x = wide(x);
  const at::Tensor angle = at::rand({17, 32}, gpu(at::kFloat)) * 6.28;
  for (const bool inverse : {false, true}) {
    rope_in_place(x, 4, angle.cos(), angle.sin(), inverse);
    rope_in_place(wide_x, 4, angle.to(at::kDouble).cos(), angle.to(at::kDouble).sin(), inverse);
    EXPECT_LT(relative(x, wide_x), 6e-3);
  }
}

class HeadOnGpu : public testing::TestWithParam<std::int64_t> {};

TEST_P(HeadOnGpu, EqualsItsReference) {
  SKIP_WITHOUT_GPU();
  const std::int64_t vocab = GetParam();
  const at::Tensor hidden = random_bf16({239, 64}), weight = random_bf16({vocab, 64}) * 0.2;
  at::Tensor targets = at::randint(vocab, {239}, gpu(at::kLong));
  targets.slice(0, 3, 9).fill_(-100);
  targets.slice(0, 10, 20).fill_(vocab - 1);
  const at::Tensor factors = at::rand({239}, gpu(at::kFloat));
  at::Tensor grad_w = at::zeros({vocab, 64}, gpu(at::kFloat));
  at::Tensor want_w = at::zeros({vocab, 64}, gpu(at::kDouble));
  const auto got = linear_cross_entropy_with_gradient(
      hidden, weight, targets, factors, grad_w, {.chunk_tokens = 100});
  const auto want = linear_cross_entropy_with_gradient(
      hidden.to(at::kDouble), weight.to(at::kDouble), targets, factors.to(at::kDouble), want_w);
  EXPECT_LT(relative(got.loss, want.loss), 2e-3);
  EXPECT_LT(relative(got.token_losses, want.token_losses), 4e-3);
  EXPECT_LT(relative(got.grad_hidden, want.grad_hidden), 1e-2);
  EXPECT_LT(relative(grad_w, want_w), 1e-2);
}

// Rows of logits that fit in a block's shared memory several times over, once, and not at all.
INSTANTIATE_TEST_SUITE_P(Vocabularies, HeadOnGpu, testing::Values(1000, 100000, 128256));

TEST(GradNormOnGpu, SumsSquaresInDoublePrecision) {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t count : {1, 7, 1000003, 20000000}) {
    at::Tensor flat = at::randn({count}, gpu(at::kFloat));
    flat.narrow(0, 0, 1).fill_(1e4); // beside which a float32 sum loses the others
    const at::Tensor sum = squared_norm(flat);
    EXPECT_LT(relative(sum, flat.to(at::kDouble).square().sum()), 1e-13) << count;
    EXPECT_TRUE(at::equal(sum, squared_norm(flat))) << count;
  }
  const at::Tensor odd = at::randn({1001}, gpu(at::kFloat)).slice(0, 1); // not 16-byte aligned
  EXPECT_LT(relative(squared_norm(odd), odd.to(at::kDouble).square().sum()), 1e-13);
}

TEST(CellOpsOnGpu, AttentionEqualsItsReferenceForwardAndBackward) {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t E : {64, 128}) {
    for (const std::int64_t L : {17, 113, 256}) {
      const std::int64_t C = 3, B = 2, H = 8, G = 2;
      CellAttentionInput input{
          random_bf16({C, B, L, H, E}),
          random_bf16({C, B, L, G, E}),
          random_bf16({C, B, L, G, E}),
          random_bf16({C, B, L, G, E}),
          random_bf16({C, B, L, G, E}),
          at::rand({C, B}, gpu(at::kFloat)) > 0.4};
      const auto wide = [](const at::Tensor& t) { return t.to(at::kDouble); };
      const CellAttentionInput exact{
          wide(input.q),
          wide(input.k),
          wide(input.v),
          wide(input.k_mem),
          wide(input.v_mem),
          input.has_memory};
      at::Tensor out = at::empty_like(input.q), lse = at::empty({C, B, H, L}, gpu(at::kFloat));
      at::Tensor want = at::empty_like(exact.q),
                 want_lse = at::empty({C, B, H, L}, gpu(at::kDouble));
      cell_attention_forward(input, out, lse);
      cell_attention_forward(exact, want, want_lse);
      EXPECT_LT(relative(out, want), 6e-3) << E << " " << L;
      EXPECT_LT(relative(lse, want_lse), 1e-4) << E << " " << L;
      const at::Tensor grad_out = random_bf16({C, B, L, H, E});
      const auto like = [](const CellAttentionInput& i) {
        return CellAttentionGrads{
            at::empty_like(i.q),
            at::empty_like(i.k),
            at::empty_like(i.v),
            at::empty_like(i.k_mem),
            at::empty_like(i.v_mem)};
      };
      const CellAttentionGrads got = like(input), expected = like(exact);
      cell_attention_backward(input, out, lse, grad_out, got);
      cell_attention_backward(exact, want, want_lse, wide(grad_out), expected);
      EXPECT_LT(relative(got.q, expected.q), 1.2e-2) << E << " " << L;
      EXPECT_LT(relative(got.k, expected.k), 1.2e-2) << E << " " << L;
      EXPECT_LT(relative(got.v, expected.v), 1.2e-2) << E << " " << L;
      EXPECT_LT(relative(got.k_mem, expected.k_mem), 1.2e-2) << E << " " << L;
      EXPECT_LT(relative(got.v_mem, expected.v_mem), 1.2e-2) << E << " " << L;
    }
  }
}

} // namespace
} // namespace fcc
