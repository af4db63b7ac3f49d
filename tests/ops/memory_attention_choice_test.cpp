#include "fcc/ops/memory_attention_choice.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

// What an H100 with a full build offers to Llama-3.2-1B.
AttentionUse hopper() {
  return {
      .device = c10::DeviceType::CUDA,
      .dtype = c10::ScalarType::BFloat16,
      .head_dim = 64,
      .compute_capability = 90,
      .build_has_gpu = true};
}

AttentionUse cpu() {
  return {.device = c10::DeviceType::CPU, .dtype = c10::ScalarType::Float, .head_dim = 64};
}

AttentionKernel automatic(const AttentionUse& use) {
  return supported_attention(AttentionBackend::kAuto, use);
}

TEST(AttentionChoice, AutoTakesTheProjectsOwnKernelWhereItServes) {
  AttentionUse use = hopper();
  EXPECT_EQ(automatic(use), AttentionKernel::kFcc);
  use.head_dim = 128;
  EXPECT_EQ(automatic(use), AttentionKernel::kFcc);
}

TEST(AttentionChoice, AutoFallsBackToFlashAndThenToTheReference) {
  AttentionUse use = hopper();
  use.head_dim = 96;
  EXPECT_EQ(automatic(use), AttentionKernel::kFlash);
  use = hopper();
  use.compute_capability = 80;
  EXPECT_EQ(automatic(use), AttentionKernel::kFlash);
  use = hopper();
  use.dtype = c10::ScalarType::Half;
  EXPECT_EQ(automatic(use), AttentionKernel::kFlash);
  for (const std::int64_t head_dim : {20, 512}) {
    use = hopper();
    use.head_dim = head_dim;
    EXPECT_EQ(automatic(use), AttentionKernel::kReference) << head_dim;
  }
  use = hopper();
  use.dtype = c10::ScalarType::Float;
  EXPECT_EQ(automatic(use), AttentionKernel::kReference);
  use = hopper();
  use.compute_capability = 75;
  EXPECT_EQ(automatic(use), AttentionKernel::kReference);
  EXPECT_EQ(automatic(cpu()), AttentionKernel::kReference);
}

TEST(AttentionChoice, TheReferenceServesEverything) {
  AttentionUse use = cpu();
  use.dtype = c10::ScalarType::Double;
  use.head_dim = 3;
  EXPECT_EQ(supported_attention(AttentionBackend::kReference, use), AttentionKernel::kReference);
  EXPECT_EQ(
      supported_attention(AttentionBackend::kReference, hopper()), AttentionKernel::kReference);
}

TEST(AttentionChoice, OthersAreTakenAsNamedWhereTheyServe) {
  EXPECT_EQ(supported_attention(AttentionBackend::kFlash, hopper()), AttentionKernel::kFlash);
  EXPECT_EQ(supported_attention(AttentionBackend::kFcc, hopper()), AttentionKernel::kFcc);
  EXPECT_FALSE(attention_refusal(AttentionKernel::kCudnn, hopper()));
}

struct Refused {
  AttentionBackend backend;
  AttentionUse use;
  std::string rule, value; ///< what the message must name
};

std::vector<Refused> refused_uses() {
  std::vector<Refused> all;
  for (const auto& [backend, name] :
       {std::pair{AttentionBackend::kFcc, "fcc"},
        std::pair{AttentionBackend::kFlash, "flash"},
        std::pair{AttentionBackend::kCudnn, "cudnn"}}) {
    const bool own = backend == AttentionBackend::kFcc;
    const std::string prefix = name;
    all.push_back({backend, cpu(), prefix + " needs a GPU", "cpu"});
    AttentionUse use = hopper();
    use.build_has_gpu = false;
    all.push_back({backend, use, prefix + " needs a build with GPU code", "FCC_CUDA"});
    use = hopper();
    use.compute_capability = own ? 80 : 75;
    all.push_back(
        {backend,
         use,
         prefix + (own ? " needs a GPU of compute capability 9" : " needs compute capability 8.0"),
         own ? "8.0" : "7.5"});
    use = hopper();
    use.dtype = own ? c10::ScalarType::Half : c10::ScalarType::Float;
    all.push_back({backend, use, prefix + " needs bfloat16", own ? "Half" : "Float"});
    use = hopper();
    use.head_dim = 260;
    all.push_back({backend, use, prefix + " needs heads of", "head_dim 260"});
  }
  AttentionUse use = hopper();
  use.head_dim = 96;
  all.push_back({AttentionBackend::kFcc, use, "fcc needs heads of 64 or 128", "head_dim 96"});
  all.push_back({AttentionBackend::kCudnn, use, "cudnn needs heads of 64 or 128", "head_dim 96"});
  use.head_dim = 100;
  all.push_back({AttentionBackend::kFlash, use, "in multiples of 8", "head_dim 100"});
  use = hopper();
  use.compute_capability = 100;
  all.push_back({AttentionBackend::kFcc, use, "compute capability 9", "10.0"});
  return all;
}

TEST(AttentionChoice, WhatCannotServeIsRefusedWithTheRuleAndTheValue) {
  for (const Refused& refused : refused_uses()) {
    try {
      supported_attention(refused.backend, refused.use);
      ADD_FAILURE() << "accepted: " << refused.rule;
    } catch (const ConfigError& error) {
      EXPECT_EQ(error.where(), "engine.attention");
      EXPECT_NE(error.rule().find(refused.rule), std::string::npos)
          << error.rule() << " should hold " << refused.rule;
      EXPECT_NE(error.value().find(refused.value), std::string::npos)
          << error.value() << " should hold " << refused.value;
      EXPECT_FALSE(error.hint().empty());
    }
  }
}

TEST(AttentionChoice, PortableKernelsLeaveTheProjectsOwnAttentionOut) {
  AttentionUse use = hopper();
  use.kernels = KernelSet::kPortable;
  EXPECT_EQ(automatic(use), AttentionBackend::kFlash);
  EXPECT_EQ(supported_attention(AttentionBackend::kCudnn, use), AttentionBackend::kCudnn);
  try {
    supported_attention(AttentionBackend::kFcc, use);
    ADD_FAILURE() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.where(), "engine.attention");
    EXPECT_EQ(error.value(), "engine.kernels portable");
  }
  EXPECT_EQ(supported_attention(AttentionBackend::kReference, use), AttentionBackend::kReference);
}

TEST(AttentionChoice, HopperKernelsAreRefusedByNameWhereTheyCannotRun) {
  AttentionUse use = hopper();
  use.kernels = KernelSet::kHopper;
  EXPECT_EQ(automatic(use), AttentionBackend::kFcc);
  const auto where = [](AttentionBackend backend, const AttentionUse& tried) {
    try {
      supported_attention(backend, tried);
    } catch (const ConfigError& error) {
      return error.where() + ": " + error.value();
    }
    return std::string("accepted");
  };
  EXPECT_EQ(where(AttentionBackend::kFlash, use), "engine.attention: flash");
  AttentionUse older = use;
  older.compute_capability = 89;
  EXPECT_EQ(where(AttentionBackend::kAuto, older), "engine.kernels: 8.9");
  AttentionUse wide = use;
  wide.head_dim = 256;
  EXPECT_EQ(where(AttentionBackend::kAuto, wide), "engine.kernels: head_dim 256");
  AttentionUse none = cpu();
  none.kernels = KernelSet::kHopper;
  EXPECT_EQ(where(AttentionBackend::kAuto, none), "engine.kernels: cpu");
}

TEST(AttentionChoice, AUseKnowsItsDeviceTypeAndWidth) {
  const AttentionUse use = attention_use(c10::Device(c10::kCPU), c10::ScalarType::Double, 80);
  EXPECT_EQ(use.device, c10::DeviceType::CPU);
  EXPECT_EQ(use.dtype, c10::ScalarType::Double);
  EXPECT_EQ(use.head_dim, 80);
  EXPECT_EQ(use.compute_capability, 0);
}

} // namespace
} // namespace fcc
