#include "fcc/config/run_config.h"

#include <algorithm>

#include "fcc/config/engine_keys.h"
#include "fcc/config/problems.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

std::string indexed(const char* key, std::size_t index) {
  return std::string(key) + "." + std::to_string(index);
}

void check_model(const ModelSection& model, Problems& problems) {
  const Problems::Scope scope(problems, "model");
  const int num_sources = (model.path ? 1 : 0) + (model.preset ? 1 : 0) + (model.config ? 1 : 0);
  if (num_sources != 1) {
    problems.add(
        "", "must have exactly one of `path`, `preset`, `config`", std::to_string(num_sources));
  }
  if (model.preset) {
    try {
      model_preset(*model.preset);
    } catch (const ConfigError& error) {
      problems.add("preset", error.rule(), error.value(), error.hint());
    }
  }
  if (model.config) {
    const Problems::Scope inner(problems, "config");
    check_rules(*model.config, problems);
  }
  if (model.path && (model.init.layers != 1.0 || model.init.outputs != 1.0)) {
    problems.add("init", "is for new weights: leave it out beside `path`");
  }
  if (model.config && model.config->fcc && model.fcc) {
    problems.add("fcc", "must not be given beside `config.fcc`");
  }
  if (model.fcc) {
    const Problems::Scope inner(problems, "fcc");
    check_rules(*model.fcc, problems);
  }
}

void check_tokenizer(const TokenizerConfig& tokenizer, bool has_model_path, Problems& problems) {
  const Problems::Scope scope(problems, "tokenizer");
  if (tokenizer.type == TokenizerKind::kBytes) {
    if (tokenizer.path) {
      problems.add("path", "the `bytes` tokenizer needs no file: leave it out");
    }
  } else if (tokenizer.type == TokenizerKind::kAuto) {
    if (!tokenizer.path && !has_model_path) {
      problems.add(
          "path",
          "must be given where there is no model.path to find a tokenizer in",
          {},
          "or set data.tokenizer.type to `bytes`");
    }
  } else if (!tokenizer.path) {
    problems.add("path", "must be given for this type of tokenizer");
  }
}

/// Keys that only some types of dataset have a use for.
void check_keys_of_type(const DatasetConfig& dataset, Problems& problems) {
  const DatasetConfig defaults;
  const auto refuse = [&](const char* key, bool is_default, const char* types) {
    if (!is_default) {
      problems.add(key, std::string("is for datasets of type ") + types + " only: leave it out");
    }
  };
  if (dataset.type != DatasetKind::kPasskey) {
    refuse("digits", dataset.digits == defaults.digits, "`passkey`");
    refuse("first_share", dataset.first_share == defaults.first_share, "`passkey`");
    refuse("depth", !dataset.depth, "`passkey`");
    refuse("intro", !dataset.intro, "`passkey`");
    refuse("filler", !dataset.filler, "`passkey`");
    refuse("needle", !dataset.needle, "`passkey`");
    refuse("question", !dataset.question, "`passkey`");
    refuse("keys", dataset.keys.max() == 1, "`passkey`");
    refuse("questions", dataset.questions.max() == 0, "`passkey`");
    refuse("names", !dataset.names, "`passkey`");
    refuse("wordings", !dataset.wordings, "`passkey`");
    refuse("filler_path", !dataset.filler_path, "`passkey`");
  } else {
    refuse(
        "document_memory",
        dataset.document_memory == defaults.document_memory,
        "`tokens`, `documents`, `pairs`");
  }
  if (dataset.type != DatasetKind::kPasskey && dataset.type != DatasetKind::kPairs) {
    const char* const types = "`passkey`, `pairs`";
    refuse("loss_on", dataset.loss_on == defaults.loss_on, types);
    refuse("context_weight", dataset.context_weight == defaults.context_weight, types);
    refuse("answer_weight", dataset.answer_weight == defaults.answer_weight, types);
  }
}

/// What belongs to rows of many keys and questions, and what does not.
void check_questions(const DatasetConfig& dataset, Problems& problems) {
  if (dataset.questions.max() == 0) {
    const auto refuse = [&](const char* key, bool is_default) {
      if (!is_default) {
        problems.add(key, "needs `questions` of at least 1: leave it out, or say how many");
      }
    };
    refuse("keys", dataset.keys.max() == 1);
    refuse("names", !dataset.names);
    refuse("wordings", !dataset.wordings);
    refuse("filler_path", !dataset.filler_path);
    return;
  }
  const std::vector<std::int64_t>& counts = dataset.questions.values;
  if (dataset.questions.zero_share > 0 ||
      std::find(counts.begin(), counts.end(), 0) != counts.end()) {
    problems.add("questions", "must be at least 1 in every row, or 0: one question at the end");
  }
  if (dataset.wordings && (dataset.needle || dataset.question)) {
    problems.add("wordings", "must not stand beside `needle` or `question`");
  }
  if (dataset.wordings && dataset.wordings->empty()) {
    problems.add("wordings", "must hold one at least");
  }
  if (dataset.filler_path && dataset.filler) {
    problems.add("filler_path", "must not stand beside `filler`");
  }
  if (dataset.intro) {
    problems.add("intro", "has no place in rows with `questions`: leave it out");
  }
  if (dataset.depth) {
    problems.add("depth", "has no meaning with `questions`: leave it out");
  }
}

void check_dataset(const DatasetConfig& dataset, Problems& problems) {
  if (dataset.type == DatasetKind::kPasskey) {
    if (dataset.path) {
      problems.add("path", "`passkey` samples are made, not read: leave it out");
    }
    if (dataset.needle && dataset.needle->find("{key}") == std::string::npos) {
      problems.add("needle", "must contain `{key}`, which stands for the digits");
    }
    if (dataset.filler && dataset.filler->empty()) {
      problems.add("filler", "must not be empty");
    }
    check_questions(dataset, problems);
    if (dataset.depth && dataset.first_share > 0) {
      problems.add("first_share", "must be 0 where `depth` is fixed");
    }
  } else if (!dataset.path || dataset.path->empty()) {
    problems.add("path", "must name the file of the dataset");
  }
  if (dataset.loss_on == LossOn::kAnswer && dataset.context_weight != 1.0) {
    problems.add("context_weight", "has no effect with loss_on `answer`: leave it out");
  }
  check_keys_of_type(dataset, problems);
}

void check_datasets(
    const std::vector<DatasetConfig>& datasets,
    const char* key,
    Problems& problems) {
  for (std::size_t i = 0; i < datasets.size(); ++i) {
    const Problems::Scope scope(problems, indexed(key, i));
    check_dataset(datasets[i], problems);
  }
}

bool has_answers(const std::vector<DatasetConfig>& datasets) {
  return std::any_of(datasets.begin(), datasets.end(), [](const DatasetConfig& dataset) {
    return dataset.type == DatasetKind::kPasskey || dataset.type == DatasetKind::kPairs;
  });
}

void check_stage(const StageConfig& stage, const DataSection& data, Problems& problems) {
  const std::vector<DatasetConfig>& datasets = stage.data ? *stage.data : data.train;
  if (stage.data) {
    check_datasets(*stage.data, "data", problems);
  }
  if (datasets.empty()) {
    problems.add("data", "must hold a dataset: data.train is empty");
  }
  if (stage.until) {
    const Problems::Scope scope(problems, "until");
    if (stage.until->metric != "loss" && stage.until->metric != "answer_loss") {
      problems.add(
          "metric", "must be one of `loss`, `answer_loss`", "`" + stage.until->metric + "`");
    } else if (stage.until->metric == "answer_loss" && !has_answers(datasets)) {
      problems.add("metric", "`answer_loss` needs a dataset of type `passkey` or `pairs`");
    }
    if (stage.until->window > stage.steps) {
      problems.add(
          "window",
          "must not exceed the stage's steps = " + std::to_string(stage.steps),
          std::to_string(stage.until->window),
          "the stage could not end early");
    }
  }
}

void check_train(const TrainSection& train, const DataSection& data, Problems& problems) {
  const Problems::Scope scope(problems, "train");
  if (train.stages.empty()) {
    problems.add("stages", "must hold at least one stage");
  }
  for (std::size_t i = 0; i < train.stages.size(); ++i) {
    const Problems::Scope inner(problems, indexed("stages", i));
    check_stage(train.stages[i], data, problems);
  }
  if (train.validate_every > 0 && data.validation.empty()) {
    problems.add("validate_every", "must be 0 where data.validation is empty");
  }
}

void check_optim(const OptimSection& optim, Problems& problems) {
  const Problems::Scope scope(problems, "optim");
  if (optim.beta1 >= 1) {
    problems.add("beta1", "must be below 1");
  }
  if (optim.beta2 >= 1) {
    problems.add("beta2", "must be below 1");
  }
  for (std::size_t i = 0; i < optim.freeze.size(); ++i) {
    const std::string& pattern = optim.freeze[i];
    if (pattern.empty() || pattern.find('*') < pattern.size() - 1) {
      problems.add(
          indexed("freeze", i),
          "must be a Hugging Face name or a prefix that ends in `*`",
          "`" + pattern + "`");
    }
  }
}

void check_engine(const EngineSection& engine, Problems& problems) {
  const Problems::Scope scope(problems, "engine");
  const std::string& device = engine.device;
  const bool is_numbered = device.starts_with("cuda:") && device.size() > 5 && device.size() < 9 &&
                           device.find_first_not_of("0123456789", 5) == std::string::npos;
  if (device != "auto" && device != "cpu" && device != "cuda" && !is_numbered) {
    problems.add("device", "must be `auto`, `cpu`, `cuda` or `cuda:N`", "`" + device + "`");
  }
  // Keys that the chosen execution ignores; where `auto` chooses, this is asked again then.
  if (engine.execution == Execution::kReference) {
    for (const std::string& key : fused_keys_in_use(engine)) {
      problems.add(key, "has no meaning for execution `reference`: leave it out");
    }
  } else if (engine.execution == Execution::kFused && engine.attention != AttentionBackend::kAuto) {
    problems.add("attention", "has no meaning for execution `fused`: leave it out");
  }
}

} // namespace

void check_rules(const RunConfig& config, Problems& problems) {
  if (config.output.empty()) {
    problems.add("output", "must name the run's directory");
  }
  check_model(config.model, problems);
  {
    const Problems::Scope scope(problems, "data");
    check_tokenizer(config.data.tokenizer, config.model.path.has_value(), problems);
    check_datasets(config.data.train, "train", problems);
    check_datasets(config.data.validation, "validation", problems);
  }
  check_train(config.train, config.data, problems);
  check_optim(config.optim, problems);
  check_engine(config.engine, problems);
}

} // namespace fcc
