#pragma once

#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/config/model_config.h"
#include "fcc/model/parameters.h"
#include "fcc/ops/memory_attention.h"
#include "fcc/ops/rope.h"
#include "model/head_memory.h"

namespace fcc {

/// A weight as the reference uses it: its value, and where its gradient goes if not to itself.
struct ReferenceWeight {
  at::Tensor value;  ///< what is computed with; takes the gradient itself where `master` is absent
  at::Tensor master; ///< float32 leaf that takes the gradient of a rounded `value`

  /// The tensor to compute with, asked for once per use (see `share_gradient`).
  at::Tensor get() const;
  bool defined() const {
    return value.defined();
  }
};

/// The weights of one layer, cut from the stacked tensors; those of memory are the base's.
struct ReferenceLayer : MemoryWeights<ReferenceWeight> {
  ReferenceWeight input_layernorm;          ///< [D]
  ReferenceWeight q_proj;                   ///< [H·E, D]
  ReferenceWeight kv_proj;                  ///< [2G·E, D]
  ReferenceWeight o_proj;                   ///< [D, H·E]
  ReferenceWeight post_attention_layernorm; ///< [D]
  ReferenceWeight gate_up_proj;             ///< [2F, D]
  ReferenceWeight down_proj;                ///< [D, F]

  /// Those of memory, to compute with.
  MemoryWeights<at::Tensor> memory_weights() const {
    return map<at::Tensor>([](const ReferenceWeight& weight) { return weight.get(); });
  }
};

/// Calls `visit` with the pointer to each weight of a layer.
template <typename Visit>
void for_each_weight(const Visit& visit) {
  for (const auto member :
       {&ReferenceLayer::input_layernorm,
        &ReferenceLayer::q_proj,
        &ReferenceLayer::kv_proj,
        &ReferenceLayer::o_proj,
        &ReferenceLayer::post_attention_layernorm,
        &ReferenceLayer::gate_up_proj,
        &ReferenceLayer::down_proj}) {
    visit(member);
  }
  for (ReferenceWeight ReferenceLayer::*member : MemoryWeights<ReferenceWeight>::kMembers) {
    visit(member);
  }
}

/// All that lies between the embedding and the head.
struct ReferenceWeights {
  std::vector<ReferenceLayer> local; ///< local_global
  std::vector<ReferenceLayer> layers;
  ReferenceWeight norm;          ///< [D]
  ReferenceWeight memory_tokens; ///< [m, D], rmt
};

/// Views of stacked weights, layer by layer.
ReferenceWeights cut_layers(const ModelConfig& config, const ModelWeights& weights);

/// What all layers share in one segment of l tokens with Lm rows of memory.
struct SegmentTables {
  AttentionMask mask;        ///< of the segment's queries over [memory ; segment]
  AttentionMask memory_mask; ///< of the memory over itself (local_global)
  RopeTable keys;            ///< [Lm + l, E], memory first
  at::Tensor present;        ///< [B] bool where only some rows carry a memory, else undefined
  bool carried = false;      ///< some row carries a memory from the segment before
};

/// The layers' mathematics, one cell (n, s) a call; plain ATen, differentiable in everything.
class ReferenceMath {
 public:
  ReferenceMath(const ModelConfig& config, AttentionChoice attention)
      : config_(config), policy_(config), attention_(std::move(attention)) {}

  /// X[n+1][s] from X[n][s] and the memory (arXiv 2405.04620, eq. 14-16, figure 2).
  at::Tensor condensation_layer(
      const ReferenceLayer& layer,
      const at::Tensor& x,      // [B, l, D]
      const at::Tensor& memory, // [B, Lm, D] or undefined
      const SegmentTables& tables) const;

  /// X[n+1][s] and the layer's next memory where it lies in the heads (`HeadMemory`), which read it
  /// beside the segment's own attention.
  struct HeadMemoryStep {
    at::Tensor memory; ///< [B, rows, width]
    at::Tensor x;      ///< [B, l, D]
  };
  HeadMemoryStep head_memory_layer(
      const ReferenceLayer& layer,
      const HeadMemoryStep& input,
      const SegmentTables& tables) const;

  /// One global layer of the 2024 note (eq. 17): the previous segment evolves beside the current
  /// one. `evolve_memory` false (the last layer): the memory's half is not computed.
  struct GlobalStep {
    at::Tensor memory, x; ///< [B, Lm, D] or undefined, [B, l, D]
  };
  GlobalStep global_layer(
      const ReferenceLayer& layer,
      const GlobalStep& input,
      const SegmentTables& tables,
      bool evolve_memory) const;

  /// The final norm.
  at::Tensor final_norm(const ReferenceWeights& weights, const at::Tensor& x) const;

 private:
  at::Tensor query(const ReferenceLayer& layer, const at::Tensor& a, const RopeTable& table) const;
  struct KeysValues {
    at::Tensor k, v; // [B, Lm + l, G, E]
  };
  KeysValues keys_values(
      const ReferenceLayer& layer,
      const at::Tensor& c, // [B, Lm + l, D]
      const RopeTable& table) const;
  at::Tensor finish(const ReferenceLayer& layer, const at::Tensor& x, const at::Tensor& o) const;

  ModelConfig config_;
  MemoryPolicy policy_;
  AttentionChoice attention_;
};

} // namespace fcc
