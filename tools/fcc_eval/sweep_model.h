#pragma once

#include <map>
#include <string>

#include "common/torch/prefill.h"
#include "fcc/eval/passkey_sweep.h"

namespace fcc::tools {

/// Answers of a model, greedily. `prefill` must outlive the function.
AnswerFunction answers_of(Prefill& prefill);

/// What a sweep's results depend on of the model.
std::map<std::string, std::string> identity_of(const LoadedModel& model);

/// Tells of a finished cell on standard error.
void show_cell(const PasskeyCell& cell, std::size_t done, std::size_t all);

} // namespace fcc::tools
