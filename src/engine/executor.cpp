#include "fcc/engine/executor.h"

#include "engine/reference_executor.h"
#include "fcc/engine/fused_executor.h"

namespace fcc {

std::unique_ptr<Executor> make_executor(FlatParameters& parameters, const EngineSection& engine) {
  if (engine.execution == Execution::kFused) {
    return std::make_unique<FusedExecutor>(parameters, engine);
  }
  return std::make_unique<ReferenceExecutor>(parameters, engine);
}

} // namespace fcc
