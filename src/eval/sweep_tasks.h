#pragma once

#include <memory>

#include "fcc/eval/sweep_task.h"

namespace fcc {

/// The makers that `make_sweep_task` chooses from.
std::unique_ptr<SweepTask> make_needle_task(
    const SweepTaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos);
std::unique_ptr<SweepTask> make_variable_task(
    const SweepTaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos);

/// Tokens that an answer of several values may take beyond the expected one: other words between
/// them.
constexpr std::int64_t kSlackTokens = 16;

} // namespace fcc
