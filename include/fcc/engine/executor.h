#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include <ATen/core/Tensor.h>

#include "fcc/model/memory_state.h"
#include "fcc/model/parameters.h"

namespace fcc {

/// One micro-batch as tensors on the executor's device. The first `num_prefix_segments` segments
/// run without gradient and outside the loss (state passing); their coefficients are 0.
struct MicroBatch {
  at::Tensor ids;     ///< [B, T] int64
  at::Tensor targets; ///< [B, T] int64, -100 is not counted
  at::Tensor
      coefficients; ///< [B, T] float32 (float64 in a float64 run): factor of each target's loss
  at::Tensor segment_starts_document; ///< [B, S] bool: no memory enters; undefined: none
  std::int64_t num_prefix_segments = 0;
};

/// Losses of one pass, on the device (reading them synchronises).
struct PassResult {
  at::Tensor
      loss; ///< [] float64 or float32: Σ coefficient × cross-entropy (arXiv 2405.04620, eq. 17)
  at::Tensor
      token_losses; ///< [B, T] float32/float64: cross-entropy, 0 where not counted or in the prefix
};

/// What a training pass tells its caller on the way, so that ranks can exchange a layer's weights
/// and gradients beside the pass. A function that is empty is not asked for. Layers count from 0;
/// `kOutsideLayers` stands for everything that is no layer's matrix: embedding, head, norms,
/// memory.
struct PassHooks {
  static constexpr std::int64_t kOutsideLayers = -1;

  /// Weights of a layer, and of all that were not asked for before it (outside first, then from
  /// layer 0 up), are about to be read.
  std::function<void(std::int64_t layer)> before_use = {};
  /// Nothing will be added to these gradients by this pass any more: outside first, then from the
  /// last layer down. An executor may leave it to the end of `train`, and then calls for none.
  std::function<void(std::int64_t layer)> gradients_done = {};
};

/// How a model is run: the plain reference or the fused engine; equal in every test.
/// `make_executor` (make_executor.h) makes one.
class Executor {
 public:
  virtual ~Executor() = default;

  /// Training needs parameters with gradients (`Error`); `evaluate` does without.
  ///
  /// Empties `parameters.grad()` before a step's first `train`. An execution may leave what that
  /// pass will overwrite, so nobody else should count on zeros in between.
  virtual void clear_gradients() = 0;

  /// Forward and backward of one micro-batch: adds into `parameters.grad()`.
  virtual PassResult train(const MicroBatch& batch, const PassHooks& hooks) = 0;
  PassResult train(const MicroBatch& batch) {
    return train(batch, {});
  }

  /// Forward only, from `state` on (null: from the start), storing nothing for a backward pass.
  /// T may be any length; segments continue where the state's open segment ended only if that is
  /// empty (else `Error`): use `generate` for token-by-token streams. Updates `state`.
  virtual PassResult evaluate(const MicroBatch& batch, MemoryState* state) = 0;
};

/// Errors: `Error` if the parameters are of a model that is not trained.
void require_gradients(const FlatParameters& parameters);

} // namespace fcc
