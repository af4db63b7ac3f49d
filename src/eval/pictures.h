#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fcc/eval/attention_map.h"
#include "fcc/eval/capacity_report.h"
#include "fcc/eval/passkey_sweep.h"
#include "plot/plot.h"

namespace fcc {

/// Lengths to the right, depths downwards (after arXiv 2405.04620, figure 8).
HeatMap passkey_heat_map(
    const std::vector<PasskeyCell>& cells,
    const PasskeyReportOptions& options);

/// Distances to the right, pairs downwards.
HeatMap capacity_heat_map(
    const std::vector<CapacityRow>& rows,
    const PasskeyReportOptions& options);

/// The matrices as a picture: a row of panels per segment, a column per layer; matrices wider than
/// `max_width` pixels are averaged down.
RasterGrid attention_grid(
    const std::vector<AttentionMap>& maps,
    const AttentionMapOptions& options,
    const std::string& model,
    std::int64_t max_width = 1024);

} // namespace fcc
