#include "fcc/engine/executor.h"

#include "engine/reference_executor.h"

namespace fcc {

std::unique_ptr<Executor> make_executor(FlatParameters& parameters, const EngineSection& engine) {
  return std::make_unique<ReferenceExecutor>(parameters, engine);
}

} // namespace fcc
