#pragma once

#include <functional>
#include <optional>
#include <string>

#include "fcc/dist/rank_settings.h"
#include "fcc/train/resume.h"
#include "fcc/train/trainer.h"

namespace fcc::tools {

struct RankOptions {
  std::optional<std::string> resume; ///< `auto` or a checkpoint
  Course course = Course::kSame;
};

/// Trains as one of several ranks and returns what `ended` makes of the end. Rank 0 writes the run
/// directory; another one that fails leaves `rank-N.txt` there. Once any rank has failed, this
/// process ends within seconds, even if a library waits for ever.
/// Errors: `Error` naming the rank that failed; those of a run.
int train_as_rank(
    const RunConfig& config,
    const RankSettings& settings,
    const RankOptions& options,
    const std::function<int(Trainer::End)>& ended);

} // namespace fcc::tools
