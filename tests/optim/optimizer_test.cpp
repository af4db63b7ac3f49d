// What every kind of optimizer does alike, and what is Muon's own.
#include "fcc/optim/optimizer.h"

#include <cmath>
#include <functional>
#include <map>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "fcc/config/field.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

/// Ugly sizes: 3 layers, q 21 rows and k, v 7 of 15 columns; gate and up 29 rows.
ModelConfig model_config() {
  ModelConfig model;
  model.vocab_size = 31;
  model.hidden_size = 15;
  model.intermediate_size = 29;
  model.num_hidden_layers = 3;
  model.num_attention_heads = 3;
  model.num_key_value_heads = 1;
  model.head_dim = 7;
  model.tie_word_embeddings = false;
  model.initializer_range = 0.3;
  model.fcc = FccConfig{.segment_length = 4};
  model.fcc->first_memory = FirstMemory::kLearned;
  return model;
}

FlatParameters parameters_of(ComputeDType dtype, const std::vector<std::string>& freeze = {}) {
  return FlatParameters(model_config(), dtype, at::kCPU, /*seed=*/5, freeze);
}

/// Fills the gradient of every weight, and no gap, with values that depend on `step` alone.
void draw_gradients(FlatParameters& parameters, std::uint64_t step) {
  at::Generator generator = at::detail::createCPUGenerator(100 + step);
  for (const NamedTensor& named : parameters.named(parameters.grad())) {
    named.tensor.copy_(at::empty(named.tensor.sizes(), at::kDouble).normal_(0, 1, generator));
  }
}

std::map<std::string, at::Tensor> weights_of(const FlatParameters& parameters) {
  std::map<std::string, at::Tensor> weights;
  for (const NamedTensor& named : parameters.named(parameters.master())) {
    weights[named.name] = named.tensor.clone();
  }
  return weights;
}

class EveryOptimizer : public ::testing::TestWithParam<OptimKind> {
 protected:
  OptimSection config() const {
    OptimSection section;
    section.kind = GetParam();
    return section;
  }
};

TEST_P(EveryOptimizer, UpdatesEveryWeightWithoutTouchingTheGradient) {
  FlatParameters parameters = parameters_of(ComputeDType::kFloat32);
  const auto before = weights_of(parameters);
  const auto optimizer = make_optimizer(config(), parameters);
  draw_gradients(parameters, 0);
  const at::Tensor grad = parameters.grad().clone();
  optimizer->step(1e-2, 0.5);
  for (const auto& [name, weight] : weights_of(parameters)) {
    const at::Tensor change = (weight - before.at(name)).abs();
    EXPECT_GT(change.gt(0).to(at::kDouble).mean().item<double>(), 0.9) << name;
    EXPECT_LT(change.max().item<double>(), 0.1) << name;
  }
  EXPECT_TRUE(parameters.grad().equal(grad));
  EXPECT_EQ(optimizer->num_updates(), 1);
}

TEST_P(EveryOptimizer, StatesRestoredByNameGoOnBitForBit) {
  for (const ComputeDType dtype :
       {ComputeDType::kFloat32, ComputeDType::kFloat64, ComputeDType::kBFloat16}) {
    FlatParameters whole = parameters_of(dtype), resumed = parameters_of(dtype);
    const auto first = make_optimizer(config(), whole);
    for (std::uint64_t step = 0; step < 3; ++step) {
      draw_gradients(whole, step);
      first->step(1e-2, 1.0);
    }
    const auto second = make_optimizer(config(), resumed);
    resumed.master().copy_(whole.master());
    resumed.update_compute();
    ASSERT_EQ(second->states().size(), first->states().size());
    for (std::size_t i = 0; i < first->states().size(); ++i) {
      const auto from = named_state(whole, first->states()[i]);
      const auto to = named_state(resumed, second->states()[i]);
      ASSERT_EQ(from.size(), to.size());
      for (std::size_t j = 0; j < from.size(); ++j) {
        EXPECT_EQ(from[j].name, to[j].name);
        to[j].tensor.copy_(from[j].tensor);
      }
    }
    second->set_num_updates(first->num_updates());
    for (std::uint64_t step = 3; step < 6; ++step) {
      for (auto* parameters : {&whole, &resumed}) {
        draw_gradients(*parameters, step);
      }
      first->step(1e-2, 1.0);
      second->step(1e-2, 1.0);
    }
    EXPECT_TRUE(resumed.master().equal(whole.master()));
    EXPECT_TRUE(resumed.compute().equal(whole.compute()));
  }
}

TEST_P(EveryOptimizer, FrozenWeightsAndTheirStatesStayAsTheyAre) {
  const std::vector<std::string> freeze = {"model.embed_tokens.weight"};
  FlatParameters parameters = parameters_of(ComputeDType::kFloat64, freeze);
  FlatParameters layers = parameters_of(
      ComputeDType::kFloat64,
      {"model.layers.0.mlp.*", "model.layers.1.mlp.*", "model.layers.2.mlp.*"});
  for (FlatParameters* frozen : {&parameters, &layers}) {
    const std::int64_t first = frozen->regions().no_decay;
    const at::Tensor before = frozen->master().slice(0, first).clone();
    ASSERT_GT(before.numel(), 0);
    const auto optimizer = make_optimizer(config(), *frozen);
    draw_gradients(*frozen, 0);
    frozen->grad().slice(0, first).fill_(std::nan(""));
    optimizer->step(1e-2, 1.0);
    EXPECT_TRUE(frozen->master().slice(0, first).equal(before));
    EXPECT_TRUE(frozen->master().isfinite().all().item<bool>());
    for (const OptimizerState& state : optimizer->states()) {
      EXPECT_TRUE(state.values.isfinite().all().item<bool>()) << state.layout.name;
    }
  }
}

TEST_P(EveryOptimizer, GapsBetweenTensorsStayZero) {
  FlatParameters parameters = parameters_of(ComputeDType::kFloat32);
  const auto optimizer = make_optimizer(config(), parameters);
  for (std::uint64_t step = 0; step < 2; ++step) {
    draw_gradients(parameters, step);
    optimizer->step(1e-2, 1.0);
  }
  at::Tensor rest = parameters.master().clone();
  for (const NamedTensor& named : parameters.named(rest)) {
    named.tensor.zero_();
  }
  EXPECT_EQ(rest.abs().sum().item<double>(), 0.0);
}

TEST_P(EveryOptimizer, ComputesWithTheMasterRoundedToNearest) {
  FlatParameters parameters = parameters_of(ComputeDType::kBFloat16);
  const auto optimizer = make_optimizer(config(), parameters);
  draw_gradients(parameters, 0);
  optimizer->step(1e-2, 1.0);
  EXPECT_TRUE(parameters.compute().equal(parameters.master().to(at::kBFloat16)));
}

TEST_P(EveryOptimizer, DecaysMatricesOnly) {
  FlatParameters parameters = parameters_of(ComputeDType::kFloat64);
  const auto before = weights_of(parameters);
  const auto optimizer = make_optimizer(config(), parameters); // gradients are zero
  optimizer->step(0.5, 1.0);
  for (const auto& [name, weight] : weights_of(parameters)) {
    const double kept = weight.dim() >= 2 ? 1 - 0.5 * 0.1 : 1.0;
    EXPECT_TRUE(at::allclose(weight, before.at(name) * kept, 1e-14, 0)) << name;
  }
}

TEST_P(EveryOptimizer, KeepsWhatItPlans) {
  FlatParameters parameters = parameters_of(ComputeDType::kFloat32, {"lm_head.weight"});
  const OptimizerPlan plan = plan_optimizer(
      config(),
      FlatParameters::layout(model_config(), {"lm_head.weight"}),
      ComputeDType::kFloat32,
      at::kCPU);
  const auto optimizer = make_optimizer(config(), parameters);
  ASSERT_EQ(plan.states.size(), optimizer->states().size());
  for (std::size_t i = 0; i < plan.states.size(); ++i) {
    const OptimizerState& state = optimizer->states()[i];
    EXPECT_EQ(state.layout.name, plan.states[i].name);
    EXPECT_EQ(state.values.numel(), plan.states[i].numel());
    EXPECT_EQ(state.values.scalar_type(), at::kFloat);
  }
}

TEST_P(EveryOptimizer, NeedsGradients) {
  FlatParameters parameters =
      FlatParameters::for_inference(model_config(), ComputeDType::kFloat32, at::kCPU);
  EXPECT_THROW(make_optimizer(config(), parameters), Error);
}

INSTANTIATE_TEST_SUITE_P(
    Kinds,
    EveryOptimizer,
    ::testing::Values(OptimKind::kAdamW, OptimKind::kMuon),
    [](const auto& tested) { return std::string(enum_name(tested.param)); });

TEST(AdamWStates, AreKeptForEveryWeightUnderTheNamesOfOlderCheckpoints) {
  FlatParameters parameters = parameters_of(ComputeDType::kFloat32, {"lm_head.weight"});
  const auto optimizer = make_optimizer({}, parameters);
  ASSERT_EQ(optimizer->states().size(), 2u);
  EXPECT_EQ(optimizer->states()[0].layout.name, "exp_avg");
  EXPECT_EQ(optimizer->states()[1].layout.name, "exp_avg_sq");
  const auto weights = parameters.named(parameters.master());
  for (const OptimizerState& state : optimizer->states()) {
    const auto named = named_state(parameters, state);
    ASSERT_EQ(named.size(), weights.size());
    for (std::size_t i = 0; i < named.size(); ++i) {
      EXPECT_EQ(named[i].name, weights[i].name);
      EXPECT_EQ(named[i].tensor.sizes(), weights[i].tensor.sizes());
    }
  }
}

bool is_layer_matrix(const std::string& name) {
  return name.find("_proj.") != std::string::npos;
}

TEST(Muon, KeepsOneStateForLayerMatricesAndTwoForTheRest) {
  FlatParameters parameters = parameters_of(ComputeDType::kFloat32);
  const auto optimizer = make_optimizer({.kind = OptimKind::kMuon}, parameters);
  std::map<std::string, std::string> states_of;
  for (const OptimizerState& state : optimizer->states()) {
    for (const NamedTensor& named : named_state(parameters, state)) {
      states_of[named.name] += state.layout.name + " ";
    }
  }
  for (const NamedTensor& named : parameters.named(parameters.master())) {
    EXPECT_EQ(
        states_of[named.name], is_layer_matrix(named.name) ? "momentum " : "exp_avg exp_avg_sq ")
        << named.name;
  }
}

/// O by the singular value decomposition: five steps of the quintic act on the values alone.
at::Tensor by_singular_values(const at::Tensor& direction, std::int64_t num_steps) {
  const auto [u, s, vh] = at::linalg_svd(direction, /*full_matrices=*/false);
  at::Tensor x = s / (direction.norm() + 1e-7);
  for (std::int64_t i = 0; i < num_steps; ++i) {
    x = 3.4445 * x - 4.7750 * x.pow(3) + 2.0315 * x.pow(5);
  }
  return u.matmul(at::diag(x)).matmul(vh);
}

TEST(Muon, FollowsTheEquationsOverSeveralSteps) {
  for (const bool nesterov : {true, false}) {
    FlatParameters parameters = parameters_of(ComputeDType::kFloat64);
    const OptimSection config{
        .kind = OptimKind::kMuon, .momentum = 0.9, .nesterov = nesterov, .ns_steps = 4};
    const auto optimizer = make_optimizer(config, parameters);
    auto expected = weights_of(parameters);
    std::map<std::string, at::Tensor> momentum;
    for (std::uint64_t step = 0; step < 4; ++step) {
      const double lr = 0.01 * static_cast<double>(step + 1);
      draw_gradients(parameters, step);
      for (const NamedTensor& named : parameters.named(parameters.grad())) {
        if (!is_layer_matrix(named.name)) {
          continue;
        }
        const at::Tensor g = 0.5 * named.tensor;
        at::Tensor& m = momentum[named.name];
        m = m.defined() ? 0.9 * m + g : g.clone();
        const at::Tensor o = by_singular_values(nesterov ? g + 0.9 * m : m, 4);
        const double size = 0.2 * std::sqrt(static_cast<double>(std::max(g.size(0), g.size(1))));
        at::Tensor& w = expected[named.name];
        w = w * (1 - lr * 0.1) - lr * size * o;
      }
      optimizer->step(lr, 0.5);
    }
    for (const auto& [name, weight] : weights_of(parameters)) {
      if (is_layer_matrix(name)) {
        EXPECT_TRUE(at::allclose(weight, expected[name], 1e-9, 1e-11)) << name;
      }
    }
  }
}

TEST(Muon, UpdatesHaveSingularValuesNearOneTimesTheScale) {
  FlatParameters parameters = parameters_of(ComputeDType::kFloat32);
  const auto before = weights_of(parameters);
  const OptimSection config{.kind = OptimKind::kMuon, .weight_decay = 0};
  const auto optimizer = make_optimizer(config, parameters);
  draw_gradients(parameters, 3);
  optimizer->step(1.0, 1.0);
  for (const auto& [name, weight] : weights_of(parameters)) {
    if (!is_layer_matrix(name)) {
      continue;
    }
    const double size =
        0.2 * std::sqrt(static_cast<double>(std::max(weight.size(0), weight.size(1))));
    const at::Tensor values = at::linalg_svdvals((before.at(name) - weight).to(at::kDouble)) / size;
    EXPECT_GT(values.min().item<double>(), 0.3) << name; // the quintic ends in 0.7..1.2
    EXPECT_LT(values.max().item<double>(), 1.3) << name;
    EXPECT_GT(values.mean().item<double>(), 0.7) << name;
  }
}

TEST(Muon, UpdatesOtherWeightsAsAdamWDoes) {
  FlatParameters muon = parameters_of(ComputeDType::kFloat32);
  FlatParameters adamw = parameters_of(ComputeDType::kFloat32);
  const auto first = make_optimizer({.kind = OptimKind::kMuon}, muon);
  const auto second = make_optimizer({.kind = OptimKind::kAdamW}, adamw);
  for (std::uint64_t step = 0; step < 3; ++step) {
    draw_gradients(muon, step);
    draw_gradients(adamw, step);
    first->step(1e-2, 0.7);
    second->step(1e-2, 0.7);
  }
  const auto expected = weights_of(adamw);
  for (const auto& [name, weight] : weights_of(muon)) {
    EXPECT_EQ(weight.equal(expected.at(name)), !is_layer_matrix(name)) << name;
  }
}

} // namespace
} // namespace fcc
