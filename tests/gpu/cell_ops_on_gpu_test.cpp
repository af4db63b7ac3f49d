// The kernels on a GPU against float64. Attention by the rule that a fast form may err at most
// twice as much as the same maths in plain operators, and bfloat16's own rounding; the others,
// which round once, within a fixed bound near bfloat16's rounding, 2^-8.
#include <string>
#include <vector>

#include "fcc/ops/cross_entropy.h"
#include "fcc/ops/memory_attention_choice.h"
#include "fcc/ops/rms_norm.h"
#include "fcc/ops/rope.h"
#include "fcc/ops/swiglu.h"
#include "fcc/optim/grad_norm.h"
#include "gpu/gpu_test.h"

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
  swiglu_backward_in_place(out, gate_up);
  swiglu_backward_in_place(wide(grad), wide_gate_up);
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

struct AttentionCase {
  AttentionBackend backend;
  std::string memory; ///< all, mixed, last_has_none, absent
};

/// Output, log-sum-exps and gradients of a backend over cells.
struct AttentionResults {
  at::Tensor out, lse;
  CellAttentionGrads grads;
};

AttentionResults
attend(const AttentionChoice& choice, const CellAttentionInput& input, const at::Tensor& grad_out) {
  const at::Tensor& q = input.q;
  const auto sums = q.options().dtype(q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat);
  AttentionResults results{
      at::full_like(q, NAN),
      at::full({q.size(0), q.size(1), q.size(3), q.size(2)}, NAN, sums),
      {at::full_like(q, NAN), at::full_like(input.k, NAN), at::full_like(input.v, NAN), {}, {}}};
  if (input.k_mem.defined()) {
    results.grads.k_mem = at::full_like(input.k_mem, NAN);
    results.grads.v_mem = at::full_like(input.v_mem, NAN);
  }
  choice.attention->forward(input, results.out, results.lse);
  choice.attention->backward(input, results.out, results.lse, grad_out, results.grads);
  return results;
}

CellAttentionInput to_type(CellAttentionInput input, at::ScalarType dtype) {
  for (at::Tensor* tensor : {&input.q, &input.k, &input.v, &input.k_mem, &input.v_mem}) {
    *tensor = tensor->defined() ? tensor->to(dtype) : *tensor;
  }
  return input;
}

class CellAttentionOnGpu : public testing::TestWithParam<AttentionCase> {};

TEST_P(CellAttentionOnGpu, ErrsAtMostTwiceAsMuchAsPlainBFloat16) {
  SKIP_WITHOUT_GPU();
  if (GetParam().backend == AttentionBackend::kFcc) {
    SKIP_WITHOUT_HOPPER();
  }
  const AttentionChoice backend = GetParam().backend;
  const AttentionChoice plain = AttentionBackend::kReference;
  for (const std::int64_t E : {64, 128}) {
    for (const std::int64_t L : {17, 113, 256}) {
      const std::int64_t C = 3, B = 2, H = 8, G = 2;
      // Heads of one row of queries, keys and values, as the engine has them; strided cells.
      const at::Tensor rows = random_bf16({C, 2, B, L, H + 2 * G, E}).select(1, 1);
      const at::Tensor memory = random_bf16({C, B, L, 2 * G, E});
      CellAttentionInput input;
      input.q = rows.slice(3, 0, H);
      input.k = rows.slice(3, H, H + G);
      input.v = rows.slice(3, H + G);
      if (GetParam().memory != "absent") {
        input.k_mem = memory.slice(3, 0, G);
        input.v_mem = memory.slice(3, G);
      }
      if (GetParam().memory == "mixed") {
        input.has_memory = at::tensor({1, 0, 0, 1, 1, 1}, gpu(at::kInt)).to(at::kBool).view({C, B});
      } else if (GetParam().memory == "last_has_none") {
        input.has_memory = at::tensor({1, 1, 1, 1, 0, 0}, gpu(at::kInt)).to(at::kBool).view({C, B});
        input.last_cell_has_none = true;
      }
      const at::Tensor grad_out = random_bf16({C, B, L, H, E});
      const AttentionResults exact =
          attend(plain, to_type(input, at::kDouble), grad_out.to(at::kDouble));
      // As the reference execution has it: float32 inside, rounded where a kernel rounds.
      const AttentionResults rounded = attend(plain, input, grad_out);
      const AttentionResults got = attend(backend, input, grad_out);
      const auto check = [&](const char* name, auto member) {
        const at::Tensor want = member(exact);
        if (!want.defined()) {
          return;
        }
        // Plain operators keep scores and weights in float32, which kernels round to bfloat16:
        // beside twice that error, theirs may be what bfloat16 itself loses, 2^-8.
        const double allowed = 2 * relative(member(rounded), want) + 4e-3;
        EXPECT_LT(relative(member(got), want), allowed) << name << ", E " << E << ", L " << L;
      };
      check("out", [](const AttentionResults& r) { return r.out; });
      check("lse", [](const AttentionResults& r) { return r.lse; });
      check("dq", [](const AttentionResults& r) { return r.grads.q; });
      check("dk", [](const AttentionResults& r) { return r.grads.k; });
      check("dv", [](const AttentionResults& r) { return r.grads.v; });
      check("dk of the memory", [](const AttentionResults& r) { return r.grads.k_mem; });
      check("dv of the memory", [](const AttentionResults& r) { return r.grads.v_mem; });
    }
  }
}

std::vector<AttentionCase> attention_cases() {
  std::vector<AttentionCase> cases;
  for (const auto backend :
       {AttentionBackend::kFcc, AttentionBackend::kFlash, AttentionBackend::kCudnn}) {
    for (const char* memory : {"all", "mixed", "last_has_none", "absent"}) {
      cases.push_back({backend, memory});
    }
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(
    Backends,
    CellAttentionOnGpu,
    testing::ValuesIn(attention_cases()),
    [](const testing::TestParamInfo<AttentionCase>& each) {
      return std::string(enum_name(each.param.backend)) + "_" + each.param.memory;
    });

} // namespace
} // namespace fcc
