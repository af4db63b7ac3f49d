#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fcc/eval/passkey_sweep.h"

namespace fcc {

/// What a sweep over distances of the task `capacity` (data/task.h) found with so many pairs told.
struct CapacityRow {
  std::int64_t pairs = 0;
  std::vector<PasskeyCell> cells; ///< `length_tokens` is the distance from pairs to question
};

/// How many of the pairs are still known: the share of right answers times the pairs.
double pairs_known(const CapacityRow& row, const PasskeyCell& cell);

/// A row a distance, a column a number of pairs: accuracy in percent, and the most pairs known at
/// that distance. `options.segment_length` as in a passkey's report.
Table capacity_table(const std::vector<CapacityRow>& rows, const PasskeyReportOptions& options);

/// The cells with their intervals and the settings, as JSON.
std::string capacity_json(
    const std::vector<CapacityRow>& rows,
    const PasskeySweepOptions& sweep,
    const PasskeyReportOptions& options);

} // namespace fcc
