#include "fcc/engine/executor.h"

#include "engine/reference_executor.h"
#include "fcc/core/error.h"
#include "fcc/engine/engine_choice.h"
#include "fcc/engine/fused_executor.h"

namespace fcc {

void require_gradients(const FlatParameters& parameters) {
  check(
      parameters.grad().defined(),
      "Executor",
      "cannot train parameters that were made for inference");
}

std::unique_ptr<Executor>
make_executor(FlatParameters& parameters, const EngineSection& engine, StageLink* link) {
  check(
      (link != nullptr) == parameters.stage().has_value(),
      "make_executor",
      "parameters of a stage need a link to the others");
  const EngineContext context{
      .model = parameters.config(), .device = parameters.compute().device()};
  EngineSection chosen = engine;
  chosen.execution = choose_execution(engine, context);
  check_engine_choice(chosen, context);
  if (chosen.execution == Execution::kFused) {
    return std::make_unique<FusedExecutor>(parameters, chosen, link);
  }
  return std::make_unique<ReferenceExecutor>(parameters, chosen);
}

} // namespace fcc
