#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/config/model_config.h"
#include "fcc/generate/layer_view.h"
#include "fcc/model/parameters.h"
#include "fcc/ops/memory_attention.h"
#include "fcc/ops/rope.h"
#include "model/head_memory.h"

namespace fcc {

/// A stack of layers that reads rows as they come, each layer keeping the keys and values of all
/// rows since the last `clear`: t new rows cost t rows of every product.
///
/// Row i of t sees every cached key and the first i + 1 of its own (arXiv 2405.04620, eq. 14-16).
/// Not differentiable: call it without gradients. Any device and floating dtype.
class CachedStack {
 public:
  /// `weights` are views that outlive the stack.
  CachedStack(const ModelConfig& config, const StackWeights& weights, std::int64_t batch_size);

  std::int64_t num_cached() const { ///< c, rows
    return num_cached_;
  }

  void clear();

  /// The same with keys and values of its own: neither sees what the other is fed later.
  CachedStack fork() const;

  /// Puts a memory before all rows: `memory` [N, B, Lm, D] becomes the first keys and values of its
  /// layer, normed as the model's policy says and rotated by `table`.
  /// Only after `clear`.
  void set_memory(const at::Tensor& memory, const RopeTable& table);

  /// A memory that lies in the heads (`HeadMemory`), for the rows to come: [N, B, rows, width].
  /// Only after `clear`.
  void set_head_memory(const at::Tensor& memory);

  /// The memory in the heads after all rows fed, [N, B, rows, width].
  at::Tensor head_memory() const;

  /// The rows cached so far are a memory that only the batch rows with `present` [B] true see;
  /// undefined: all do.
  void mask_cached(const at::Tensor& present);

  /// Feeds rows X[0] [B, t, D] and returns X[N] [B, t, D]. `table` holds the t rows' positions.
  at::Tensor
  advance(const at::Tensor& x, const RopeTable& table, const LayerObserver& observer = nullptr);

 private:
  struct Cache {
    at::Tensor k, v; ///< [B, capacity, G, E]
  };

  void reserve(std::int64_t num_rows);
  AttentionMask make_mask(std::int64_t num_queries, const at::TensorOptions& options) const;

  /// Of a layer whose memory lies in the heads.
  struct HeadCache {
    HeadRows rows;          ///< since the last `clear`
    at::Tensor memory;      ///< [B, rows, width] before them
    at::Tensor next_memory; ///< after them
  };

  ModelConfig config_;
  MemoryPolicy policy_;
  StackWeights weights_;
  std::int64_t batch_size_ = 0;
  AttentionKernel kernel_;
  std::vector<Cache> caches_;          ///< [N]
  std::vector<HeadCache> head_caches_; ///< [N], or empty
  std::int64_t capacity_ = 0, num_cached_ = 0;
  std::int64_t num_masked_ = 0; ///< keys that only rows with `present_` see
  at::Tensor present_;          ///< [B] bool; undefined: all rows see all keys
};

/// The embedding's rows of `ids` [B, t]: [B, t, D].
at::Tensor embed(const ModelWeights& weights, const at::Tensor& ids);

} // namespace fcc
