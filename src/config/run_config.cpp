#include "fcc/config/run_config.h"

#include <algorithm>

#include "fcc/config/engine_keys.h"
#include "fcc/config/problems.h"
#include "fcc/core/error.h"
#include "fcc/core/nearest.h"

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
  const bool is_passkey = dataset.type == DatasetKind::kPasskey;
  const bool is_recall = dataset.type == DatasetKind::kRecall;
  const bool is_task = dataset.type == DatasetKind::kTask;
  if (!is_passkey && !is_task) {
    refuse("length", dataset.length == defaults.length, "`passkey`, `task`");
  }
  if (!is_task) {
    refuse("task", !dataset.task, "`task`");
    refuse("options", !dataset.options, "`task`");
  }
  if (!is_passkey && !is_recall) {
    refuse("first_share", dataset.first_share == defaults.first_share, "`passkey`, `recall`");
  }
  if (!is_recall) {
    refuse("keys", dataset.keys == defaults.keys, "`recall`");
    refuse("questions", dataset.questions == defaults.questions, "`recall`");
    refuse("composed_share", dataset.composed_share == defaults.composed_share, "`recall`");
    refuse("text_share", dataset.text_share == defaults.text_share, "`recall`");
    refuse("templates", !dataset.templates, "`recall`");
    refuse("fillers", !dataset.fillers, "`recall`");
  }
  if (!is_passkey) {
    refuse("digits", dataset.digits == defaults.digits, "`passkey`");
    refuse("depth", !dataset.depth, "`passkey`");
    refuse("intro", !dataset.intro, "`passkey`");
    refuse("filler", !dataset.filler, "`passkey`");
    refuse("needle", !dataset.needle, "`passkey`");
    refuse("question", !dataset.question, "`passkey`");
    refuse("filler_blocks", dataset.filler_blocks == defaults.filler_blocks, "`passkey`");
  }
  if (is_passkey || is_recall || is_task) {
    refuse(
        "document_memory",
        dataset.document_memory == defaults.document_memory,
        "`tokens`, `documents`, `pairs`");
  }
  if (dataset.type != DatasetKind::kPairs) {
    refuse("prompt_key", !dataset.prompt_key, "`pairs`");
    refuse("answer_key", !dataset.answer_key, "`pairs`");
    refuse("template", dataset.prompt_template == defaults.prompt_template, "`pairs`");
    refuse("shuffle", dataset.shuffle == defaults.shuffle, "`pairs`");
  }
  if (!is_passkey && !is_recall && !is_task && dataset.type != DatasetKind::kPairs) {
    const char* const types = "`passkey`, `pairs`, `recall`, `task`";
    refuse("loss_on", dataset.loss_on == defaults.loss_on, types);
    refuse("context_weight", dataset.context_weight == defaults.context_weight, types);
    refuse("answer_weight", dataset.answer_weight == defaults.answer_weight, types);
  }
}

void check_recall(const DatasetConfig& dataset, Problems& problems) {
  if (dataset.text_share > 0 && !dataset.path) {
    problems.add("path", "must name a token file, the text that `text_share` speaks of");
  } else if (dataset.path && dataset.text_share == 0) {
    problems.add("path", "has no effect with text_share 0: leave it out");
  }
  if (dataset.templates) {
    if (dataset.templates->empty()) {
      problems.add("templates", "must hold one at least");
    }
    for (std::size_t i = 0; i < dataset.templates->size(); ++i) {
      const Problems::Scope scope(problems, indexed("templates", i));
      const RecallTemplate& form = (*dataset.templates)[i];
      if (form.needle.find("{key}") == std::string::npos) {
        problems.add("needle", "must contain `{key}`, which stands for the value");
      }
      if (form.question.empty() || form.question.find("{key}") != std::string::npos) {
        problems.add("question", "must be a text without `{key}`: only the needle tells it");
      }
    }
  }
  if (dataset.fillers && dataset.fillers->empty()) {
    problems.add("fillers", "must hold one at least");
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
    if (dataset.depth && dataset.first_share > 0) {
      problems.add("first_share", "must be 0 where `depth` is fixed");
    }
  } else if (dataset.type == DatasetKind::kRecall) {
    check_recall(dataset, problems);
  } else if (dataset.type == DatasetKind::kTask) {
    if (!dataset.task) {
      problems.add("task", "must name one of the tasks that `fcc-eval passkey --help` lists");
    }
  } else if (!dataset.path || dataset.path->empty()) {
    problems.add("path", "must name the file of the dataset");
  }
  const std::size_t place = dataset.prompt_template.find("{prompt}");
  if (place == std::string::npos ||
      dataset.prompt_template.find("{prompt}", place + 1) != std::string::npos) {
    problems.add("template", "must contain `{prompt}` once, which stands for the row's text");
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
    return dataset.type == DatasetKind::kPasskey || dataset.type == DatasetKind::kRecall ||
           dataset.type == DatasetKind::kTask || dataset.type == DatasetKind::kPairs;
  });
}

/// The dataset of validations that an `until` looks at; null: there is none of that name.
const DatasetConfig* watched_dataset(const UntilConfig& until, const DataSection& data) {
  for (const DatasetConfig& dataset : data.validation) {
    if (until.dataset.empty() || dataset.name == until.dataset) {
      return &dataset;
    }
  }
  return nullptr;
}

void check_until(
    const UntilConfig& until,
    const StageConfig& stage,
    const DataSection& data,
    Problems& problems) {
  const Problems::Scope scope(problems, "until");
  const std::vector<std::string> metrics{
      "loss", "answer_loss", "validation_loss", "validation_answer_loss"};
  if (std::find(metrics.begin(), metrics.end(), until.metric) == metrics.end()) {
    problems.add(
        "metric",
        "must be one of `loss`, `answer_loss`, `validation_loss`, `validation_answer_loss`",
        "`" + until.metric + "`",
        nearest_hint(until.metric, metrics));
    return;
  }
  if (!until.below && !until.patience) {
    problems.add("", "must have `below`, or `patience` where it looks at validations");
  }
  if (until.looks_at_validation()) {
    const DatasetConfig* const watched = watched_dataset(until, data);
    if (data.validation.empty()) {
      problems.add("metric", "needs data.validation", "`" + until.metric + "`");
    } else if (watched == nullptr) {
      problems.add("dataset", "must be the `name` of a dataset in data.validation", until.dataset);
    } else if (until.metric == "validation_answer_loss" && !has_answers({*watched})) {
      problems.add("metric", "`validation_answer_loss` needs a dataset with answers");
    }
    return;
  }
  if (until.patience) {
    problems.add("patience", "is for metrics of validations: leave it out");
  }
  if (!until.dataset.empty()) {
    problems.add("dataset", "is for metrics of validations: leave it out");
  }
  if (until.metric == "answer_loss" && !has_answers(stage.data ? *stage.data : data.train)) {
    problems.add("metric", "`answer_loss` needs a dataset of type `passkey`, `recall` or `pairs`");
  }
  if (until.window > stage.steps) {
    problems.add(
        "window",
        "must not exceed the stage's steps = " + std::to_string(stage.steps),
        std::to_string(until.window),
        "the stage could not end early");
  }
}

void check_stage(const StageConfig& stage, const DataSection& data, Problems& problems) {
  if (stage.data) {
    check_datasets(*stage.data, "data", problems);
    if (stage.data->empty()) {
      problems.add("data", "must hold a dataset");
    }
  }
  if (stage.until) {
    check_until(*stage.until, stage, data, problems);
  }
}

void check_train(const TrainSection& train, const DataSection& data, Problems& problems) {
  const bool uses_shared_data =
      std::any_of(train.stages.begin(), train.stages.end(), [](const StageConfig& stage) {
        return !stage.data;
      });
  if (data.train.empty() && uses_shared_data) { // one problem, however many stages
    problems.add("data.train", "must hold a dataset for stages without data of their own");
  }
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
  const bool watches =
      std::any_of(train.stages.begin(), train.stages.end(), [](const StageConfig& stage) {
        return stage.until && stage.until->looks_at_validation();
      });
  if (train.validate_every == 0 && watches) {
    problems.add("validate_every", "must be above 0 where a stage's `until` looks at validations");
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
  if (optim.momentum >= 1) {
    problems.add("momentum", "must be below 1");
  }
  if (optim.kind != OptimKind::kMuon) {
    const OptimSection defaults;
    const auto refuse = [&](const char* key, bool is_default) {
      if (!is_default) {
        problems.add(key, "is for kind `muon` only: leave it out");
      }
    };
    refuse("momentum", optim.momentum == defaults.momentum);
    refuse("nesterov", optim.nesterov == defaults.nesterov);
    refuse("ns_steps", optim.ns_steps == defaults.ns_steps);
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
  if (config.checkpoint.keep_best && config.data.validation.empty()) {
    problems.add("checkpoint.keep_best", "needs data.validation");
  }
}

} // namespace fcc
