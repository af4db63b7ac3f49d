#include <utility>

#include "data/datasets.h"
#include "fcc/core/error.h"

namespace fcc {

const std::string& required_path(const DatasetConfig& config, const std::string& name) {
  if (!config.path) {
    throw ConfigError("data `" + name + "`", "this type of dataset needs `path`");
  }
  return *config.path;
}

double target_weight(const DatasetConfig& config, bool is_answer) {
  if (is_answer) {
    return config.answer_weight;
  }
  return config.loss_on == LossOn::kAnswer ? 0.0 : config.context_weight;
}

std::unique_ptr<Dataset> make_dataset(
    const DatasetConfig& config,
    const std::string& name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks) {
  switch (config.type) {
    case DatasetKind::kTokens:
      return make_token_dataset(config, name, *tokenizer, marks);
    case DatasetKind::kDocuments:
      return make_document_dataset(config, name, *tokenizer, marks);
    case DatasetKind::kPasskey:
      return make_passkey_dataset(config, name, std::move(tokenizer), seed, marks);
    case DatasetKind::kRecall:
      return make_recall_dataset(config, name, std::move(tokenizer), seed, marks);
    case DatasetKind::kTask:
      return make_task_dataset(config, name, std::move(tokenizer), seed, marks);
    case DatasetKind::kPairs:
      return make_pair_dataset(config, name, std::move(tokenizer), seed, marks);
  }
  throw ConfigError("data `" + name + "`", "unknown type of dataset");
}

} // namespace fcc
