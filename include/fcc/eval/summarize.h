#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "fcc/data/pairs.h"
#include "fcc/eval/report.h"
#include "fcc/eval/rouge.h"

namespace fcc {

/// One text that was summarized.
struct SummaryResult {
  std::int64_t index = 0;        ///< in the file of pairs
  std::int64_t input_tokens = 0; ///< of the prompt
  std::string generated, reference;
  RougeScores scores;
};

struct SummarizeOptions {
  std::int64_t num_pairs = 0;         ///< from the start of the file; 0: all
  std::int64_t max_length_tokens = 0; ///< of prompt and summary: longer texts are cut; 0: no limit
  RougeOptions rouge;
  std::filesystem::path log; ///< JSON lines of the finished summaries
  /// What else the results depend on (hashes, sampling): a log made with other values is refused.
  std::map<std::string, std::string> identity;
};

/// Writes the summary that follows a prompt; `index` tells which pair it is.
using SummaryFunction =
    std::function<std::string(const std::vector<std::int32_t>& prompt, std::int64_t index)>;

/// Summarizes the pairs that the log lacks, and returns all, in order. A killed run goes on where
/// it stopped. `on_result` (may be empty) is told of each.
/// Errors: `ConfigError` on a log made with other settings; as `PairFile`.
std::vector<SummaryResult> run_summaries(
    const SummarizeOptions& options,
    const PairFile& pairs,
    const PairTemplate& prompts,
    const SummaryFunction& summarize,
    const std::function<void(const SummaryResult&, std::int64_t done, std::int64_t all)>&
        on_result);

/// Mean F1 by the length of the input, and overall (arXiv 2405.04620, table II). `edges` in tokens,
/// ascending: {512, 1024} makes 0-512, 512-1024 and 1024+; the upper end belongs to the next.
Table summary_table(
    const std::vector<SummaryResult>& results,
    const std::vector<std::int64_t>& edges);

/// The table's figures as JSON.
std::string summary_json(
    const std::vector<SummaryResult>& results,
    const std::vector<std::int64_t>& edges,
    const std::string& model);

} // namespace fcc
