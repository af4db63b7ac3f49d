#include "fcc/ops/memory_attention.h"

#include <cmath>
#include <tuple>

#include <gtest/gtest.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"
#include "ops/attention_by_passes.h"

namespace fcc {
namespace {

struct Inputs {
  at::Tensor q, k, v; // [B, L, H, E], [B, Lm + L, G, E]
};

Inputs random_inputs(
    std::int64_t B,
    std::int64_t L,
    std::int64_t num_memory,
    std::int64_t H,
    std::int64_t G,
    std::int64_t E) {
  at::Generator generator = at::detail::createCPUGenerator(4);
  const auto normal = [&](std::int64_t length, std::int64_t heads) {
    return at::empty({B, length, heads, E}, at::kDouble).normal_(0, 1, generator);
  };
  return {normal(L, H), normal(num_memory + L, G), normal(num_memory + L, G)};
}

// One row, one head, one query at a time, as the equation reads.
at::Tensor by_the_equation(const Inputs& in, std::int64_t num_memory, const at::Tensor& present) {
  at::Tensor out = at::zeros(in.q.sizes(), at::kDouble);
  const std::int64_t H = in.q.size(2), G = in.k.size(2);
  for (std::int64_t b = 0; b < in.q.size(0); ++b) {
    const std::int64_t first = !present.defined() || present[b].item<bool>() ? 0 : num_memory;
    for (std::int64_t h = 0; h < H; ++h) {
      const at::Tensor k = in.k[b].select(1, h * G / H), v = in.v[b].select(1, h * G / H);
      for (std::int64_t i = 0; i < in.q.size(1); ++i) {
        const std::int64_t count = i + num_memory + 1 - first; // keys j with first <= j <= i + Lm
        const at::Tensor scores = k.narrow(0, first, count).mv(in.q[b][i][h]) /
                                  std::sqrt(static_cast<double>(in.q.size(3)));
        out[b][i][h].copy_(v.narrow(0, first, count).t().mv(scores.softmax(0)));
      }
    }
  }
  return out;
}

class MemoryAttention : public ::testing::TestWithParam<std::tuple<int, int, bool>> {};

TEST_P(MemoryAttention, ReferenceIsTheEquation) {
  const auto [L, num_memory, mixed] = GetParam();
  const Inputs in = random_inputs(3, L, num_memory, 6, 2, 10);
  at::Tensor present;
  if (mixed) {
    present = at::tensor({1, 0, 1}, at::kInt).to(at::kBool);
  }
  const AttentionMask mask =
      make_attention_mask(L, num_memory, present, AttentionKernel::kReference, in.q.options());
  const at::Tensor out = memory_attention(in.q, in.k, in.v, mask, AttentionKernel::kReference);
  EXPECT_LT((out - by_the_equation(in, num_memory, present)).abs().max().item<double>(), 1e-13);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes,
    MemoryAttention,
    ::testing::Combine(::testing::Values(1, 7, 13), ::testing::Values(0, 13), ::testing::Bool()));

TEST(MemoryAttentionKernel, GpuKernelsAreRefusedOnACpu) {
  const Inputs in = random_inputs(1, 4, 4, 2, 1, 8);
  for (const AttentionKernel kernel :
       {AttentionKernel::kFlash, AttentionKernel::kCudnn, AttentionKernel::kFcc}) {
    const AttentionMask mask = make_attention_mask(4, 4, {}, kernel, in.q.options());
    EXPECT_THROW(memory_attention(in.q, in.k, in.v, mask, kernel), Error);
  }
  EXPECT_EQ(best_attention_kernel(at::kCPU, at::kBFloat16), AttentionKernel::kReference);
}

// Output and gradients of q, k, v.
template <typename Attend>
std::vector<at::Tensor>
differentiate(const Inputs& in, const at::TensorOptions& options, const Attend& attend) {
  const at::AutoGradMode with_grad(true);
  Inputs leaves;
  leaves.q = in.q.to(options).detach().clone().requires_grad_(true);
  leaves.k = in.k.to(options).detach().clone().requires_grad_(true);
  leaves.v = in.v.to(options).detach().clone().requires_grad_(true);
  const at::Tensor out = attend(leaves);
  at::Generator generator = at::detail::createCPUGenerator(9);
  const at::Tensor grad = at::empty(out.sizes(), at::kDouble).normal_(0, 1, generator);
  out.backward(grad.to(options));
  return {out.detach(), leaves.q.grad(), leaves.k.grad(), leaves.v.grad()};
}

std::vector<at::Tensor> run(
    const Inputs& in,
    const AttentionMask& mask,
    const AttentionChoice& choice,
    const at::TensorOptions& options) {
  return differentiate(in, options, [&](const Inputs& leaves) {
    return memory_attention(leaves.q, leaves.k, leaves.v, mask, choice);
  });
}

// The project's own kernel by hand, with its plain form on a CPU, against the reference's autograd.
TEST(MemoryAttentionPasses, EqualTheReferenceInValueAndGradients) {
  for (const std::int64_t num_memory : {0, 13, 5}) {
    for (const bool mixed : {false, true}) {
      const std::int64_t L = 13;
      const Inputs in = random_inputs(3, L, num_memory, 6, 2, 10);
      const at::Tensor present =
          mixed && num_memory > 0 ? at::tensor({1, 0, 1}, at::kInt).to(at::kBool) : at::Tensor();
      const at::TensorOptions exact = at::TensorOptions(at::kCPU).dtype(at::kDouble);
      const auto expected = differentiate(in, exact, [&](const Inputs& leaves) {
        const auto mask = make_attention_mask(
            L, num_memory, present, AttentionKernel::kReference, leaves.q.options());
        return memory_attention(leaves.q, leaves.k, leaves.v, mask, AttentionKernel::kReference);
      });
      const auto actual = differentiate(in, exact, [&](const Inputs& leaves) {
        return attention_by_passes(
            leaves.q, leaves.k, leaves.v, AttentionKernel::kReference, present);
      });
      for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_LT((actual[i] - expected[i]).abs().max().item<double>(), 1e-12)
            << "output, dq, dk, dv: " << i << ", Lm " << num_memory;
      }
    }
  }
}

TEST(MemoryAttentionPasses, TakeAnExpandedGradient) {
  const Inputs in = random_inputs(2, 7, 7, 4, 2, 8);
  at::Tensor q = in.q.clone().requires_grad_(true);
  const at::AutoGradMode with_grad(true);
  const AttentionChoice by_hand = AttentionKernel::kReference;
  attention_by_passes(q, in.k, in.v, by_hand, {}).sum().backward();
  const at::Tensor ones = at::ones_like(in.q);
  const AttentionForward forward = by_hand.attention->forward_rows(in.q, in.k, in.v, {});
  const AttentionGradients grads =
      by_hand.attention->backward_rows(in.q, in.k, in.v, forward, ones, {});
  EXPECT_EQ((q.grad() - grads.q).abs().max().item<double>(), 0.0);
}

TEST(MemoryAttentionPasses, RefuseWhatNoKernelDoes) {
  const Inputs in = random_inputs(1, 4, 4, 2, 1, 8);
  const AttentionChoice by_hand = AttentionKernel::kReference;
  EXPECT_THROW(
      by_hand.attention->forward_rows(
          in.q,
          in.k,
          in.v,
          {.visible = VisibleKeys::kAll, .order = SumOrder::kFixed, .present = {}}),
      Error);
  EXPECT_THROW(by_hand.attention->forward_rows(in.k, in.q, in.q, {}), Error);
}

class KernelOnAGpu : public ::testing::TestWithParam<AttentionKernel> {};

TEST_P(KernelOnAGpu, ErrsAtMostTwiceAsMuchAsBFloat16Itself) {
  if (!at::globalContext().hasCUDA()) {
    GTEST_SKIP() << "needs a GPU";
  }
  const auto use = attention_use(at::Device(at::kCUDA), at::kBFloat16, 64);
  if (const auto refusal = attention_refusal(GetParam(), use)) {
    GTEST_SKIP() << refusal->rule << "; this one has " << refusal->value;
  }
  const AttentionChoice choice(GetParam()); // keeps what it built, over all shapes
  for (const std::int64_t E : {64, 128}) {
    for (const bool mixed : {false, true}) {
      const std::int64_t L = 113, num_memory = 239;
      const Inputs in = random_inputs(3, L, num_memory, 8, 2, E);
      const at::Tensor present =
          mixed ? at::tensor({1, 0, 1}, at::kInt).to(at::kBool) : at::Tensor();
      const auto device = at::Device(at::kCUDA);
      const at::Tensor present_there = mixed ? present.to(device) : present;
      const auto error = [&](const AttentionChoice& kernel) {
        const at::TensorOptions narrow = at::TensorOptions(device).dtype(at::kBFloat16);
        const at::TensorOptions exact = at::TensorOptions(at::kCPU).dtype(at::kDouble);
        const auto expected =
            run(in,
                make_attention_mask(L, num_memory, present, AttentionKernel::kReference, exact),
                AttentionKernel::kReference,
                exact);
        const auto actual =
            run(in,
                make_attention_mask(L, num_memory, present_there, kernel.kernel, narrow),
                kernel,
                narrow);
        std::vector<double> errors;
        for (std::size_t i = 0; i < expected.size(); ++i) {
          const at::Tensor difference = actual[i].to(at::kCPU, at::kDouble) - expected[i];
          errors.push_back(difference.norm().item<double>() / expected[i].norm().item<double>());
        }
        return errors;
      };
      const auto kernel = error(choice), plain = error(AttentionKernel::kReference);
      for (std::size_t i = 0; i < kernel.size(); ++i) {
        EXPECT_LT(kernel[i], 2 * plain[i] + 1e-3) << "output, dq, dk, dv: " << i << ", E " << E;
      }
    }
  }
}

TEST_P(KernelOnAGpu, WithoutMemoryIsPlainCausalAttention) {
  if (!at::globalContext().hasCUDA()) {
    GTEST_SKIP() << "needs a GPU";
  }
  const auto use = attention_use(at::Device(at::kCUDA), at::kBFloat16, 128);
  if (const auto refusal = attention_refusal(GetParam(), use)) {
    GTEST_SKIP() << refusal->rule << "; this one has " << refusal->value;
  }
  const Inputs in = random_inputs(2, 239, 0, 6, 2, 128);
  const at::TensorOptions narrow = at::TensorOptions(at::kCUDA).dtype(at::kBFloat16);
  const auto outputs = [&](const AttentionChoice& choice) {
    return run(in, make_attention_mask(239, 0, {}, choice.kernel, narrow), choice, narrow);
  };
  const auto actual = outputs(GetParam()), plain = outputs(AttentionKernel::kReference);
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_LT((actual[i] - plain[i]).norm().item<double>(), 0.02 * plain[i].norm().item<double>());
  }
}

class DeterministicKernelOnAGpu : public KernelOnAGpu {};

TEST_P(DeterministicKernelOnAGpu, GivesEqualBitsTwice) {
  if (!at::globalContext().hasCUDA()) {
    GTEST_SKIP() << "needs a GPU";
  }
  const auto use = attention_use(at::Device(at::kCUDA), at::kBFloat16, 64);
  if (const auto refusal = attention_refusal(GetParam(), use)) {
    GTEST_SKIP() << refusal->rule << "; this one has " << refusal->value;
  }
  const Inputs in = random_inputs(3, 512, 512, 8, 2, 64);
  const at::TensorOptions narrow = at::TensorOptions(at::kCUDA).dtype(at::kBFloat16);
  const AttentionChoice choice(GetParam());
  const auto mask = make_attention_mask(512, 512, {}, choice.kernel, narrow);
  const auto first = run(in, mask, choice, narrow), second = run(in, mask, choice, narrow);
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_TRUE(first[i].equal(second[i])) << "output, dq, dk, dv: " << i;
  }
}

std::string kernel_name(const ::testing::TestParamInfo<AttentionKernel>& kernel) {
  return kernel.param == AttentionKernel::kFlash   ? "Flash"
         : kernel.param == AttentionKernel::kCudnn ? "Cudnn"
                                                   : "Fcc";
}

INSTANTIATE_TEST_SUITE_P(
    Kernels,
    KernelOnAGpu,
    ::testing::Values(AttentionKernel::kFlash, AttentionKernel::kCudnn, AttentionKernel::kFcc),
    kernel_name);
INSTANTIATE_TEST_SUITE_P(
    Kernels,
    DeterministicKernelOnAGpu,
    ::testing::Values(AttentionKernel::kFlash, AttentionKernel::kCudnn, AttentionKernel::kFcc),
    kernel_name);

} // namespace
} // namespace fcc
