#include <cmath>

#include "fcc/core/log.h"
#include "fcc/train/trainer.h"

namespace fcc {

void Trainer::save_if_best(
    const RunDirectory& directory,
    const std::vector<ValidationReport>& reports) {
  if (!config_.checkpoint.keep_best || reports.empty()) {
    return;
  }
  const double loss = reports.front().mean_loss;
  if (!std::isfinite(loss) || (best_validation_ && loss >= *best_validation_)) {
    return;
  }
  const std::filesystem::path path = directory.root() / "best";
  save_final_model(
      path,
      parts_.parameters->compute(),
      *parts_.parameters,
      *parts_.data.tokenizer,
      config_.data.tokenizer);
  best_validation_ = loss;
  log(LogLevel::kInfo, "lowest validation loss so far: the model is in " + path.string());
}

} // namespace fcc
