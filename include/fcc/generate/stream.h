#pragma once

#include <cstdint>
#include <memory>

#include <ATen/core/Tensor.h>

#include "fcc/model/memory_state.h"
#include "fcc/model/parameters.h"

namespace fcc {

/// Token-by-token inference at constant memory: one token costs one row of every product. The keys
/// and values of the memory and of the open segment are cached per layer; when a segment closes,
/// its outputs become the memory. Logits equal those of the full pass.
class TokenStream {
 public:
  /// Starts from `state` (its open segment is replayed from `partial_ids`), or from nothing.
  TokenStream(
      const ModelConfig& config,
      const ModelWeights& weights,
      std::int64_t batch_size,
      const MemoryState& state = {});
  ~TokenStream();

  /// Feeds `ids` [B, t] (whole segments go through the segment pass, the rest row by row or as one
  /// partial segment) and returns the logits after the last of them, [B, V].
  at::Tensor feed(const at::Tensor& ids);

  /// The state after the last token fed; valid anywhere.
  MemoryState state() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

} // namespace fcc
