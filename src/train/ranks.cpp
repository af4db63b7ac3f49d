#include "fcc/train/ranks.h"

#include <optional>
#include <sstream>

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/ops/empty.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

void check_rows(const std::string& key, std::int64_t rows, std::int64_t num_ranks) {
  if (rows % num_ranks != 0) {
    throw ConfigError(
        key,
        "must be a multiple of the number of ranks, " + std::to_string(num_ranks) +
            ", which share the rows of a micro-batch",
        std::to_string(rows));
  }
}

/// The first line in which two texts differ, for people; nothing where none does.
std::optional<std::string>
first_difference(const std::string& first, const std::string& other, std::int64_t rank) {
  if (first == other) {
    return std::nullopt;
  }
  std::istringstream lines(first), other_lines(other);
  std::string line, other_line;
  while (true) {
    const bool more = static_cast<bool>(std::getline(lines, line));
    const bool other_more = static_cast<bool>(std::getline(other_lines, other_line));
    if (!more || !other_more || line != other_line) {
      const auto shown = [](bool there, const std::string& text) {
        const std::size_t first_letter = text.find_first_not_of(' ');
        return there && first_letter != std::string::npos ? "`" + text.substr(first_letter) + "`"
                                                          : std::string("nothing");
      };
      return shown(more, line) + " on rank 0, " + shown(other_more, other_line) + " on rank " +
             std::to_string(rank);
    }
  }
}

} // namespace

at::Device device_of_rank(const EngineSection& engine, const RankSettings& settings) {
  const std::int64_t num_gpus = at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  if (engine.device == "cpu" || (engine.device == "auto" && num_gpus == 0)) {
    return at::kCPU;
  }
  if (engine.device.starts_with("cuda:")) {
    throw ConfigError(
        "engine.device",
        "must be auto, cuda or cpu where a run has several ranks: each takes the GPU of its local "
        "rank",
        engine.device);
  }
  if (settings.local_rank >= num_gpus) {
    throw ConfigError(
        "LOCAL_RANK",
        "must be the number of a GPU of this machine, which has " + std::to_string(num_gpus),
        std::to_string(settings.local_rank),
        "start as many ranks on a machine as it has GPUs");
  }
  return {at::kCUDA, static_cast<at::DeviceIndex>(settings.local_rank)};
}

void check_rows_divide(const RunConfig& config, std::int64_t num_ranks) {
  check_rows("train.batch_size", config.train.batch_size, num_ranks);
  for (std::size_t i = 0; i < config.train.stages.size(); ++i) {
    if (const auto rows = config.train.stages[i].batch_size) {
      check_rows("train.stages." + std::to_string(i) + ".batch_size", *rows, num_ranks);
    }
  }
}

void check_ranks_agree(
    Communicator& ranks,
    const std::vector<std::pair<std::string, std::string>>& texts) {
  for (const auto& [what, text] : texts) {
    const std::vector<std::string> all = gather_texts(ranks, text);
    for (std::size_t rank = 1; rank < all.size(); ++rank) {
      const auto difference =
          first_difference(all.front(), all[rank], static_cast<std::int64_t>(rank));
      if (difference) {
        throw Error("ranks", "must have " + what + " alike", *difference);
      }
    }
  }
}

void gather_shares(
    Communicator& ranks,
    const FlatShares& shares,
    const OptimizerState& share,
    const OptimizerState& whole) {
  if (!ranks.is_first()) {
    if (share.values.numel() > 0) {
      ranks.send(share.values, 0);
      ranks.wait_for_device(); // the values may be changed from now on
    }
    return;
  }
  put_share(share, whole);
  for (std::int64_t rank = 1; rank < ranks.size(); ++rank) {
    OptimizerState received{shared_out(whole.layout, shares.of(rank)), {}};
    received.values = at::empty({received.layout.numel()}, share.values.options());
    if (received.values.numel() > 0) {
      ranks.receive(received.values, rank);
      ranks.wait_for_device();
      put_share(received, whole);
    }
  }
}

} // namespace fcc
