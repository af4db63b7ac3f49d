#include "fcc/model/parameters.h"

#include <algorithm>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <c10/util/accumulate.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

/// a · b + c of three sizes, none below 0.
std::int64_t product_sum(std::int64_t a, std::int64_t b, std::int64_t c = 0) {
  std::int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result) || __builtin_add_overflow(result, c, &result)) {
    throw ConfigError("model", "must have fewer than 2^63 parameters");
  }
  return result;
}

constexpr std::int64_t kAlignment = 64; // elements: 256 bytes of float32

at::ScalarType master_type(ComputeDType dtype) {
  return dtype == ComputeDType::kFloat64 ? at::kDouble : at::kFloat;
}

bool matches(const std::string& pattern, const std::string& name) {
  if (!pattern.empty() && pattern.back() == '*') {
    return name.starts_with(std::string_view(pattern).substr(0, pattern.size() - 1));
  }
  return name == pattern;
}

} // namespace

std::int64_t FlatParameters::Slot::numel() const {
  std::int64_t product = 1;
  for (const std::int64_t size : shape) {
    product = product_sum(product, size);
  }
  return product;
}

bool FlatParameters::Slot::decays() const {
  return shape.size() - (stack.empty() ? 0 : 1) >= 2;
}

std::string FlatParameters::Slot::name_of(std::size_t part, std::int64_t layer) const {
  return stack.empty() ? names[part]
                       : stack + std::to_string(first_layer + layer) + "." + names[part];
}

std::vector<FlatParameters::Slot> FlatParameters::make_slots(const ModelConfig& config) {
  const std::int64_t D = config.hidden_size, F = config.intermediate_size, V = config.vocab_size;
  const std::int64_t queries = product_sum(config.num_attention_heads, config.head_dim); // H·E
  const std::int64_t keys = product_sum(config.num_key_value_heads, config.head_dim);    // G·E
  std::vector<Slot> slots;
  const auto top =
      [&](at::Tensor ModelWeights::*member, const char* name, std::vector<std::int64_t> shape) {
        Slot slot;
        slot.top_member = member;
        slot.names = {name};
        slot.random = shape.size() > 1;
        slot.initial_value = 1.0;
        slot.shape = std::move(shape);
        slots.push_back(std::move(slot));
      };
  const auto stack =
      [&](const char* prefix, std::int64_t N, const std::vector<MemoryWeightLayout>& memory) {
        using S = StackWeights;
        const auto add = [&](at::Tensor S::*member,
                             std::vector<std::string> names,
                             std::vector<std::int64_t> rows,
                             std::int64_t columns) { // 0: a vector
          Slot slot;
          slot.stack = prefix;
          slot.member = member;
          slot.names = std::move(names);
          slot.shape = {N, 0};
          for (const std::int64_t count : rows) {
            slot.shape[1] = product_sum(1, count, slot.shape[1]);
          }
          slot.rows = std::move(rows);
          if (columns > 0) {
            slot.shape.push_back(columns);
          }
          slot.random = columns > 0;
          slot.initial_value = 1.0;
          slots.push_back(std::move(slot));
        };
        const auto add_memory = [&](bool vectors) {
          for (const MemoryWeightLayout& weight : memory) {
            if ((weight.shape.size() == 1) == vectors) {
              add(weight.member, {weight.name}, {weight.shape[0]}, vectors ? 0 : weight.shape[1]);
              slots.back().random = false;
              slots.back().initial_value = weight.initial_value;
            }
          }
        };
        add(&S::input_layernorm, {"input_layernorm.weight"}, {D}, 0);
        add_memory(/*vectors=*/true);
        add(&S::qkv_proj,
            {"self_attn.q_proj.weight", "self_attn.k_proj.weight", "self_attn.v_proj.weight"},
            {queries, keys, keys},
            D);
        add(&S::o_proj, {"self_attn.o_proj.weight"}, {D}, queries);
        add(&S::post_attention_layernorm, {"post_attention_layernorm.weight"}, {D}, 0);
        add(&S::gate_up_proj, {"mlp.gate_proj.weight", "mlp.up_proj.weight"}, {F, F}, D);
        add(&S::down_proj, {"mlp.down_proj.weight"}, {D}, F);
        add_memory(/*vectors=*/false);
      };
  top(&ModelWeights::embed_tokens, "model.embed_tokens.weight", {V, D});
  if (config.arch() == Architecture::kRmt) {
    top(&ModelWeights::memory_tokens, "model.memory_tokens", {config.fcc->num_memory_tokens, D});
  }
  if (config.arch() == Architecture::kLocalGlobal) {
    stack("model.local_layers.", config.fcc->num_local_layers, {});
  }
  stack("model.layers.", config.num_hidden_layers, MemoryPolicy(config).weights());
  top(&ModelWeights::norm, "model.norm.weight", {D});
  if (!config.tie_word_embeddings) {
    top(&ModelWeights::lm_head, "lm_head.weight", {V, D});
  }
  return slots;
}

void FlatParameters::freeze_matching(const std::vector<std::string>& patterns) {
  if (patterns.empty()) {
    return;
  }
  std::vector<bool> used(patterns.size(), false);
  for (Slot& slot : slots_) {
    std::string covered, left_out;
    const std::int64_t num_layers = slot.stack.empty() ? 1 : slot.shape[0];
    for (std::int64_t layer = 0; layer < num_layers; ++layer) {
      for (std::size_t part = 0; part < slot.names.size(); ++part) {
        const std::string name = slot.name_of(part, layer);
        bool hit = false;
        for (std::size_t i = 0; i < patterns.size(); ++i) {
          if (matches(patterns[i], name)) {
            used[i] = true;
            hit = true;
          }
        }
        (hit ? covered : left_out) = name;
      }
    }
    if (!covered.empty() && !left_out.empty()) {
      throw ConfigError(
          "optim.freeze",
          "must cover a kind of weight in all layers (q, k and v, or gate and up, together)",
          covered + " without " + left_out);
    }
    slot.frozen = !covered.empty();
  }
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    if (!used[i]) {
      throw ConfigError(
          "optim.freeze",
          "must match at least one weight",
          "\"" + patterns[i] + "\"",
          "names are Hugging Face's, e.g. model.embed_tokens.weight or model.layers.*");
    }
  }
}

void FlatParameters::cut_stage() {
  for (Slot& slot : slots_) {
    slot.whole_layers = slot.stack.empty() ? 0 : slot.shape[0];
  }
  if (!stage_) {
    return;
  }
  for (Slot& slot : slots_) {
    if (!slot.stack.empty()) {
      slot.first_layer = stage_->first_layer;
      slot.shape[0] = stage_->num_layers();
    } else if (slot.top_member != &ModelWeights::embed_tokens) {
      slot.absent = !stage_->is_last();
    } else if (config_.tie_word_embeddings) {
      slot.absent = !stage_->is_first() && !stage_->is_last();
      slot.frozen = slot.frozen || !stage_->is_last();
    } else {
      slot.absent = !stage_->is_first();
    }
  }
}

void FlatParameters::place_slots() {
  std::int64_t end = 0;
  const auto place = [&](const auto& belongs) {
    for (Slot& slot : slots_) {
      if (!slot.absent && belongs(slot)) {
        slot.offset = end;
        const std::int64_t pieces = product_sum(1, slot.numel(), kAlignment - 1) / kAlignment;
        end = product_sum(pieces, kAlignment, end);
      }
    }
    return end;
  };
  regions_.decay = place([](const Slot& slot) { return !slot.frozen && slot.decays(); });
  regions_.no_decay = place([](const Slot& slot) { return !slot.frozen && !slot.decays(); });
  regions_.all = place([](const Slot& slot) { return slot.frozen; });
}

void FlatParameters::initialize(
    const at::Tensor& flat,
    std::optional<std::uint64_t> seed,
    const InitScales& init) const {
  at::Generator generator = at::detail::createCPUGenerator(seed.value_or(0));
  for (const Slot& slot : slots_) {
    at::Tensor target;
    if (!slot.absent) {
      target = flat.narrow(0, slot.offset, slot.numel());
    }
    if (!slot.random) {
      if (target.defined()) {
        target.fill_(slot.initial_value);
      }
      continue;
    }
    if (!seed) {
      continue; // zero already
    }
    // Drawn in float32 on the CPU whatever the master is, so that all devices and types agree; a
    // stage draws what the others have as well.
    const bool stacked = !slot.stack.empty();
    const std::int64_t layer = stacked ? slot.numel() / slot.shape[0] : slot.numel();
    const at::Tensor drawn = at::empty({stacked ? slot.whole_layers * layer : layer}, at::kFloat);
    drawn.normal_(0.0, config_.initializer_range, generator);
    if (!target.defined()) {
      continue;
    }
    target.copy_(drawn.narrow(0, slot.first_layer * layer, slot.numel()));
    if (slot.member != nullptr) {
      const bool output =
          slot.member == &StackWeights::o_proj || slot.member == &StackWeights::down_proj;
      target.mul_(init.layers * (output ? init.outputs : 1.0));
    }
  }
}

FlatParameters::FlatParameters(
    const ModelConfig& config,
    const std::vector<std::string>& freeze,
    const std::optional<LayerStage>& stage)
    : config_(stage ? stage_model(config, *stage) : config),
      whole_config_(config),
      stage_(stage),
      slots_(make_slots(config)) {
  freeze_matching(freeze);
  cut_stage();
  place_slots();
  num_parameters_ = count_parameters(config);
}

FlatParameters::FlatParameters(
    const ModelConfig& config,
    ComputeDType dtype,
    at::Device device,
    std::optional<std::uint64_t> seed,
    const std::vector<std::string>& freeze,
    const InitScales& init,
    const std::optional<LayerStage>& stage)
    : FlatParameters(config, freeze, stage) {
  const at::NoGradGuard no_grad;
  const auto options = at::TensorOptions(device).dtype(master_type(dtype));
  master_ = at::zeros({regions_.all}, options);
  grad_ = at::zeros({regions_.all}, options);
  initialize(master_, seed, init);
  compute_ = dtype == ComputeDType::kBFloat16 ? master_.to(at::kBFloat16) : master_;
}

FlatParameters
FlatParameters::for_inference(const ModelConfig& config, ComputeDType dtype, at::Device device) {
  const at::NoGradGuard no_grad;
  FlatParameters parameters(config, std::vector<std::string>(), std::nullopt);
  const bool narrow = dtype == ComputeDType::kBFloat16;
  parameters.compute_ = at::zeros(
      {parameters.regions_.all},
      at::TensorOptions(device).dtype(narrow ? at::kBFloat16 : master_type(dtype)));
  parameters.initialize(parameters.compute_, /*seed=*/std::nullopt, {});
  if (!narrow) {
    parameters.master_ = parameters.compute_;
  }
  return parameters;
}

FlatParameters FlatParameters::layout(
    const ModelConfig& config,
    const std::vector<std::string>& freeze,
    const std::optional<LayerStage>& stage) {
  return FlatParameters(config, freeze, stage);
}

ModelWeights FlatParameters::view(const at::Tensor& flat) const {
  if (!flat.defined()) {
    return {};
  }
  check(
      flat.dim() == 1 && flat.size(0) == regions_.all,
      "FlatParameters::view",
      "the buffer must be as long as the parameters");
  ModelWeights weights;
  for (const Slot& slot : slots_) {
    if (slot.absent) {
      continue;
    }
    const at::Tensor tensor = flat.narrow(0, slot.offset, slot.numel()).view(slot.shape);
    if (slot.stack.empty()) {
      weights.*slot.top_member = tensor;
    } else {
      (slot.stack == "model.layers." ? weights.layers : weights.local).*slot.member = tensor;
    }
  }
  if (config_.tie_word_embeddings) {
    weights.lm_head = weights.embed_tokens;
  }
  return weights;
}

std::vector<NamedTensor> FlatParameters::named(const at::Tensor& flat) const {
  check(
      flat.dim() == 1 && flat.size(0) == regions_.all,
      "FlatParameters::named",
      "the buffer must be as long as the parameters");
  std::vector<NamedTensor> result;
  for (const WeightPlace& place : places()) {
    const std::int64_t count = c10::multiply_integers(place.shape);
    result.push_back({place.name, flat.narrow(0, place.offset, count).view(place.shape)});
  }
  return result;
}

std::vector<WeightPlace> FlatParameters::places() const {
  std::vector<WeightPlace> result;
  for (const Slot& slot : slots_) {
    if (slot.absent) {
      continue;
    }
    if (slot.stack.empty()) {
      result.push_back({slot.names[0], slot.shape, slot.offset});
      continue;
    }
    const std::int64_t columns = slot.shape.size() > 2 ? slot.shape[2] : 1;
    std::int64_t offset = slot.offset;
    for (std::int64_t layer = 0; layer < slot.shape[0]; ++layer) {
      for (std::size_t part = 0; part < slot.names.size(); ++part) {
        std::vector<std::int64_t> shape(slot.shape.begin() + 1, slot.shape.end());
        shape[0] = slot.rows[part];
        result.push_back({slot.name_of(part, layer), std::move(shape), offset});
        offset += slot.rows[part] * columns;
      }
    }
  }
  return result;
}

std::vector<StackedMatrices> FlatParameters::layer_matrices() const {
  std::vector<StackedMatrices> result;
  for (const Slot& slot : slots_) {
    if (!slot.stack.empty() && slot.random && !slot.frozen) {
      result.push_back({slot.offset, slot.shape[0], slot.rows, slot.shape[2]});
    }
  }
  return result;
}

void FlatParameters::update_compute() {
  if (master_.defined() && !compute_.is_same(master_)) {
    const at::NoGradGuard no_grad;
    compute_.copy_(master_);
  }
}

std::int64_t count_parameters(const ModelConfig& config) {
  std::int64_t count = 0;
  for (const FlatParameters::Slot& slot : FlatParameters::make_slots(config)) {
    count = product_sum(1, slot.numel(), count);
  }
  return count;
}

std::vector<WeightShape> weight_shapes(const ModelConfig& config) {
  std::vector<WeightShape> result;
  for (WeightPlace& place : FlatParameters::layout(config).places()) {
    result.push_back({std::move(place.name), std::move(place.shape)});
  }
  return result;
}

void FlatParameters::set_segment_length(std::int64_t length) {
  if (!config_.fcc || config_.fcc->first_memory == FirstMemory::kLearned || length < 1) {
    throw ConfigError(
        "segment_length",
        "can change only in a model with segments whose first memory is not learned, to 1 or more",
        std::to_string(length));
  }
  config_.fcc->segment_length = length;
  whole_config_.fcc->segment_length = length;
}

} // namespace fcc
