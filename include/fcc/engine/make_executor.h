#pragma once

#include <memory>

#include "fcc/engine/engine_plan.h"
#include "fcc/engine/executor.h"

namespace fcc {

/// The executor of a plan. `parameters`, of the model that was planned for, outlives it.
std::unique_ptr<Executor> make_executor(FlatParameters& parameters, const EnginePlan& plan);

/// Plans for these parameters and their device first. Errors: `ConfigError` as `plan_engine`.
std::unique_ptr<Executor> make_executor(FlatParameters& parameters, const EngineSection& engine);

} // namespace fcc
