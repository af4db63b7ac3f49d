// The tasks by name, and what may be changed of each.
#include <algorithm>
#include <array>
#include <utility>

#include "data/tasks.h"
#include "fcc/core/error.h"

namespace fcc {

const char* const kTaskFiller =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

namespace {

/// Tasks that are made alike, and the options that they have.
struct TaskKind {
  TaskMaker* make;
  std::vector<std::string> options;
};

const TaskKind kPasskey{make_passkey_task, {"digits", "intro", "filler", "needle", "question"}};
const TaskKind kNeedle{
    make_needle_task,
    {"values",
     "digits",
     "keys",
     "asked",
     "values_per_key",
     "template",
     "intro",
     "filler",
     "needle",
     "question"}};
const TaskKind kVariables{make_variable_task, {"keys", "hops", "filler"}};
const TaskKind kStory{make_story_task, {"facts", "filler"}};
const TaskKind kCapacity{make_capacity_task, {"keys", "digits", "filler"}};
const TaskKind kCopy{make_copy_task, {"words", "filler"}};

struct NamedTask {
  std::string name;
  const TaskKind* kind;
  TaskConfig config;
};

TaskConfig repeated() {
  TaskConfig config;
  config.texts = needle_template("ruler");
  config.filler = kTaskFiller;
  return config;
}

/// Needles in real text.
TaskConfig
real(NeedleValue values, std::int64_t keys, std::int64_t asked, std::int64_t values_per_key) {
  TaskConfig config = repeated();
  config.needs_haystack = true;
  config.values = values;
  config.keys = keys;
  config.asked = asked;
  config.values_per_key = values_per_key;
  return config;
}

TaskConfig with_facts(std::int64_t facts) {
  TaskConfig config = repeated();
  config.facts = facts;
  return config;
}

TaskConfig pairs() {
  TaskConfig config = repeated();
  config.keys = 8;
  config.digits = 4;
  return config;
}

std::vector<NamedTask> named_tasks() {
  constexpr NeedleValue kDigits = NeedleValue::kDigits;
  std::vector<NamedTask> tasks = {
      {"passkey", &kPasskey, {}},
      {"needle", &kNeedle, repeated()},
      {"single-1", &kNeedle, repeated()},
      {"single-2", &kNeedle, real(kDigits, 1, 1, 1)},
      {"single-3", &kNeedle, real(NeedleValue::kUuid, 1, 1, 1)},
      {"multi-key", &kNeedle, real(kDigits, 4, 1, 1)},
      {"multi-value", &kNeedle, real(kDigits, 1, 1, 4)},
      {"multi-query", &kNeedle, real(kDigits, 4, 4, 1)},
      {"variables", &kVariables, repeated()},
      {"qa1", &kStory, with_facts(8)},
      {"qa2", &kStory, with_facts(12)},
      {"qa3", &kStory, with_facts(20)},
      {"qa4", &kStory, with_facts(2)},
      {"qa5", &kStory, with_facts(10)},
      {"capacity", &kCapacity, pairs()},
      {"copy", &kCopy, repeated()}};
  for (NamedTask& task : tasks) {
    task.config.task = task.name;
  }
  return tasks;
}

NamedTask named_task(const std::string& name) {
  std::string names;
  for (NamedTask& each : named_tasks()) {
    if (each.name == name) {
      return std::move(each);
    }
    names += (names.empty() ? "" : ", ") + each.name;
  }
  throw ConfigError("task", std::string("must be one of ") + names, name);
}

} // namespace

std::vector<std::string> task_names() {
  std::vector<std::string> names;
  for (const NamedTask& task : named_tasks()) {
    names.push_back(task.name);
  }
  return names;
}

TaskConfig task_config(const std::string& task, const TaskOptions& options) {
  NamedTask named = named_task(task);
  TaskConfig& config = named.config;
  const std::vector<std::string>& known = named.kind->options;
  const auto take = [&](const char* option, const auto& from, auto& to) {
    if (!from) {
      return;
    }
    if (std::find(known.begin(), known.end(), option) == known.end()) {
      std::string names;
      for (const std::string& each : known) {
        names += (names.empty() ? "" : ", ") + each;
      }
      throw ConfigError(
          std::string("task `") + task + "`",
          std::string("has no option ") + option + ": it has " + names);
    }
    to = *from;
  };
  std::string wording;
  take("template", options.wording, wording);
  if (!wording.empty()) {
    config.texts = needle_template(wording);
  }
  take("values", options.values, config.values);
  take("keys", options.keys, config.keys);
  take("asked", options.asked, config.asked);
  take("values_per_key", options.values_per_key, config.values_per_key);
  take("hops", options.hops, config.hops);
  take("facts", options.facts, config.facts);
  take("words", options.words, config.words);
  if (named.kind == &kPasskey) {
    take("digits", options.digits, config.passkey.digits);
    take("intro", options.intro, config.passkey.intro);
    take("filler", options.filler, config.passkey.filler);
    take("needle", options.needle, config.passkey.needle);
    take("question", options.question, config.passkey.question);
  } else {
    take("digits", options.digits, config.digits);
    take("intro", options.intro, config.texts.intro);
    take("filler", options.filler, config.filler);
    take("needle", options.needle, config.texts.needle);
    take("question", options.question, config.texts.question);
  }
  return config;
}

std::unique_ptr<Task>
make_task(const TaskConfig& config, std::shared_ptr<const Tokenizer> tokenizer, bool add_bos) {
  return named_task(config.task).kind->make(config, std::move(tokenizer), add_bos);
}

} // namespace fcc
