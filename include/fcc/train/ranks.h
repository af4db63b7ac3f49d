#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <c10/core/Device.h>

#include "fcc/config/run_config.h"
#include "fcc/dist/rank_settings.h"
#include "fcc/optim/optimizer.h"

namespace fcc {

/// The device of a rank: the CPU, or the GPU with the number of its local rank.
/// Errors: `ConfigError` where a machine has more ranks than GPUs, or engine.device names one GPU.
at::Device device_of_rank(const EngineSection& engine, const RankSettings& settings);

/// Every rank has the same number of rows of a micro-batch.
/// Errors: `ConfigError` naming the key and both numbers.
void check_rows_divide(const RunConfig& config, std::int64_t num_ranks);

/// Texts that must be alike on all ranks, each with what it is (`the configuration`).
/// Errors: `Error`, on every rank, naming the rank that differs from rank 0 and the first line in
/// which it does.
void check_ranks_agree(
    Communicator& ranks,
    const std::vector<std::pair<std::string, std::string>>& texts);

/// Collects the shares of all ranks on rank 0: `whole` (there, on the CPU) gets every rank's values
/// of the elements that are its own; the other ranks hand `share` over.
void gather_shares(
    Communicator& ranks,
    const FlatShares& shares,
    const OptimizerState& share,
    const OptimizerState& whole);

} // namespace fcc
