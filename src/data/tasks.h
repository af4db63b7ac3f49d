#pragma once

#include <memory>

#include "fcc/data/task.h"

namespace fcc {

/// A maker of `make_task`: one a file.
using TaskMaker = std::unique_ptr<Task>(
    const TaskConfig& config,
    std::shared_ptr<const Tokenizer> tokenizer,
    bool add_bos);

TaskMaker make_passkey_task, make_needle_task, make_variable_task, make_story_task,
    make_capacity_task, make_copy_task;

/// What repeats where there is no text.
extern const char* const kTaskFiller;

/// What the filler is, for `Task::identity`.
inline const std::string& filler_name(const TaskConfig& config) {
  return config.haystack.empty() ? config.filler : config.haystack_name;
}

/// Tokens that an answer of several values may take beyond the expected one: other words between
/// them.
constexpr std::int64_t kSlackTokens = 16;

} // namespace fcc
