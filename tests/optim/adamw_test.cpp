#include "fcc/optim/adamw.h"

#include <cmath>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/core/random.h"

namespace fcc {
namespace {

at::Tensor drawn(std::int64_t count, at::ScalarType dtype, std::uint64_t stream) {
  at::Tensor tensor = at::empty({count}, at::TensorOptions().dtype(at::kDouble));
  Random random(3, stream);
  for (std::int64_t i = 0; i < count; ++i) {
    tensor.data_ptr<double>()[i] = random.uniform() - 0.5;
  }
  return tensor.to(dtype);
}

struct Buffers {
  at::Tensor master, grad, exp_avg, exp_avg_sq;

  explicit Buffers(std::int64_t count, at::ScalarType dtype = at::kDouble)
      : master(drawn(count, dtype, 0)),
        grad(drawn(count, dtype, 1)),
        exp_avg(at::zeros({count}, at::TensorOptions().dtype(dtype))),
        exp_avg_sq(at::zeros({count}, at::TensorOptions().dtype(dtype))) {}

  void update(const RegionEnds& regions, const AdamWStep& step) const {
    adamw_update(master, grad, exp_avg, exp_avg_sq, regions, step);
  }
};

TEST(AdamW, FollowsTheEquationsOverSeveralSteps) {
  const Buffers buffers(113);
  const RegionEnds regions{.decay = 50, .no_decay = 100, .all = 113};
  const auto start = buffers.master.clone(), grad = buffers.grad.clone();
  std::vector<double> p(start.data_ptr<double>(), start.data_ptr<double>() + 113), m(113), v(113);
  for (int t = 1; t <= 7; ++t) {
    const double lr = 0.01 * t;
    buffers.update(regions, {.lr = lr, .weight_decay = 0.1, .grad_scale = 0.5, .update = t});
    for (std::size_t i = 0; i < 100; ++i) {
      const double g = 0.5 * grad.data_ptr<double>()[i];
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.95 * v[i] + 0.05 * g * g;
      const double m_hat = m[i] / (1 - std::pow(0.9, t)), v_hat = v[i] / (1 - std::pow(0.95, t));
      p[i] -= lr * (i < 50 ? 0.1 : 0.0) * p[i];
      p[i] -= lr * m_hat / (std::sqrt(v_hat) + 1e-8);
    }
  }
  for (std::size_t i = 0; i < 113; ++i) {
    EXPECT_NEAR(buffers.master.data_ptr<double>()[i], p[i], 1e-12) << i;
  }
}

TEST(AdamW, LeavesFrozenElementsAndTheirStatesAlone) {
  const Buffers buffers(239);
  const auto before = buffers.master.clone();
  buffers.grad.narrow(0, 130, 109).fill_(std::nan(""));
  buffers.update({.decay = 1, .no_decay = 130, .all = 239}, {.lr = 1.0, .weight_decay = 0.1});
  EXPECT_TRUE(buffers.master.narrow(0, 130, 109).equal(before.narrow(0, 130, 109)));
  EXPECT_EQ(buffers.exp_avg.narrow(0, 130, 109).abs().sum().item<double>(), 0.0);
  EXPECT_FALSE(buffers.master.narrow(0, 0, 130).equal(before.narrow(0, 0, 130)));
}

TEST(AdamW, KeepsZerosOfTheGapsBetweenTensors) {
  const Buffers buffers(64);
  buffers.master.narrow(0, 10, 5).zero_();
  buffers.grad.narrow(0, 10, 5).zero_();
  buffers.update({.decay = 64, .no_decay = 64, .all = 64}, {.lr = 0.1, .weight_decay = 0.1});
  EXPECT_EQ(buffers.master.narrow(0, 10, 5).abs().sum().item<double>(), 0.0);
}

TEST(AdamW, GivesTheSameBitsWithAnyNumberOfThreads) {
  const std::int64_t count = 200003;
  const RegionEnds regions{.decay = 100001, .no_decay = 190000, .all = count};
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> results;
  for (const int n : {1, 2, 3}) {
    at::set_num_threads(n);
    const Buffers buffers(count, at::kFloat);
    buffers.update(regions, {.lr = 0.01, .weight_decay = 0.1, .update = 3});
    results.push_back(buffers.master);
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(results[0].equal(results[1]));
  EXPECT_TRUE(results[0].equal(results[2]));
}

TEST(AdamW, RefusesBuffersOfDifferentLengths) {
  const Buffers buffers(8);
  EXPECT_THROW(
      adamw_update(
          buffers.master,
          buffers.grad.narrow(0, 0, 7),
          buffers.exp_avg,
          buffers.exp_avg_sq,
          {.decay = 8, .no_decay = 8, .all = 8},
          {}),
      Error);
}

} // namespace
} // namespace fcc
