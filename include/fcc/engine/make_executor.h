#pragma once

#include <memory>

#include "fcc/config/run_config.h"
#include "fcc/engine/engine_plan.h"
#include "fcc/engine/executor.h"
#include "fcc/engine/stage_link.h"
#include "fcc/model/parameters.h"

namespace fcc {

/// The plan of these parameters: their model, device and dtype, whatever the section says of the
/// last two. Errors: `ConfigError` as `plan_engine`.
EnginePlan plan_for(const FlatParameters& parameters, const EngineSection& engine);

/// The executor of a plan. `link`: of parameters that are a stage's, to the others; then losses are
/// those of the last stage in `evaluate`, while `train` gives zeros on the others. Both outlive it.
/// Errors: `Error` where the plan is for another device or dtype than the parameters have.
std::unique_ptr<Executor>
make_executor(FlatParameters& parameters, const EnginePlan& plan, StageLink* link = nullptr);

/// The same by `plan_for`.
std::unique_ptr<Executor>
make_executor(FlatParameters& parameters, const EngineSection& engine, StageLink* link = nullptr);

} // namespace fcc
