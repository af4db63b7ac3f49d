// The fused engine on a GPU: against the reference in float64 and bfloat16, and against itself.
#include <cmath>
#include <string>
#include <vector>

#include "fcc/engine/engine_choice.h"
#include "fcc/engine/make_executor.h"
#include "gpu/gpu_test.h"
#include "support/memory_options.h"

namespace fcc {
namespace {

struct Outcome {
  double loss = 0;
  std::vector<NamedTensor> grads;
};

ModelConfig small_model() {
  ModelConfig config;
  config.vocab_size = 512;
  config.hidden_size = 128;
  config.intermediate_size = 320;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 64;
  config.initializer_range = 0.05;
  config.fcc.emplace();
  config.fcc->segment_length = 96;
  return config;
}

MicroBatch small_batch(std::int64_t total) {
  at::manual_seed(3);
  const auto whole = at::TensorOptions().dtype(at::kLong);
  MicroBatch batch;
  batch.ids = at::randint(512, {2, total}, whole).to(at::kCUDA);
  batch.targets = at::randint(512, {2, total}, whole).to(at::kCUDA);
  batch.coefficients = at::full({2, total}, 1.0 / static_cast<double>(2 * total), gpu(at::kFloat));
  return batch;
}

Outcome run(
    const ModelConfig& config,
    ComputeDType dtype,
    Execution execution,
    const MicroBatch& batch,
    std::int64_t chunk = 0,
    Schedule schedule = Schedule::kWavefront,
    KernelSet kernels = KernelSet::kAuto) {
  FlatParameters parameters(config, dtype, at::kCUDA, /*seed=*/3);
  EngineSection engine;
  engine.dtype = dtype;
  engine.execution = execution;
  if (execution == Execution::kReference) {
    engine.attention = AttentionBackend::kReference;
  } else {
    engine.chunk_segments = chunk;
    engine.schedule = schedule;
    engine.kernels = kernels;
  }
  const auto executor = make_executor(parameters, engine);
  executor->clear_gradients();
  const PassResult result = executor->train(batch);
  Outcome outcome{result.loss.item<double>(), {}};
  for (const NamedTensor& named : parameters.named(parameters.grad())) {
    outcome.grads.push_back({named.name, named.tensor.clone()});
  }
  return outcome;
}

struct Case {
  std::string name;
  FccConfig fcc;
  bool llama = false;
  std::int64_t total = 7 * 96 - 11;
  KernelSet kernels = KernelSet::kHopper;
};

/// The same for both sets of kernels.
std::string with_kernels(const std::string& name, KernelSet kernels) {
  return name + "_" + std::string(enum_name(kernels));
}

std::vector<Case> cases() {
  const FccConfig plain = *small_model().fcc;
  FccConfig odd = plain;
  odd.segment_length = 113;
  std::vector<Case> cases{
      {"plain", plain},
      {"segments_of_113", odd},
      {"one_segment", plain, false, 90},
      {"llama", plain, true, 239}};
  for (const MemoryOption& option : memory_options(plain)) {
    cases.push_back({option.name, option.fcc});
  }
  const std::vector<Case> hopper = cases;
  for (Case each : hopper) {
    each.kernels = KernelSet::kPortable;
    cases.push_back(each);
  }
  return cases;
}

class FusedExecutorOnGpuErrs : public testing::TestWithParam<Case> {};

TEST_P(FusedExecutorOnGpuErrs, AtMostTwiceAsMuchAsTheReferenceInBf16) {
  SKIP_WITHOUT_GPU();
  if (GetParam().kernels == KernelSet::kHopper) {
    SKIP_WITHOUT_HOPPER();
  }
  ModelConfig config = small_model();
  config.fcc = GetParam().fcc;
  if (GetParam().llama) {
    config.fcc.reset();
  }
  const MicroBatch batch = small_batch(GetParam().total);
  // Weights of the bf16 runs are rounded: the exact run takes those.
  const Outcome exact = run(config, ComputeDType::kFloat64, Execution::kReference, batch);
  const Outcome plain = run(config, ComputeDType::kBFloat16, Execution::kReference, batch);
  for (const Schedule schedule : {Schedule::kWavefront, Schedule::kSequential}) {
    for (const std::int64_t chunk : {7, 3, 1}) {
      const Outcome fused =
          run(config,
              ComputeDType::kBFloat16,
              Execution::kFused,
              batch,
              chunk,
              schedule,
              GetParam().kernels);
      EXPECT_NEAR(fused.loss, exact.loss, 2 * std::abs(plain.loss - exact.loss) + 1e-3);
      for (std::size_t i = 0; i < exact.grads.size(); ++i) {
        const double allowed = 2 * relative(plain.grads[i].tensor, exact.grads[i].tensor) + 2e-3;
        EXPECT_LT(relative(fused.grads[i].tensor, exact.grads[i].tensor), allowed)
            << exact.grads[i].name << ", chunks of " << chunk;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Options,
    FusedExecutorOnGpuErrs,
    testing::ValuesIn(cases()),
    [](const testing::TestParamInfo<Case>& each) {
      return with_kernels(each.param.name, each.param.kernels);
    });

class FusedExecutorOnGpu : public testing::TestWithParam<KernelSet> {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_GPU();
    if (GetParam() == KernelSet::kHopper) {
      SKIP_WITHOUT_HOPPER();
    }
  }
};

INSTANTIATE_TEST_SUITE_P(
    Kernels,
    FusedExecutorOnGpu,
    testing::Values(KernelSet::kHopper, KernelSet::kPortable),
    [](const testing::TestParamInfo<KernelSet>& each) {
      return std::string(enum_name(each.param));
    });

TEST_P(FusedExecutorOnGpu, TwoRunsAreBitEqual) {
  const ModelConfig config = small_model();
  const MicroBatch batch = small_batch(7 * 96);
  const auto once = [&] {
    return run(
        config,
        ComputeDType::kBFloat16,
        Execution::kFused,
        batch,
        3,
        Schedule::kWavefront,
        GetParam());
  };
  const Outcome first = once(), second = once();
  EXPECT_EQ(first.loss, second.loss);
  for (std::size_t i = 0; i < first.grads.size(); ++i) {
    EXPECT_TRUE(at::equal(first.grads[i].tensor, second.grads[i].tensor)) << first.grads[i].name;
  }
}

TEST_P(FusedExecutorOnGpu, ReplayedLaunchesEqualThoseMadeOneByOne) {
  for (const std::int64_t chunk : {7, 3}) {
    FlatParameters parameters(small_model(), ComputeDType::kBFloat16, at::kCUDA, /*seed=*/3);
    EngineSection engine;
    engine.dtype = ComputeDType::kBFloat16;
    engine.execution = Execution::kFused;
    engine.chunk_segments = chunk;
    engine.kernels = GetParam();
    engine.cuda_graphs = false;
    const auto plain = make_executor(parameters, engine);
    engine.cuda_graphs = true;
    const auto replayed = make_executor(parameters, engine);
    for (int step = 0; step < 8; ++step) {
      MicroBatch batch = small_batch(7 * 96 - 11);
      batch.ids = batch.ids.add(step).remainder(512);
      if (step >= 4) { // documents begin elsewhere each time: the same launches, other flags
        batch.segment_starts_document = at::zeros({2, 7}, at::TensorOptions().dtype(at::kBool));
        batch.segment_starts_document[step % 2][1 + step % 5].fill_(true);
      }
      // As in training: the first pass of a step overwrites, a second one adds.
      const auto two_passes = [&](Executor& executor) {
        executor.clear_gradients();
        executor.train(batch);
        return executor.train(batch);
      };
      const PassResult want = two_passes(*plain);
      const at::Tensor want_grad = parameters.grad().clone();
      const PassResult got = two_passes(*replayed);
      EXPECT_TRUE(at::equal(got.token_losses, want.token_losses)) << chunk << ", step " << step;
      EXPECT_TRUE(at::equal(parameters.grad(), want_grad)) << chunk << ", step " << step;
    }
  }
}

class FusedAttentionOnGpu : public testing::TestWithParam<AttentionBackend> {};

TEST_P(FusedAttentionOnGpu, IsTheOneThatWasAskedForInBothExecutions) {
  SKIP_WITHOUT_GPU();
  if (GetParam() == AttentionBackend::kFcc) {
    SKIP_WITHOUT_HOPPER();
  }
  const ModelConfig config = small_model();
  const MicroBatch batch = small_batch(7 * 96 - 11);
  const Outcome exact = run(config, ComputeDType::kFloat64, Execution::kReference, batch);
  for (const Execution execution : {Execution::kReference, Execution::kFused}) {
    FlatParameters parameters(config, ComputeDType::kBFloat16, at::kCUDA, /*seed=*/3);
    EngineSection engine;
    engine.dtype = ComputeDType::kBFloat16;
    engine.execution = execution;
    engine.attention = GetParam();
    const auto executor = make_executor(parameters, engine);
    executor->clear_gradients();
    EXPECT_NEAR(executor->train(batch).loss.item<double>(), exact.loss, 2e-2);
    const auto grads = parameters.named(parameters.grad());
    for (std::size_t i = 0; i < grads.size(); ++i) {
      EXPECT_LT(relative(grads[i].tensor, exact.grads[i].tensor), 0.05) << grads[i].name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Backends,
    FusedAttentionOnGpu,
    testing::Values(
        AttentionBackend::kFcc,
        AttentionBackend::kFlash,
        AttentionBackend::kCudnn,
        AttentionBackend::kReference),
    [](const testing::TestParamInfo<AttentionBackend>& each) {
      return std::string(enum_name(each.param));
    });

TEST(FusedExecutorOnGpuInFloat32, EqualsTheReferenceInFloat64) {
  SKIP_WITHOUT_GPU();
  const ModelConfig config = small_model();
  const MicroBatch batch = small_batch(7 * 96 - 11);
  const Outcome exact = run(config, ComputeDType::kFloat64, Execution::kReference, batch);
  const Outcome fused = run(config, ComputeDType::kFloat32, Execution::kFused, batch, 3);
  EXPECT_NEAR(fused.loss, exact.loss, 1e-4);
  for (std::size_t i = 0; i < exact.grads.size(); ++i) {
    EXPECT_LT(relative(fused.grads[i].tensor, exact.grads[i].tensor), 1e-3) << exact.grads[i].name;
  }
}

TEST(EngineChoiceOnGpu, AutoIsFusedForEveryHeadWidthAndType) {
  SKIP_WITHOUT_GPU();
  for (const std::int64_t head_dim : {32, 64, 96, 100, 256}) {
    for (const auto dtype : {ComputeDType::kFloat32, ComputeDType::kBFloat16}) {
      ModelConfig config = small_model();
      config.head_dim = head_dim;
      EngineSection engine;
      engine.dtype = dtype;
      EXPECT_EQ(
          choose_execution(engine, {.model = config, .device = at::kCUDA}), Execution::kFused);
      FlatParameters parameters(config, dtype, at::kCUDA, /*seed=*/3);
      const auto executor = make_executor(parameters, engine);
      executor->clear_gradients();
      const PassResult result = executor->train(small_batch(200));
      EXPECT_NEAR(result.loss.item<double>(), std::log(512.0), 0.5) << head_dim;
    }
  }
}

} // namespace
} // namespace fcc
