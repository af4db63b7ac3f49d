#pragma once

#include <optional>
#include <string>

#include "fcc/train/resume.h"
#include "fcc/train/trainer.h"

namespace fcc {

/// A run as `fcc-train` makes it. `stop`: as if a signal had come before the first step.
inline Trainer::End
run(const RunConfig& config, const std::optional<std::string>& resume = {}, bool stop = false) {
  const RunDirectory directory(config.output);
  const auto checkpoint = find_checkpoint(directory, resume);
  return Trainer(config, make_trainer_parts(config, checkpoint)).run(directory, checkpoint, {stop});
}

} // namespace fcc
