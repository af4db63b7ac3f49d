#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/config/model_config.h"
#include "fcc/ops/rope.h"

namespace fcc {

/// The weights that memory adds to a layer of Llama; undefined where the model lacks them. `Weight`
/// is a tensor, of one layer or stacked [N, …], or what an execution keeps in its place.
template <typename Weight>
struct MemoryWeights {
  Weight memory_layernorm{}; ///< [D], memory_norm `own`
  Weight initial_memory{};   ///< [L, D], first_memory `learned`
  Weight memory_gate{};      ///< [H], infini_attention
  Weight memory_rates{};     ///< [3G, D], titans_mag
  Weight attention_norm{};   ///< [E], titans_mag
  Weight retrieval_norm{};   ///< [E], titans_mag

  /// Every one of them, for loops.
  static constexpr std::array<Weight MemoryWeights::*, 6> kMembers{
      &MemoryWeights::memory_layernorm,
      &MemoryWeights::initial_memory,
      &MemoryWeights::memory_gate,
      &MemoryWeights::memory_rates,
      &MemoryWeights::attention_norm,
      &MemoryWeights::retrieval_norm};

  /// `convert` of each.
  template <typename To, typename Convert>
  MemoryWeights<To> map(const Convert& convert) const {
    MemoryWeights<To> result;
    for (std::size_t i = 0; i < kMembers.size(); ++i) {
      result.*MemoryWeights<To>::kMembers[i] = convert(this->*kMembers[i]);
    }
    return result;
  }
};

/// How one of `MemoryWeights` is named, shaped and initialised.
struct MemoryWeightLayout {
  at::Tensor MemoryWeights<at::Tensor>::*member = nullptr;
  std::string name;                ///< in a layer: `memory_layernorm.weight`
  std::vector<std::int64_t> shape; ///< of one layer
  double initial_value = 0;
};

class HeadMemory;

/// Where the keys of a segment and of the memory before it stand: consecutive positions from these.
struct KeyPositions {
  std::optional<std::int64_t> memory; ///< absent: memory keys are not rotated
  std::int64_t segment = 0;

  bool operator==(const KeyPositions&) const = default;
};

/// Rows of one layer that have been computed: what there is to make their memory of.
struct LayerStep {
  at::Tensor memory; ///< [B, t, D] these rows of the memory that the layer saw; undefined: none
  at::Tensor input;  ///< [B, t, D] X[n]
  at::Tensor output; ///< [B, t, D] X[n+1]
  MemoryWeights<at::Tensor> weights; ///< of the layer
};

/// What a memory is, for every execution (docs/method.md): whether there is one, which tensor is
/// remembered, what stands before the first segment, how it is normed, where its keys stand.
///
/// Reference, fused engine, estimates and token streams ask here and repeat none of it. The options
/// are those of `condensation`; a `llama` remembers nothing, and `local_global` its top's output.
/// The memories of other papers (docs/memories.md): `rmt` hands on tokens that go through the stack
/// beside the segment's, and the memory of `infini_attention` and `titans_mag` lies in the heads
/// (`head_memory`). Neither is rows of keys before the segment's.
class MemoryPolicy {
 public:
  explicit MemoryPolicy(const ModelConfig& config);

  // Whether there is a memory

  /// Segments hand on a memory. False: a plain Llama, one segment as long as the sequence.
  bool carries() const {
    return arch_ != Architecture::kLlama;
  }
  /// Memories that a segment hands on: one a layer (N), or one (`local_global`, `rmt`), or none.
  std::int64_t num_memories() const;
  /// Of a `MemoryState` of `batch_size` rows: [num_memories, B, rows, width].
  std::vector<std::int64_t> memory_shape(std::int64_t batch_size) const;
  /// Of a memory where the model computes in `dtype`: sums over the whole past are float32 at
  /// least.
  at::ScalarType memory_dtype(at::ScalarType dtype) const;
  /// Bytes that a row of the batch carries from segment to segment, whatever it has read.
  std::int64_t memory_bytes(at::ScalarType dtype) const;
  /// Tokens in a segment of a sequence of `length_tokens`.
  std::int64_t segment_length(std::int64_t length_tokens) const;
  /// A segment that no memory was carried to sees a first memory in its place.
  bool has_first() const {
    return options_.first_memory != FirstMemory::kAbsent;
  }
  /// Whether any of the first `num_segments` segments sees rows of memory before its own;
  /// `carried`: some come in.
  bool is_seen(std::int64_t num_segments, bool carried) const {
    return is_rows_before() && (num_segments > 1 || carried || has_first());
  }
  /// The memory is keys and values before the segment's: L rows.
  bool is_rows_before() const {
    return arch_ == Architecture::kCondensation || arch_ == Architecture::kLocalGlobal;
  }
  /// Memory tokens that stand before a segment in the stack, and that it writes (`rmt`); else 0.
  std::int64_t num_tokens() const {
    return options_.num_memory_tokens;
  }
  /// The memory in the heads; null: none.
  const HeadMemory* head_memory() const {
    return head_memory_.get();
  }
  /// The gradient is cut before every k-th segment: as the engine says, or before each where the
  /// memory takes none.
  std::optional<std::int64_t> bptt_segments(std::optional<std::int64_t> of_engine) const {
    return stops_gradient() ? 1 : of_engine;
  }
  bool stops_gradient() const {
    return options_.memory_gradient == MemoryGradient::kStop;
  }

  // What is remembered

  /// Whole rows of a layer's input or output are the memory, nothing else: this one's.
  MemorySource source() const {
    return options_.memory_source;
  }
  /// The memory that a layer hands on, row by row, [B, t, D]. Differentiable.
  at::Tensor remember(const LayerStep& rows) const;
  /// The last memory's last row is what the last token left the stack with.
  bool ends_with_output() const {
    return is_rows_before() && options_.memory_source == MemorySource::kOutput;
  }

  // What is seen

  /// The memory that a segment sees, as `shape` [..., B, L, D] (`memory_shape`): what was `carried`
  /// (undefined: nothing) in the batch rows of `present` ([B] bool; undefined: all), else the first
  /// memory: `weights`' `initial_memory` (`rmt`: the model's memory tokens in its place) or zeros
  /// (which nobody sees where the first memory is absent, but must be finite).
  at::Tensor visible(
      const at::Tensor& carried,
      const at::Tensor& present,
      const MemoryWeights<at::Tensor>& weights,
      at::IntArrayRef shape,
      const at::TensorOptions& options) const;
  MemoryNorm norm() const {
    return options_.memory_norm;
  }

  // Where keys stand

  /// Positions in a segment that begins at token `first` of the sequence, behind `num_memory` rows
  /// of memory.
  KeyPositions positions(std::int64_t first, std::int64_t num_memory) const;
  /// The rotations of `count` rows from position `first` on (absent: none), [count, E], in float64
  /// for float64 `options`, else in float32.
  RopeTable rotations(
      std::optional<std::int64_t> first,
      std::int64_t count,
      const at::TensorOptions& options) const;

  /// The weights that each layer has for its memory.
  std::vector<MemoryWeightLayout> weights() const;

 private:
  Architecture arch_;
  FccConfig options_; ///< defaults outside of `condensation`
  std::int64_t num_layers_, width_, head_dim_;
  std::vector<double> frequencies_; ///< [E/2]
  std::shared_ptr<const HeadMemory> head_memory_;
};

/// The weight that memory is normed with, of a layer or stacked; undefined: it is used as it is.
at::Tensor memory_norm_weight(
    MemoryNorm norm,
    const at::Tensor& input_layernorm,
    const MemoryWeights<at::Tensor>& weights);

} // namespace fcc
