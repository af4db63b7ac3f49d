#pragma once

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>

#include "common/torch/model_options.h"

namespace fcc::tools {

/// Runs the whole segments of prompts by the executor, many at once, where --execution comes down
/// to `fused`; what is left of a prompt, and `reference`, is for the token stream.
class Prefill {
 public:
  /// Loads the model of the command line. Errors: those of `chosen_execution` and `load_model`.
  explicit Prefill(const ModelOptions& options);
  Prefill(const Prefill&) = delete; // the executor refers to the model
  Prefill& operator=(const Prefill&) = delete;

  LoadedModel& model() {
    return model_;
  }

  /// Runs whole segments of `ids` [B, t], int64, from `state` on, which they leave after them; the
  /// last token is never among them, so that the stream knows its logits. Returns how many tokens
  /// of a row that were: 0 for `reference`, short prompts, and states with an open segment.
  std::int64_t run(const at::Tensor& ids, MemoryState& state);

 private:
  ModelOptions options_;
  bool fused_;
  LoadedModel model_;
  std::unique_ptr<Executor> executor_; ///< made when first needed
};

} // namespace fcc::tools
