// Every way to run the same training ends at the same place: 200 steps of AdamW in float64, under
// each schedule, each length of chunks, with memory on the host and behind a prefix, against the
// reference. An error of one step would grow here; it must stay at rounding's size.
#include <cmath>
#include <string>
#include <vector>

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "fcc/engine/make_executor.h"
#include "fcc/optim/grad_norm.h"
#include "fcc/optim/optimizer.h"
#include "model/tiny_model.h"

namespace fcc {
namespace {

constexpr int kSteps = 200;
constexpr std::int64_t kSegments = 7, kLength = 3, kRows = 1;

struct Course {
  std::vector<double> losses;
  at::Tensor weights; ///< [P] after the last step
};

Course train(const EngineSection& engine, std::int64_t prefix) {
  const ModelConfig config = testing::tiny_config(testing::condensation(kLength));
  FlatParameters parameters(config, ComputeDType::kFloat64, at::kCPU, /*seed=*/11);
  const auto executor = make_executor(parameters, engine);
  OptimSection optim;
  const auto optimizer = make_optimizer(optim, parameters);
  Course course;
  for (int step = 0; step < kSteps; ++step) {
    // Eight batches by turns, so that there is something to learn.
    MicroBatch batch = testing::random_batch(
        config, kRows, kSegments * kLength, static_cast<std::uint64_t>(100 + step % 8));
    batch.num_prefix_segments = prefix;
    batch.targets.slice(1, 0, prefix * kLength).fill_(-100);
    batch.coefficients.slice(1, 0, prefix * kLength).zero_();
    executor->clear_gradients();
    course.losses.push_back(executor->train(batch).loss.item<double>());
    const double norm = std::sqrt(squared_norm(parameters.grad()).item<double>());
    optimizer->step(3e-3, clip_factor(norm, 1.0));
  }
  course.weights = parameters.master().clone();
  return course;
}

EngineSection fused(std::optional<std::int64_t> chunk, Schedule schedule = Schedule::kWavefront) {
  EngineSection engine;
  engine.dtype = ComputeDType::kFloat64;
  engine.execution = Execution::kFused;
  engine.schedule = schedule;
  engine.chunk_segments = chunk;
  engine.activations = chunk ? Activations::kRecompute : Activations::kStore;
  return engine;
}

void expect_same_course(const Course& got, const Course& want, const std::string& how) {
  for (int step = 0; step < kSteps; ++step) {
    const auto i = static_cast<std::size_t>(step);
    ASSERT_NEAR(got.losses[i], want.losses[i], 1e-8 * std::abs(want.losses[i]))
        << how << ", step " << step;
  }
  const double distance = (got.weights - want.weights).norm().item<double>();
  EXPECT_LT(distance, 1e-8 * want.weights.norm().item<double>()) << how;
}

TEST(Policies, TwoHundredStepsEndWithTheSameWeightsUnderEachOfThem) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1); // products this small gain nothing from a second one
  EngineSection on_host = fused(2);
  on_host.boundary_memory_on_host = true;
  const std::vector<std::pair<std::string, EngineSection>> policies = {
      {"wavefront, all stored", fused(std::nullopt)},
      {"sequential, all stored", fused(std::nullopt, Schedule::kSequential)},
      {"sequential, chunks of 2", fused(2, Schedule::kSequential)},
      {"chunks of 1", fused(1)},
      {"chunks of 2", fused(2)},
      {"one chunk, by length", fused(kSegments)},
      {"chunks of 2, memory on the host", on_host}};
  EngineSection reference;
  reference.dtype = ComputeDType::kFloat64;
  reference.execution = Execution::kReference;
  for (const std::int64_t prefix : {0, 3}) {
    const Course want = train(reference, prefix);
    EXPECT_LT(want.losses.back(), 0.7 * want.losses[static_cast<std::size_t>(kSteps % 8)]);
    for (const auto& [name, engine] : policies) {
      expect_same_course(train(engine, prefix), want, name + ", prefix " + std::to_string(prefix));
    }
  }
  at::set_num_threads(threads);
}

} // namespace
} // namespace fcc
