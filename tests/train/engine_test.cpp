// How a run settles what its engine's keys leave to `auto`, and what it saves of that.
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/norm.h>
#include <gtest/gtest.h>

#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/train/estimate.h"
#include "fcc/train/resume.h"
#include "support/places.h"
#include "train/tiny_run.h"
#include "train/train_run.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

std::string last_manifest(const RunConfig& config) {
  const RunDirectory directory(config.output);
  return read_file(directory.checkpoint(directory.checkpoint_steps().back()) / "manifest.json");
}

RunConfig saved_config(const RunConfig& config) {
  const fs::path path = fs::path(config.output) / "config.json";
  return read_config<RunConfig>(read_file(path), path.string());
}

/// What the run takes in chunks of one segment.
double tight_gib(RunConfig config) {
  config.engine.activations = Activations::kRecompute;
  config.engine.chunk_segments = 1;
  const RunEstimate estimate =
      estimate_run(config, resolve_model_config(config.model), Processor::kCpu);
  return static_cast<double>(estimate.memory.total_bytes() + 1) / 0x1p30;
}

TEST(RunEngine, IsWrittenAsItWasResolved) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.stages.resize(1);
  config.train.stages[0].steps = 2;
  run(config);
  EXPECT_EQ(saved_config(config).engine.execution, Execution::kReference);

  config.output = (folder / "fused").string();
  config.engine.execution = Execution::kFused;
  run(config);
  EXPECT_EQ(saved_config(config).engine.activations, Activations::kStore);

  config.output = (folder / "tight").string();
  config.engine.memory_gib = tight_gib(config); // for one segment, and no more
  run(config);
  EXPECT_EQ(saved_config(config).engine.activations, Activations::kRecompute);
  EXPECT_EQ(saved_config(config).engine.chunk_segments, 1);
}

TEST(RunEngine, OfTheTrainingPageStoresEverythingOnACardOf80GB) {
  const std::string path = source_dir() + "/configs/one_gpu.json";
  const RunConfig config = read_config<RunConfig>(
      read_file(path), path, {"engine.execution=fused", "engine.activations=store"});
  const ModelConfig model = resolve_model_config(config.model);
  const RunEstimate estimate = estimate_run(config, model, Processor::kGpuWithKernels);
  EXPECT_EQ(estimate.parameters.total(), 114'150'144);
  EXPECT_EQ(estimate.fullest_stage, "4-16 segments");
  const double gib = static_cast<double>(estimate.memory.total_bytes()) / 0x1p30;
  EXPECT_LT(gib, 0.9 * 79) << gib;
  EXPECT_GT(gib, 4) << gib;
}

TEST(RunEngine, OfAResumedRunIsWhatAutoBecameBefore) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "whole");
  config.engine.execution = Execution::kFused;
  config.engine.activations = Activations::kRecompute;
  config.engine.chunk_segments = 2;
  config.checkpoint = {.every = 9, .keep_last = 10};
  run(config);
  const std::string expected = last_manifest(config);

  // The same run by a configuration that leaves the lengths of chunks to the machine.
  fs::remove_all(fs::path(config.output) / "checkpoints" / "step-00000030");
  config.engine.activations = Activations::kAuto;
  config.engine.chunk_segments.reset();
  ASSERT_EQ(run(config, "auto"), Trainer::End::kFinished);
  EXPECT_EQ(last_manifest(config), expected);
  EXPECT_EQ(saved_config(config).engine.chunk_segments, 2);

  config.engine.execution = Execution::kAuto; // on a CPU: the reference
  try {
    run(config, "auto");
    FAIL() << "must be refused";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.where(), "engine.execution");
  }
}

TEST(RunEngine, FusedResumesBitForBitWithTwoStagesAndAccumulation) {
  const TemporaryFolder folder;
  RunConfig whole = tiny_run(folder / "whole");
  whole.engine.execution = Execution::kFused;
  whole.checkpoint = {.every = 10, .keep_last = 10};
  run(whole);
  for (const char* step : {"step-00000010", "step-00000020"}) {
    RunConfig part = whole;
    part.output = (folder / step).string();
    ASSERT_EQ(
        run(part, (fs::path(whole.output) / "checkpoints" / step).string()),
        Trainer::End::kFinished);
    EXPECT_EQ(last_manifest(part), last_manifest(whole)) << step;
  }
}

struct Policy {
  std::string name;
  Activations activations;
  std::optional<std::int64_t> chunk_segments;
  Schedule schedule;
  KernelSet kernels = KernelSet::kAuto;
};

class RunEngineOnAGpu : public testing::TestWithParam<Policy> {};

TEST_P(RunEngineOnAGpu, IsBitEqualTwiceAndAfterAResumeInBFloat16) {
  if (!at::globalContext().hasCUDA()) {
    GTEST_SKIP() << "needs a GPU of compute capability 8.0 or later";
  }
  const TemporaryFolder folder;
  RunConfig first = tiny_run(folder / "first");
  first.model.config->vocab_size = 64;
  first.model.config->hidden_size = 64;
  first.model.config->intermediate_size = 128;
  first.model.config->num_hidden_layers = 3;
  first.model.config->head_dim = 64;
  first.engine.device = "cuda";
  first.engine.dtype = ComputeDType::kBFloat16;
  first.engine.activations = GetParam().activations;
  first.engine.chunk_segments = GetParam().chunk_segments;
  first.engine.schedule = GetParam().schedule;
  first.engine.kernels = GetParam().kernels;
  first.checkpoint = {.every = 10, .keep_last = 10};
  RunConfig second = first, resumed = first;
  second.output = (folder / "second").string();
  resumed.output = (folder / "resumed").string();
  run(first);
  EXPECT_EQ(saved_config(first).engine.execution, Execution::kFused);
  run(second);
  EXPECT_EQ(last_manifest(second), last_manifest(first));
  run(resumed, (fs::path(first.output) / "checkpoints" / "step-00000010").string());
  EXPECT_EQ(last_manifest(resumed), last_manifest(first));
}

INSTANTIATE_TEST_SUITE_P(
    Policies,
    RunEngineOnAGpu,
    testing::Values(
        Policy{"store", Activations::kStore, {}, Schedule::kWavefront},
        Policy{"recompute", Activations::kRecompute, {}, Schedule::kWavefront},
        Policy{"chunks_of_2", Activations::kAuto, 2, Schedule::kWavefront},
        Policy{"sequential", Activations::kStore, {}, Schedule::kSequential},
        Policy{"portable", Activations::kStore, {}, Schedule::kWavefront, KernelSet::kPortable},
        Policy{
            "portable_chunks_of_2",
            Activations::kAuto,
            2,
            Schedule::kWavefront,
            KernelSet::kPortable},
        Policy{
            "portable_sequential",
            Activations::kStore,
            {},
            Schedule::kSequential,
            KernelSet::kPortable}),
    [](const testing::TestParamInfo<Policy>& each) { return each.param.name; });

TEST(RunEngine, NewOutputProjectionsAreScaled) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  const auto norms = [&](double scale) {
    config.model.init.outputs = scale;
    const TrainerParts parts = make_trainer_parts(config);
    std::vector<double> result;
    for (const NamedTensor& named : parts.parameters->named(parts.parameters->master())) {
      result.push_back(named.tensor.norm().item<double>());
    }
    return result;
  };
  const std::vector<double> whole = norms(1.0), half = norms(0.5);
  int scaled = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (std::abs(half[i] - whole[i]) > 1e-6 * whole[i]) {
      EXPECT_NEAR(half[i], 0.5 * whole[i], 1e-5 * whole[i]);
      ++scaled;
    }
  }
  EXPECT_EQ(scaled, 2); // o_proj and down_proj of the one layer
}

TEST(Trainer, ShowsManySegmentsAtDoublingPlaces) {
  ValidationReport report;
  report.dataset = "held_out";
  report.segment_losses = {2.0, std::nullopt, 1.5};
  EXPECT_NE(validation_line(7, report).find("by segment 2.0000 - 1.5000"), std::string::npos);
  report.segment_losses.assign(21, 1.0);
  report.segment_losses[20] = 0.5;
  const std::string expected =
      "by segment 1: 1.0000 2: 1.0000 4: 1.0000 8: 1.0000 16: 1.0000 21: 0.5000";
  EXPECT_NE(validation_line(7, report).find(expected), std::string::npos);
}

TEST(Trainer, ReportsTheShareOfPadding) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  Trainer passkeys(config, make_trainer_parts(config));
  EXPECT_EQ(passkeys.step().padded_share, 0.0); // their rows are full
  StepReport report;
  report.padded_share = 0.125;
  EXPECT_NE(progress_line(report, {}).find("padding 12.5 %"), std::string::npos);
  report.padded_share = 0;
  EXPECT_EQ(progress_line(report, {}).find("padding"), std::string::npos);
}

} // namespace
} // namespace fcc
