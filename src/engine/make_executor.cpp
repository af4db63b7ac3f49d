#include "fcc/engine/make_executor.h"

#include "engine/fused_executor.h"
#include "engine/reference_executor.h"
#include "fcc/core/error.h"
#include "fcc/engine/engine_choice.h"

namespace fcc {
namespace {

ComputeDType compute_dtype(c10::ScalarType dtype) {
  switch (dtype) {
    case c10::ScalarType::Double:
      return ComputeDType::kFloat64;
    case c10::ScalarType::BFloat16:
      return ComputeDType::kBFloat16;
    default:
      return ComputeDType::kFloat32;
  }
}

} // namespace

EnginePlan plan_for(const FlatParameters& parameters, const EngineSection& engine) {
  EngineSection own = engine;
  own.dtype = compute_dtype(parameters.compute().scalar_type());
  return plan_engine(
      own,
      {.model = parameters.config(),
       .device = parameters.compute().device(),
       .num_all_layers = parameters.stage() ? parameters.whole_config().num_hidden_layers : 0});
}

std::unique_ptr<Executor>
make_executor(FlatParameters& parameters, const EnginePlan& plan, StageLink* link) {
  check(
      (link != nullptr) == parameters.stage().has_value(),
      "make_executor",
      "parameters of a stage need a link to the others");
  check(
      plan.device.type() == parameters.compute().device().type() &&
          plan.dtype == parameters.compute().scalar_type(),
      "make_executor",
      "the plan must be of the parameters' device and dtype");
  if (plan.execution == Execution::kFused) {
    return std::make_unique<FusedExecutor>(parameters, plan, link);
  }
  return std::make_unique<ReferenceExecutor>(parameters, plan);
}

std::unique_ptr<Executor>
make_executor(FlatParameters& parameters, const EngineSection& engine, StageLink* link) {
  return make_executor(parameters, plan_for(parameters, engine), link);
}

} // namespace fcc
