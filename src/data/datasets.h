#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "fcc/data/loader.h"

namespace fcc {

// One maker a kind; `make_dataset` picks.

std::unique_ptr<Dataset> make_token_dataset(
    const DatasetConfig& config,
    std::string name,
    const Tokenizer& tokenizer,
    DocumentMarks marks);

std::unique_ptr<Dataset> make_document_dataset(
    const DatasetConfig& config,
    std::string name,
    const Tokenizer& tokenizer,
    DocumentMarks marks);

std::unique_ptr<Dataset> make_passkey_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks);

std::unique_ptr<Dataset> make_recall_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks);

std::unique_ptr<Dataset> make_task_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks);

std::unique_ptr<Dataset> make_pair_dataset(
    const DatasetConfig& config,
    std::string name,
    std::shared_ptr<const Tokenizer> tokenizer,
    std::uint64_t seed,
    DocumentMarks marks);

/// The file a dataset needs. Errors: `ConfigError` if the key is absent.
const std::string& required_path(const DatasetConfig& config, const std::string& name);

/// The weight of a target by `loss_on`, `answer_weight` and `context_weight`.
double target_weight(const DatasetConfig& config, bool is_answer);

} // namespace fcc
