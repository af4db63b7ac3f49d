#include "fcc/train/trainer.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "train/tiny_run.h"
#include "train/train_run.h"

namespace fcc {
namespace {

Trainer make_trainer(const RunConfig& config) {
  return Trainer(config, make_trainer_parts(config));
}

/// Writes what is not finite into the gradient of chosen passes.
class FaultyExecutor : public Executor {
 public:
  FaultyExecutor(std::unique_ptr<Executor> inner, FlatParameters& parameters, std::int64_t period)
      : inner_(std::move(inner)), parameters_(parameters), period_(period) {}

  void clear_gradients() override {
    inner_->clear_gradients();
  }
  PassResult train(const MicroBatch& batch, const PassHooks& hooks) override {
    PassResult result = inner_->train(batch, hooks);
    if (++num_passes_ % period_ == 0) {
      parameters_.grad()[0] = std::numeric_limits<double>::infinity();
    }
    return result;
  }
  PassResult evaluate(const MicroBatch& batch, MemoryState* state) override {
    return inner_->evaluate(batch, state);
  }

 private:
  std::unique_ptr<Executor> inner_;
  FlatParameters& parameters_;
  std::int64_t period_, num_passes_ = 0;
};

Trainer make_faulty_trainer(const RunConfig& config, std::int64_t period) {
  TrainerParts parts = make_trainer_parts(config);
  parts.executor =
      std::make_unique<FaultyExecutor>(std::move(parts.executor), *parts.parameters, period);
  return Trainer(config, std::move(parts));
}

TEST(Trainer, LowersTheLossOfATinyRun) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.stages.resize(1);
  config.train.stages[0].steps = 60;
  Trainer trainer = make_trainer(config);
  const double first = trainer.step().mean_loss;
  double last = first;
  while (!trainer.finished()) {
    last = trainer.step().mean_loss;
  }
  EXPECT_NEAR(first, std::log(61.0), 0.2);
  EXPECT_LT(last, 0.75 * first);
}

TEST(Trainer, StartsWithTheLossOfAUniformGuess) {
  const TemporaryFolder folder;
  Trainer trainer = make_trainer(tiny_run(folder / "run"));
  const StepReport report = trainer.step();
  ASSERT_TRUE(report.answer_loss.has_value());
  EXPECT_NEAR(*report.answer_loss, std::log(61.0), 0.3);
  EXPECT_EQ(report.step, 1);
  EXPECT_EQ(report.tokens_seen, 2 * 3 * report.num_segments * 14);
}

class Accumulation : public ::testing::TestWithParam<LossKind> {};

TEST_P(Accumulation, EqualsTheLargeBatch) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.engine.dtype = ComputeDType::kFloat64;
  config.loss.kind = GetParam();
  config.optim.weight_decay = 0.1;
  config.train.stages.resize(1);
  config.train.stages[0].prefix_segments = IntDistribution::fixed(1);
  std::vector<at::Tensor> masters, grads;
  for (const auto& [rows, batches] : {std::pair{6, 1}, std::pair{2, 3}, std::pair{1, 6}}) {
    config.train.batch_size = rows;
    config.train.stages[0].accumulate = batches;
    Trainer trainer = make_trainer(config);
    for (int i = 0; i < 3; ++i) {
      trainer.step();
    }
    masters.push_back(trainer.parameters().master().clone());
    grads.push_back(trainer.parameters().grad().clone());
  }
  for (const std::size_t i : {1u, 2u}) {
    EXPECT_LT((grads[i] - grads[0]).abs().max().item<double>(), 1e-12);
    EXPECT_LT((masters[i] - masters[0]).abs().max().item<double>(), 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(
    LossKinds,
    Accumulation,
    ::testing::Values(LossKind::kSegmentMeanSum, LossKind::kTokenMean));

TEST(Trainer, SkipsStepsThatAreNotFinite) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.stages[0].accumulate = 1;
  Trainer trainer = make_faulty_trainer(config, 3);
  trainer.step();
  trainer.step();
  const at::Tensor before = trainer.parameters().master().clone();
  const StepReport report = trainer.step();
  EXPECT_TRUE(report.skipped);
  EXPECT_TRUE(trainer.parameters().master().equal(before));
  EXPECT_EQ(trainer.state().skipped_steps, 1);
  EXPECT_EQ(trainer.state().num_updates, 2);
  EXPECT_EQ(trainer.state().curriculum.step, 3);
  EXPECT_FALSE(trainer.step().skipped);
  EXPECT_TRUE(std::isfinite(trainer.parameters().master().sum().item<double>()));
}

TEST(Trainer, EndsOnceTooManyStepsWereSkipped) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.max_skipped_steps = 2;
  Trainer trainer = make_faulty_trainer(config, 1);
  try {
    trainer.run(RunDirectory(config.output), std::nullopt, {false});
    FAIL() << "must end with an error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("train.max_skipped_steps"), std::string::npos);
    EXPECT_EQ(trainer.state().curriculum.step, 3);
  }
}

TEST(Trainer, EndsOnceTooManyStepsInARowWereSkipped) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.max_consecutive_skipped_steps = 3;
  Trainer trainer = make_faulty_trainer(config, 1);
  try {
    trainer.run(RunDirectory(config.output), std::nullopt, {false});
    FAIL() << "must end with an error";
  } catch (const Error& error) {
    EXPECT_NE(
        std::string(error.what()).find("train.max_consecutive_skipped_steps"), std::string::npos);
    EXPECT_EQ(trainer.state().curriculum.step, 4);
  }
}

TEST(Trainer, WritesNoCheckpointAndRemovesNoneWhileStepsAreSkipped) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.stages[0].accumulate = 1;
  config.train.stages[0].steps = 8;
  config.train.stages.resize(1);
  config.checkpoint = {.every = 1, .keep_last = 9, .in_background = false};
  Trainer trainer = make_faulty_trainer(config, 3); // steps 3 and 6
  const RunDirectory directory(config.output);
  EXPECT_EQ(trainer.run(directory, std::nullopt, {false}), Trainer::End::kFinished);
  EXPECT_EQ(directory.checkpoint_steps(), (std::vector<std::int64_t>{1, 2, 4, 5, 7, 8}));
}

TEST(Trainer, NeverSealsWeightsThatAreNotFinite) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.checkpoint = {.every = 1, .keep_last = 1, .in_background = false};
  Trainer trainer = make_trainer(config);
  const RunDirectory directory(config.output);
  ASSERT_EQ(trainer.run(directory, std::nullopt, {true}), Trainer::End::kStopped);
  trainer.parameters().master()[5] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THROW(trainer.save(directory.checkpoint(0), trainer.checkpoint_data()), Error);
  EXPECT_THROW(trainer.run(directory, std::nullopt, {false}), Error);
  verify_checkpoint(directory.checkpoint(0)); // the good one is still there
  EXPECT_FALSE(std::filesystem::exists(directory.root() / "final"));
}

TEST(Trainer, ShowsItsObserverEveryLineOfTheMetrics) {
  const TemporaryFolder folder;
  const RunConfig config = tiny_run(folder / "run");
  Trainer trainer = make_trainer(config);
  std::string lines;
  trainer.observe_metrics([&](const std::string& line) { lines += line + '\n'; });
  trainer.run(RunDirectory(config.output), std::nullopt, {false});
  EXPECT_FALSE(lines.empty());
  EXPECT_EQ(lines, read_file(folder / "run/metrics.jsonl"));
}

TEST(Trainer, StopsBehindTheStepInWhichItsObserverAsksForIt) {
  const TemporaryFolder folder;
  const RunConfig config = tiny_run(folder / "run");
  Trainer trainer = make_trainer(config);
  std::atomic<bool> stop = false;
  trainer.observe_metrics(
      [&](const std::string& line) { stop = line.starts_with("{\"step\":2,"); });
  const RunDirectory directory(config.output);
  EXPECT_EQ(trainer.run(directory, std::nullopt, stop), Trainer::End::kStopped);
  EXPECT_EQ(directory.checkpoint_steps().back(), 2);
}

TEST(Trainer, EndsAStageWhoseMetricIsUnderItsBound) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.train.stages[0].until =
      UntilConfig{.metric = "loss", .below = 100.0, .window = 4, .patience = {}, .dataset = {}};
  Trainer trainer = make_trainer(config);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(trainer.step().stage, "first");
  }
  EXPECT_EQ(trainer.step().stage, "second");
}

TEST(Trainer, LeavesFrozenWeightsAlone) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.optim.freeze = {"model.embed_tokens.weight"};
  Trainer trainer = make_trainer(config);
  FlatParameters& parameters = trainer.parameters();
  const at::Tensor before = parameters.view(parameters.master()).embed_tokens.clone();
  const at::Tensor norm_before = parameters.view(parameters.master()).norm.clone();
  for (int i = 0; i < 5; ++i) {
    trainer.step();
  }
  EXPECT_TRUE(parameters.view(parameters.master()).embed_tokens.equal(before));
  EXPECT_FALSE(parameters.view(parameters.master()).norm.equal(norm_before));
}

TEST(Trainer, ValidatesOnTheSameRowsWithoutAnyEffect) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.data.validation = config.data.train;
  Trainer watched = make_trainer(config), alone = make_trainer(config);
  for (int i = 0; i < 3; ++i) {
    const std::vector<ValidationReport> once = watched.validate(), again = watched.validate();
    ASSERT_EQ(once.size(), 1u);
    EXPECT_EQ(once[0].mean_loss, again[0].mean_loss);
    EXPECT_EQ(once[0].answer_loss, again[0].answer_loss);
    EXPECT_EQ(once[0].segment_losses.size(), 3u);
    watched.step();
    alone.step();
  }
  EXPECT_TRUE(watched.parameters().master().equal(alone.parameters().master()));
}

TEST(Trainer, RefusesAVocabularySmallerThanTheTokenizers) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.model.config->vocab_size = 20;
  EXPECT_THROW(make_trainer_parts(config), ConfigError);
}

TEST(Trainer, KeepsTheModelOfTheLowestValidationLoss) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.data.validation = config.data.train;
  config.train.validate_every = 1;
  config.train.stages.resize(1);
  config.train.stages[0].steps = 3;
  config.train.stages[0].lr = 1e-3;
  config.checkpoint.keep_best = true;
  ASSERT_EQ(run(config), Trainer::End::kFinished);
  const std::filesystem::path best = std::filesystem::path(config.output) / "best";
  verify_manifest(best);
  const std::string kept = read_file(best / "model.safetensors");
  config.train.stages[0].steps = 6; // what follows is worse
  config.train.stages[0].lr = 10.0;
  const RunDirectory directory(config.output);
  const auto checkpoint = find_checkpoint(directory, "auto");
  Trainer(config, make_trainer_parts(config, checkpoint))
      .run(directory, checkpoint, {false}, Course::kNew);
  EXPECT_EQ(read_file(best / "model.safetensors"), kept);
}

} // namespace
} // namespace fcc
