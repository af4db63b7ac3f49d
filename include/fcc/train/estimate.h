#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fcc/config/run_config.h"
#include "fcc/engine/memory_estimate.h"

namespace fcc {

/// Parameters by kind; tied weights count once, under `embeddings`.
struct ParameterCounts {
  std::int64_t embeddings = 0, attention = 0, mlp = 0, norms = 0, head = 0, memory = 0;

  std::int64_t total() const {
    return embeddings + attention + mlp + norms + head + memory;
  }
};

ParameterCounts parameter_counts(const ModelConfig& config);

/// Operations of a training step on `batch` rows of `tokens`: products and attention, forward and
/// backward. What a backward pass computes again counts for nothing.
double training_flops(const ModelConfig& config, std::int64_t batch, std::int64_t tokens);

/// What a run will need, before it starts.
struct RunEstimate {
  struct Stage {
    std::string name;
    std::int64_t steps = 0; ///< at most, with `until`
    bool may_end_early = false;
    double tokens = 0;               ///< expected, prefixes too
    std::int64_t segment_length = 0; ///< tokens
  };
  ParameterCounts parameters;
  std::vector<Stage> stages;
  std::int64_t num_ranks = 1;
  std::int64_t state_bytes = 0;           ///< that a row carries from segment to segment; 0: none
  std::int64_t checkpoint_copy_bytes = 0; ///< in main memory (of rank 0); 0: none is made
  MemoryEstimate memory;      ///< of the step that takes most, by the execution that will run
  std::string fullest_stage;  ///< which that is
  double flops_per_token = 0; ///< forward and backward, the mean over all tokens

  double tokens() const;
};

/// Sizes follow from the shapes alone: nothing is allocated. `config.engine` is resolved
/// (`resolve_run_engine`). Of several ranks the memory is that of one of them; tokens and
/// parameters are those of the run.
RunEstimate estimate_run(
    const RunConfig& config,
    const ModelConfig& model,
    Processor processor,
    std::int64_t num_ranks = 1);

/// The estimate as a table for people.
std::string to_text(const RunEstimate& estimate);

} // namespace fcc
