#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/config/run_config.h"
#include "fcc/model/layer_stage.h"
#include "fcc/model/memory_policy.h"

namespace fcc {

/// The weights of one stack of N layers, layers first, so that a slice of neighbouring layers is
/// contiguous; those of memory are the base's. Undefined tensors are absent. Nothing here owns
/// memory: all are views.
struct StackWeights : MemoryWeights<at::Tensor> {
  at::Tensor input_layernorm; ///< [N, D]
  at::Tensor qkv_proj;        ///< [N, (H + 2G)·E, D]: rows of q_proj, then k_proj, then v_proj
  at::Tensor o_proj;          ///< [N, D, H·E]
  at::Tensor post_attention_layernorm; ///< [N, D]
  at::Tensor gate_up_proj;             ///< [N, 2F, D]: rows of gate_proj, then up_proj
  at::Tensor down_proj;                ///< [N, D, F]

  /// The weights of memory of layer n, without the dimension of layers.
  MemoryWeights<at::Tensor> memory_of_layer(std::int64_t n) const {
    return map<at::Tensor>([n](const at::Tensor& stacked) {
      return stacked.defined() ? stacked.select(0, n) : stacked;
    });
  }
};

/// All weights of a model as views of one flat buffer (values, gradients or optimizer states
/// alike).
struct ModelWeights {
  at::Tensor embed_tokens;  ///< [V, D]
  at::Tensor memory_tokens; ///< [m, D], rmt: what its first segment reads; else undefined
  StackWeights local;       ///< local_global: the local stack; else undefined tensors
  StackWeights layers;      ///< the (global) stack
  at::Tensor norm;          ///< [D]
  at::Tensor lm_head;       ///< [V, D]; the same view as embed_tokens when tied
};

/// One Hugging Face tensor as a view of a flat buffer (contiguous).
struct NamedTensor {
  std::string name; ///< `model.layers.3.self_attn.q_proj.weight`
  at::Tensor tensor;
};

/// Name and shape of one Hugging Face tensor.
struct WeightShape {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// Where a Hugging Face tensor lies in a flat buffer: contiguous, row by row.
struct WeightPlace {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t offset = 0; ///< elements
};

/// One kind of weight matrix of a stack, [num_layers, Σ rows, columns] from `offset` on. The rows
/// of a layer are those of one Hugging Face matrix after another (q_proj, k_proj, v_proj;
/// gate_proj, up_proj; or one alone).
struct StackedMatrices {
  std::int64_t offset = 0; ///< elements
  std::int64_t num_layers = 0;
  std::vector<std::int64_t> rows; ///< of each Hugging Face matrix
  std::int64_t columns = 0;
};

/// Ends of the three regions of a flat buffer, in elements: [0, decay) weight decay, [decay,
/// no_decay) none, [no_decay, all) frozen. A parameter decays if its Hugging Face tensor has at
/// least two dimensions (a stacked norm [N, D] does not).
struct RegionEnds {
  std::int64_t decay = 0, no_decay = 0, all = 0;
};

/// Parameters and gradients in flat buffers. Tensors start at multiples of 256 bytes (of float32);
/// the gaps stay zero.
class FlatParameters {
 public:
  /// New weights: normal(0, initializer_range) for matrices (in layers times the factors of
  /// `init`), ones for norms, `MemoryPolicy::weights` for those of memory; drawn on the CPU in a
  /// fixed order from `seed`, alike on every device; without a seed matrices are zero: weights are
  /// to be loaded. `freeze`: Hugging Face names or `prefix*`; each must cover a stacked tensor in
  /// all layers. `stage`: only what that stage holds, with the values that the whole model would
  /// have; of tied weights the last stage has the one that is trained, the first a copy that counts
  /// as frozen. Errors: `ConfigError` on a pattern that matches nothing or only some layers of a
  /// kind.
  FlatParameters(
      const ModelConfig& config,
      ComputeDType dtype,
      at::Device device,
      std::optional<std::uint64_t> seed,
      const std::vector<std::string>& freeze = {},
      const InitScales& init = {},
      const std::optional<LayerStage>& stage = {});

  /// Places for weights to be loaded, of a model that will not be trained: `grad()` is undefined,
  /// and so is `master()` where `compute()` is another buffer.
  static FlatParameters
  for_inference(const ModelConfig& config, ComputeDType dtype, at::Device device);

  /// The layout alone, for what only asks where weights lie: all buffers are undefined.
  /// Errors: as the constructor.
  static FlatParameters layout(
      const ModelConfig& config,
      const std::vector<std::string>& freeze = {},
      const std::optional<LayerStage>& stage = {});

  /// Of a stage: with its own number of layers.
  const ModelConfig& config() const {
    return config_;
  }
  const ModelConfig& whole_config() const {
    return whole_config_;
  }
  const std::optional<LayerStage>& stage() const {
    return stage_;
  }
  /// Segments of another length, which no weight but a learned first memory depends on. An executor
  /// made before keeps the old one: make it anew. Errors: `ConfigError` on a plain Llama, and where
  /// `first_memory` is learned.
  void set_segment_length(std::int64_t length);

  const RegionEnds& regions() const {
    return regions_;
  }
  std::int64_t num_parameters() const { ///< without alignment gaps; tied weights once
    return num_parameters_;
  }

  /// [P] what the optimizer updates: float32, float64 in a float64 run. Of a model that is not
  /// trained it may be undefined.
  at::Tensor& master() {
    return master_;
  }
  /// [P] what the model computes with: bfloat16, or `master()` itself.
  at::Tensor& compute() {
    return compute_;
  }
  /// [P] gradients, dtype of `master()`; undefined in a model that is not trained.
  at::Tensor& grad() {
    return grad_;
  }
  const at::Tensor& master() const {
    return master_;
  }
  const at::Tensor& compute() const {
    return compute_;
  }
  const at::Tensor& grad() const {
    return grad_;
  }

  /// Views of `flat` ([P], any dtype) in the stacked layout; undefined ones of an undefined `flat`.
  ModelWeights view(const at::Tensor& flat) const;

  /// Views of `flat` under Hugging Face names, in a fixed order; tied weights once.
  std::vector<NamedTensor> named(const at::Tensor& flat) const;

  /// Where the Hugging Face tensors lie, in the order of `named`.
  std::vector<WeightPlace> places() const;

  /// The matrices of the layers' linear maps that are trained, by where they lie: without
  /// embedding, head, vectors and initial_memory, and without what is frozen.
  std::vector<StackedMatrices> layer_matrices() const;

  /// Copies `master()` into `compute()` (rounding to nearest even), where both are.
  void update_compute();

 private:
  /// One stacked tensor in the flat buffer, and the Hugging Face tensors that it consists of.
  struct Slot {
    std::string stack; ///< `model.layers.`, `model.local_layers.`, or empty outside of stacks
    at::Tensor StackWeights::*member = nullptr;     ///< where it belongs within its stack
    at::Tensor ModelWeights::*top_member = nullptr; ///< or outside of stacks
    std::vector<std::string> names; ///< q_proj, k_proj … of one layer, by rows of dimension 1
    std::vector<std::int64_t>
        rows; ///< of each name; their sum is dimension 1 (0 outside of stacks)
    std::vector<std::int64_t> shape;
    double initial_value = 0; ///< of every element …
    bool random = false;      ///< … or normal(0, initializer_range)
    bool frozen = false;
    bool absent = false;           ///< another stage has it
    std::int64_t first_layer = 0;  ///< of a stage's part
    std::int64_t whole_layers = 0; ///< of the whole model; 0 outside of stacks
    std::int64_t offset = 0;       ///< elements
    std::int64_t numel() const;
    bool decays() const; ///< the Hugging Face tensor has at least two dimensions
    std::string name_of(std::size_t part, std::int64_t layer) const;
  };
  /// The layout alone: no buffers.
  FlatParameters(
      const ModelConfig& config,
      const std::vector<std::string>& freeze,
      const std::optional<LayerStage>& stage);
  static std::vector<Slot> make_slots(const ModelConfig& config);
  void freeze_matching(const std::vector<std::string>& patterns);
  void cut_stage();
  void place_slots();
  void initialize(const at::Tensor& flat, std::optional<std::uint64_t> seed, const InitScales& init)
      const;
  friend std::int64_t count_parameters(const ModelConfig& config);

  ModelConfig config_, whole_config_;
  std::optional<LayerStage> stage_;
  std::vector<Slot> slots_; ///< in the fixed order of initialisation
  RegionEnds regions_;
  std::int64_t num_parameters_ = 0;
  at::Tensor master_, compute_, grad_;
};

/// Parameters of a shape, tied weights once, without making them.
std::int64_t count_parameters(const ModelConfig& config);

/// What `FlatParameters::named` holds for a shape, in its order, without making it.
std::vector<WeightShape> weight_shapes(const ModelConfig& config);

} // namespace fcc
