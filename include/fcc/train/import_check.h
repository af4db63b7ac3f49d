#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/model/parameters.h"
#include "fcc/train/run_data.h"

namespace fcc {

/// What a pretrained model brings that loads without an error even where it is wrong: RoPE's base
/// and scaling, eps, the tied head, the head's width, the vocabulary, BOS and EOS.
struct ImportReport {
  std::vector<std::string> facts;    ///< one line each, with where it is from
  std::vector<std::string> warnings; ///< what contradicts itself, by name
};

/// Compares `config.json` of `directory` (that of `model`) with the run's tokenizer and its policy.
/// Errors: those of reading the file.
ImportReport
check_import(const std::filesystem::path& directory, const ModelConfig& model, const RunData& data);

/// Plain mean losses of one row of the first stage's data, nats per counted token.
struct FirstLosses {
  std::int64_t num_segments = 0, segment_length = 0;
  std::optional<double> full_attention; ///< every token sees all before it: the model imported
  std::optional<double> with_memory;    ///< absent for a plain Llama
  std::optional<double> without_memory; ///< each segment alone
};

/// Measures them; parameters and loaders are as before afterwards. A model whose first memory is
/// not absent, or that has weights of its own, cannot run with full attention: the figure is absent
/// then. Errors: those of the data and of the execution.
FirstLosses
measure_first_losses(FlatParameters& parameters, const RunConfig& config, RunData& data);

/// `first row, 8 segments of 64 tokens: mean loss 2.345 with full attention, …`
std::string first_losses_line(const FirstLosses& losses);

} // namespace fcc
