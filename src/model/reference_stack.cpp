#include "model/reference_stack.h"

#include <algorithm>
#include <string>

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

RopeTable joined(const RopeTable& first, const RopeTable& second) {
  return {at::cat({first.cos, second.cos}, 0), at::cat({first.sin, second.sin}, 0)};
}

std::vector<char> to_host(const at::Tensor& flags) { // any shape
  const at::Tensor bytes = flags.to(at::kCPU, at::kChar).contiguous();
  const auto* data = bytes.const_data_ptr<std::int8_t>();
  return {data, data + bytes.numel()};
}

bool all_of(const std::vector<char>& flags) {
  return std::all_of(flags.begin(), flags.end(), [](char flag) { return flag != 0; });
}

bool any_of(const std::vector<char>& flags) {
  return std::any_of(flags.begin(), flags.end(), [](char flag) { return flag != 0; });
}

at::Tensor flags_to_tensor(const std::vector<char>& flags, at::Device device) { // [B] bool
  at::Tensor tensor = at::zeros({static_cast<std::int64_t>(flags.size())}, at::kBool);
  std::copy(flags.begin(), flags.end(), tensor.mutable_data_ptr<bool>());
  return tensor.to(device);
}

} // namespace

ReferenceStack::ReferenceStack(
    const ModelConfig& config,
    AttentionBackend attention,
    at::Device device,
    at::ScalarType dtype)
    : config_(config),
      policy_(config),
      attention_(choose_attention(attention, attention_use(device, dtype, config.head_dim))),
      math_(config, attention_),
      options_(at::TensorOptions(device).dtype(dtype)) {}

const AttentionMask& ReferenceStack::causal_mask(std::int64_t length, std::int64_t num_memory) {
  if (!policy_.carries() && !masks_.contains({length, num_memory})) {
    masks_.clear(); // of T² elements each: as many as there are lengths would not fit
  }
  const auto [entry, added] = masks_.try_emplace({length, num_memory});
  if (added) {
    entry->second = make_attention_mask(length, num_memory, {}, attention_.kernel, options_);
  }
  return entry->second;
}

RopeTable
ReferenceStack::key_table(std::int64_t length, std::int64_t num_memory, std::int64_t position) {
  const KeyPositions positions = policy_.positions(position, num_memory);
  const auto make = [&] {
    const RopeTable segment = policy_.rotations(positions.segment, length, options_);
    return num_memory == 0
               ? segment
               : joined(policy_.rotations(positions.memory, num_memory, options_), segment);
  };
  if (!(positions == policy_.positions(0, num_memory))) {
    return make(); // true positions: no other segment has them
  }
  const auto [entry, added] = key_tables_.try_emplace({length, num_memory});
  if (added) {
    entry->second = make();
  }
  return entry->second;
}

SegmentTables ReferenceStack::tables_for(
    std::int64_t length,
    std::int64_t position,
    const std::vector<char>& present) {
  SegmentTables tables;
  tables.carried = any_of(present);
  const std::int64_t num_memory =
      policy_.is_seen(1, tables.carried) ? policy_.segment_length(length) : 0; // Lm
  // Memory tokens (rmt) stand before a segment, and behind it where it is a whole one.
  const bool closes = policy_.carries() && length == policy_.segment_length(length);
  const std::int64_t rows = length + policy_.num_tokens() * (closes ? 2 : 1);
  tables.keys = key_table(rows, num_memory, position);
  tables.mask = causal_mask(rows, num_memory);
  if (tables.carried && !all_of(present)) {
    const at::Tensor flags = flags_to_tensor(present, options_.device()); // [B]
    tables.present = flags;
    if (!policy_.has_first()) {
      tables.mask = make_attention_mask(length, num_memory, flags, attention_.kernel, options_);
    }
  }
  if (config_.arch() == Architecture::kLocalGlobal && num_memory > 0) {
    tables.memory_mask = causal_mask(num_memory, 0);
  }
  return tables;
}

ReferenceStack::SegmentOutput ReferenceStack::condensation_segment(
    const ReferenceWeights& weights,
    const SegmentTables& tables,
    const at::Tensor& x,
    const std::vector<at::Tensor>& memory) const {
  SegmentOutput output{x, {}};
  for (std::size_t n = 0; n < weights.layers.size(); ++n) {
    const ReferenceLayer& layer = weights.layers[n];
    const MemoryWeights<at::Tensor> of_memory = layer.memory_weights();
    at::Tensor visible; // [B, L, D]
    if (tables.mask.num_memory > 0) {
      visible = policy_.visible(
          tables.carried ? memory[n] : at::Tensor(),
          tables.present,
          of_memory,
          {x.size(0), tables.mask.num_memory, x.size(2)},
          x.options());
    }
    const at::Tensor next = math_.condensation_layer(layer, output.x, visible, tables);
    const at::Tensor rows = visible.defined() ? visible.narrow(1, 0, x.size(1)) : visible;
    output.memory.push_back(policy_.remember(
        {.memory = rows, .input = output.x, .output = next, .weights = of_memory}));
    output.x = next;
  }
  return output;
}

ReferenceStack::SegmentOutput ReferenceStack::head_memory_segment(
    const ReferenceWeights& weights,
    const SegmentTables& tables,
    const at::Tensor& x,
    const std::vector<at::Tensor>& memory) const {
  const std::vector<std::int64_t> shape = policy_.memory_shape(x.size(0));
  const auto options = options_.dtype(policy_.memory_dtype(x.scalar_type()));
  SegmentOutput output{x, {}};
  for (std::size_t n = 0; n < weights.layers.size(); ++n) {
    const at::Tensor visible = policy_.visible(
        tables.carried ? memory[n] : at::Tensor(),
        tables.present,
        {},
        {shape[1], shape[2], shape[3]},
        options);
    const auto step =
        math_.head_memory_layer(weights.layers[n], {.memory = visible, .x = output.x}, tables);
    output.memory.push_back(step.memory);
    output.x = step.x;
  }
  return output;
}

// Bulatov et al. 2022 (arXiv 2207.06881), section 3: [memory ; segment ; memory] goes through the
// stack; what the tokens behind the segment come out as is the next segment's memory.
ReferenceStack::SegmentOutput ReferenceStack::memory_tokens_segment(
    const ReferenceWeights& weights,
    const SegmentTables& tables,
    const at::Tensor& x,
    const std::vector<at::Tensor>& memory) const {
  const std::int64_t m = policy_.num_tokens(), l = x.size(1);
  const at::Tensor visible = policy_.visible(
      tables.carried ? memory[0] : at::Tensor(),
      tables.present,
      {.initial_memory = weights.memory_tokens.get()},
      {x.size(0), m, x.size(2)},
      x.options()); // [B, m, D]
  const bool closes = l == policy_.segment_length(l);
  at::Tensor rows = closes ? at::cat({visible, x, visible}, 1) : at::cat({visible, x}, 1);
  for (const ReferenceLayer& layer : weights.layers) {
    rows = math_.condensation_layer(layer, rows, {}, tables);
  }
  SegmentOutput output{rows.narrow(1, m, l), {}};
  if (closes) {
    output.memory.push_back(math_.final_norm(weights, rows.narrow(1, m + l, m)));
  }
  return output;
}

ReferenceStack::SegmentOutput ReferenceStack::run_segment(
    const ReferenceWeights& weights,
    const SegmentTables& tables,
    const at::Tensor& x,
    const std::vector<at::Tensor>& memory) const {
  switch (config_.arch()) {
    case Architecture::kLocalGlobal:
      return local_global_segment(weights, tables, x, memory);
    case Architecture::kInfiniAttention:
    case Architecture::kTitansMag:
      return head_memory_segment(weights, tables, x, memory);
    case Architecture::kRmt:
      return memory_tokens_segment(weights, tables, x, memory);
    case Architecture::kLlama:
    case Architecture::kCondensation:
      break;
  }
  return condensation_segment(weights, tables, x, memory);
}

ReferenceStack::SegmentOutput ReferenceStack::local_global_segment(
    const ReferenceWeights& weights,
    const SegmentTables& tables,
    const at::Tensor& x,
    const std::vector<at::Tensor>& memory) const {
  ReferenceMath::GlobalStep step{{}, x};
  if (tables.mask.num_memory > 0) {
    step.memory = policy_.visible(
        memory[0], tables.present, {}, {x.size(0), tables.mask.num_memory, x.size(2)}, x.options());
  }
  for (std::size_t n = 0; n < weights.layers.size(); ++n) {
    const bool evolve_memory = n + 1 < weights.layers.size();
    step = math_.global_layer(weights.layers[n], step, tables, evolve_memory);
  }
  return {step.x, {step.x}};
}

// All segments as one batch; a shorter last one by itself.
std::vector<at::Tensor> ReferenceStack::local_stack(
    const ReferenceWeights& weights,
    const at::Tensor& embedded) {
  const std::int64_t B = embedded.size(0), T = embedded.size(1), D = embedded.size(2);
  const std::int64_t L = config_.fcc->segment_length, num_full = T / L;
  const auto run = [&](at::Tensor x) { // [rows, l, D]
    SegmentTables tables;
    tables.mask = causal_mask(x.size(1), 0);
    tables.keys = key_table(x.size(1), 0, 0);
    for (const ReferenceLayer& layer : weights.local) {
      x = math_.condensation_layer(layer, x, {}, tables);
    }
    return x;
  };
  std::vector<at::Tensor> segments;
  if (num_full > 0) {
    const at::Tensor full = embedded.narrow(1, 0, num_full * L).reshape({B * num_full, L, D});
    segments = run(full).view({B, num_full, L, D}).unbind(1);
  }
  if (T % L > 0) {
    segments.push_back(run(embedded.narrow(1, num_full * L, T % L)));
  }
  return segments;
}

ReferenceOutput ReferenceStack::forward(
    const ReferenceWeights& weights,
    const at::Tensor& embedded,
    const at::Tensor& ids,
    const MemoryState& state,
    const ReferenceOptions& options) {
  const std::int64_t B = embedded.size(0), T = embedded.size(1);
  const std::int64_t L = segment_length(T), S = (T + L - 1) / L;
  const bool local_global = config_.arch() == Architecture::kLocalGlobal;
  check(T > 0, "reference_forward", "needs at least one token");
  check(
      !state.partial_ids.defined() || state.partial_ids.size(1) == 0,
      "reference_forward",
      "must start at a segment border of the state");
  check(
      policy_.carries() || (!state.memory.defined() && state.position == 0),
      "reference_forward",
      "llama keeps no memory and cannot go on from a state");
  check(
      !options.bptt_segments || *options.bptt_segments >= 1,
      "reference_forward",
      "bptt_segments must be at least 1");
  const std::optional<std::int64_t> bptt_segments = policy_.bptt_segments(options.bptt_segments);
  std::vector<char> starts; // [B, S] or empty
  if (options.segment_starts_document.defined()) {
    const at::Tensor& flags = options.segment_starts_document;
    if (flags.dim() != 2 || flags.size(0) != B || flags.size(1) != S) {
      throw Error(
          "reference_forward",
          "segment_starts_document must be [B, S] with S = " + std::to_string(S),
          policy_.carries() ? "another shape" : "more than the one segment of a llama");
    }
    starts = to_host(flags);
  }

  std::vector<at::Tensor> memory;
  std::vector<char> present(static_cast<std::size_t>(B), state.memory.defined() ? 1 : 0);
  if (state.memory.defined()) {
    check(
        state.memory.sizes() == at::IntArrayRef(policy_.memory_shape(B)),
        "reference_forward",
        "the state's memory must be as large as the model's");
    memory = state.memory.to(policy_.memory_dtype(c10::typeMetaToScalarType(options_.dtype())))
                 .unbind(0);
    if (state.present.defined()) {
      present = to_host(state.present);
    }
  }

  const std::vector<at::Tensor> inputs =
      local_global ? local_stack(weights, embedded) : embedded.split(L, 1);
  std::vector<at::Tensor> outputs;
  ReferenceOutput result;
  result.state.position = state.position;
  for (std::int64_t s = 0; s < S; ++s) {
    for (std::size_t row = 0; row < present.size() && !starts.empty(); ++row) {
      present[row] &= !starts[row * static_cast<std::size_t>(S) + static_cast<std::size_t>(s)];
    }
    const bool cut = bptt_segments && s > 0 && s % *bptt_segments == 0;
    if (cut || policy_.stops_gradient()) { // of the incoming state's memory too
      for (at::Tensor& m : memory) {
        m = m.detach();
      }
    }
    const at::Tensor& x = inputs[static_cast<std::size_t>(s)];
    const std::int64_t length = x.size(1);
    const SegmentTables tables = tables_for(length, state.position + s * L, present);
    SegmentOutput output = run_segment(weights, tables, x, memory);
    outputs.push_back(output.x);
    if (length == L && policy_.carries()) {
      memory = std::move(output.memory);
      std::fill(present.begin(), present.end(), 1);
      result.state.position += L;
    } else {
      result.state.partial_ids = ids.narrow(1, s * L, length);
    }
  }
  result.hidden = math_.final_norm(weights, S == 1 ? outputs[0] : at::cat(outputs, 1));
  if (!memory.empty()) {
    result.state.memory = at::stack(memory);
    if (!all_of(present)) {
      result.state.present = flags_to_tensor(present, options_.device());
    }
  }
  return result;
}

} // namespace fcc
