#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/data/loader.h"
#include "fcc/text/tokenizer.h"
#include "fcc/train/validation.h"

namespace fcc {

/// Everything that a run reads, opened: the tokenizer and the datasets of all stages and of
/// validation.
struct RunData {
  std::shared_ptr<const Tokenizer> tokenizer;
  TokenizerConfig tokenizer_config; ///< resolved; `path` as the configuration has it
  std::vector<Loader> loaders;      ///< of `data.train`, and of every stage with data of its own
  std::vector<std::size_t> loader_of_stage;
  std::vector<std::string> fingerprints; ///< of the loaders' datasets, one after another
  std::unique_ptr<Validator> validator;
};

/// Refuses data and prefixes that need a memory which a model of this shape does not have; opens
/// nothing. Errors: `ConfigError` naming the key.
void check_memory_of_data(const RunConfig& config, const ModelConfig& model);

/// Opens what a configuration names, for a model of this shape. A `checkpoint` that the run goes on
/// from stands in for `model.path`.
/// Errors: `ConfigError` (a vocabulary smaller than the tokenizer's, a prefix or a reset of
/// memory for a plain Llama, too), `FormatError`, `IoError` naming the key and the file.
RunData open_run_data(
    const RunConfig& config,
    const ModelConfig& model,
    const std::optional<std::filesystem::path>& checkpoint = {});

/// The tokenizer to open: `data.tokenizer`; where the section names none that of `model.path`, or
/// of the `checkpoint` that stands in for it. The BOS/EOS policy is the section's own, else the one
/// that the tokenizer's directory was saved with.
TokenizerConfig resolve_tokenizer_config(
    const RunConfig& config,
    const std::optional<std::filesystem::path>& checkpoint = {});

/// Tokens of a segment; a plain Llama counts lengths in segments of `FccConfig`'s default.
std::int64_t segment_length_of(const ModelConfig& config);

} // namespace fcc
