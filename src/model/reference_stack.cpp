#include "fcc/model/reference_stack.h"

#include <algorithm>
#include <string>

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

std::vector<double> frequencies_of(const ModelConfig& config) {
  std::optional<RopeLlama3Scaling> scaling;
  if (config.rope_scaling) {
    scaling = RopeLlama3Scaling{
        config.rope_scaling->factor,
        config.rope_scaling->low_freq_factor,
        config.rope_scaling->high_freq_factor,
        config.rope_scaling->original_max_position_embeddings};
  }
  return rope_frequencies(config.head_dim, config.rope_theta, scaling);
}

RopeTable joined(const RopeTable& first, const RopeTable& second) {
  return {at::cat({first.cos, second.cos}, 0), at::cat({first.sin, second.sin}, 0)};
}

// The memory that a layer sees: carried, the first one, or row by row the one or the other.
at::Tensor visible_memory(
    const at::Tensor& carried, // [B, L, D] or undefined
    const at::Tensor& first,   // [1, L, D]: stands where no memory is carried
    const SegmentTables& tables,
    std::int64_t num_rows) {
  if (!tables.carried) {
    return first.expand({num_rows, -1, -1});
  }
  return tables.present.defined() ? at::where(tables.present, carried, first) : carried;
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
      attention_(choose_attention(attention, attention_use(device, dtype, config.head_dim))),
      math_(config, attention_),
      options_(at::TensorOptions(device).dtype(dtype)),
      table_options_(options_.dtype(dtype == at::kDouble ? at::kDouble : at::kFloat)),
      frequencies_(frequencies_of(config)) {}

std::int64_t ReferenceStack::segment_length(std::int64_t length_tokens) const {
  return config_.arch() == Architecture::kLlama ? std::max<std::int64_t>(length_tokens, 1)
                                                : config_.fcc->segment_length;
}

const AttentionMask& ReferenceStack::causal_mask(std::int64_t length, std::int64_t num_memory) {
  if (config_.arch() == Architecture::kLlama && !masks_.contains({length, num_memory})) {
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
  const MemoryPositions rule = config_.arch() == Architecture::kCondensation
                                   ? config_.fcc->memory_positions
                                   : MemoryPositions::kWindow;
  if (rule == MemoryPositions::kGlobal) {
    return make_rope_table(
        frequencies_, position - num_memory, num_memory + length, table_options_);
  }
  const auto [entry, added] = key_tables_.try_emplace({length, num_memory});
  if (!added) {
    return entry->second;
  }
  if (rule == MemoryPositions::kWindow || num_memory == 0) {
    return entry->second = make_rope_table(frequencies_, 0, num_memory + length, table_options_);
  }
  const RopeTable current = make_rope_table(frequencies_, 0, length, table_options_);
  const RopeTable memory = rule == MemoryPositions::kSame
                               ? make_rope_table(frequencies_, 0, num_memory, table_options_)
                               : RopeTable{
                                     at::ones({num_memory, config_.head_dim}, table_options_),
                                     at::zeros({num_memory, config_.head_dim}, table_options_)};
  return entry->second = joined(memory, current);
}

SegmentTables ReferenceStack::tables_for(
    std::int64_t length,
    std::int64_t position,
    const std::vector<char>& present) {
  SegmentTables tables;
  tables.carried = any_of(present);
  const bool has_first = config_.arch() == Architecture::kCondensation &&
                         config_.fcc->first_memory != FirstMemory::kAbsent;
  const std::int64_t num_memory =
      tables.carried || has_first ? config_.fcc->segment_length : 0; // Lm
  tables.keys = key_table(length, num_memory, position);
  tables.mask = causal_mask(length, num_memory);
  if (tables.carried && !all_of(present)) {
    const at::Tensor flags = flags_to_tensor(present, options_.device()); // [B]
    tables.present = flags.view({-1, 1, 1});
    if (!has_first) {
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
    at::Tensor visible; // [B, L, D]
    if (tables.mask.num_memory > 0) {
      const at::Tensor first = layer.initial_memory.defined()
                                   ? layer.initial_memory.get().unsqueeze(0)
                                   : at::zeros({1, tables.mask.num_memory, x.size(2)}, x.options());
      visible = visible_memory(memory.empty() ? at::Tensor() : memory[n], first, tables, x.size(0));
    }
    const at::Tensor next = math_.condensation_layer(layer, output.x, visible, tables);
    const bool remembers_output = config_.arch() == Architecture::kLlama ||
                                  config_.fcc->memory_source == MemorySource::kOutput;
    output.memory.push_back(remembers_output ? next : output.x);
    output.x = next;
  }
  return output;
}

ReferenceStack::SegmentOutput ReferenceStack::local_global_segment(
    const ReferenceWeights& weights,
    const SegmentTables& tables,
    const at::Tensor& x,
    const std::vector<at::Tensor>& memory) const {
  ReferenceMath::GlobalStep step{{}, x};
  if (tables.mask.num_memory > 0) {
    const at::Tensor nothing = at::zeros({1, tables.mask.num_memory, x.size(2)}, x.options());
    step.memory = visible_memory(memory[0], nothing, tables, x.size(0));
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
  const std::int64_t B = embedded.size(0), T = embedded.size(1), D = embedded.size(2);
  const std::int64_t L = segment_length(T), S = (T + L - 1) / L;
  const bool llama = config_.arch() == Architecture::kLlama;
  const bool local_global = config_.arch() == Architecture::kLocalGlobal;
  check(T > 0, "reference_forward", "needs at least one token");
  check(
      !state.partial_ids.defined() || state.partial_ids.size(1) == 0,
      "reference_forward",
      "must start at a segment border of the state");
  check(
      !llama || (!state.memory.defined() && state.position == 0),
      "reference_forward",
      "llama keeps no memory and cannot go on from a state");
  check(
      !options.bptt_segments || *options.bptt_segments >= 1,
      "reference_forward",
      "bptt_segments must be at least 1");
  std::vector<char> starts; // [B, S] or empty
  if (options.segment_starts_document.defined()) {
    const at::Tensor& flags = options.segment_starts_document;
    if (flags.dim() != 2 || flags.size(0) != B || flags.size(1) != S) {
      throw Error(
          "reference_forward",
          "segment_starts_document must be [B, S] with S = " + std::to_string(S),
          llama ? "more than the one segment of a llama" : "another shape");
    }
    starts = to_host(flags);
  }

  std::vector<at::Tensor> memory;
  std::vector<char> present(static_cast<std::size_t>(B), state.memory.defined() ? 1 : 0);
  if (state.memory.defined()) {
    const std::int64_t num_memories = local_global ? 1 : config_.num_hidden_layers;
    check(
        state.memory.sizes() == at::IntArrayRef({num_memories, B, L, D}),
        "reference_forward",
        "the state's memory must be [N, B, L, D]");
    memory = state.memory.to(options_.dtype()).unbind(0);
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
    if (options.bptt_segments && s > 0 && s % *options.bptt_segments == 0) {
      for (at::Tensor& m : memory) {
        m = m.detach();
      }
    }
    const at::Tensor& x = inputs[static_cast<std::size_t>(s)];
    const std::int64_t length = x.size(1);
    const SegmentTables tables = tables_for(length, state.position + s * L, present);
    SegmentOutput output = local_global ? local_global_segment(weights, tables, x, memory)
                                        : condensation_segment(weights, tables, x, memory);
    outputs.push_back(output.x);
    if (length == L && !llama) {
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
