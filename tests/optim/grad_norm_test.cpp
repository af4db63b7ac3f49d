#include "fcc/optim/grad_norm.h"

#include <cmath>
#include <limits>

#include <ATen/Parallel.h>
#include <ATen/ops/full.h>
#include <ATen/ops/rand.h>
#include <gtest/gtest.h>

namespace fcc {
namespace {

TEST(GradNorm, SumsSquaresInDoublePrecision) {
  // In float32, adding 1e-4 to 1e8 again and again would change nothing.
  at::Tensor flat = at::full({100003}, 1e-2, at::TensorOptions().dtype(at::kFloat));
  flat.data_ptr<float>()[0] = 1e4F;
  const double squared_small = 1e-2F * static_cast<double>(1e-2F);
  EXPECT_NEAR(squared_norm(flat).item<double>(), 1e8 + 100002 * squared_small, 1e-4);
}

TEST(GradNorm, GivesTheSameBitsWithAnyNumberOfThreads) {
  const at::Tensor flat = at::rand({1000003}, at::TensorOptions().dtype(at::kFloat));
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = squared_norm(flat).item<double>();
  at::set_num_threads(3);
  const auto three = squared_norm(flat).item<double>();
  at::set_num_threads(threads);
  EXPECT_EQ(one, three);
}

TEST(GradNorm, ShowsWhatIsNotFinite) {
  at::Tensor flat = at::full({239}, 1.0, at::TensorOptions().dtype(at::kDouble));
  flat.data_ptr<double>()[113] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_TRUE(std::isnan(squared_norm(flat).item<double>()));
}

TEST(GradNorm, ClipsToTheBoundAndNoFurther) {
  EXPECT_EQ(clip_factor(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_factor(4.0, 1.0), 0.25);
  EXPECT_EQ(clip_factor(4.0, 0.0), 1.0);
}

} // namespace
} // namespace fcc
