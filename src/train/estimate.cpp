#include "fcc/train/estimate.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <c10/util/accumulate.h>

#include "fcc/train/human_numbers.h"
#include "fcc/train/trainer.h"

namespace fcc {
namespace {

std::string row(const std::string& label, const std::string& value) {
  char text[160];
  std::snprintf(text, sizeof text, "  %-46s %20s\n", label.c_str(), value.c_str());
  return text;
}

} // namespace

ParameterCounts parameter_counts(const ModelConfig& config) {
  const std::int64_t D = config.hidden_size, F = config.intermediate_size;
  const std::int64_t queries = config.num_attention_heads * config.head_dim;
  const std::int64_t keys = config.num_key_value_heads * config.head_dim;
  const FccConfig fcc = config.fcc.value_or(FccConfig{});
  const bool local_global = config.arch() == Architecture::kLocalGlobal;
  const std::int64_t N = config.num_hidden_layers + (local_global ? fcc.num_local_layers : 0);
  ParameterCounts counts;
  counts.embeddings = config.vocab_size * D;
  counts.attention = N * (2 * queries + 2 * keys) * D;
  counts.mlp = N * 3 * F * D;
  counts.norms = N * 2 * D + D;
  counts.head = config.tie_word_embeddings ? 0 : config.vocab_size * D;
  for (const MemoryWeightLayout& weight : MemoryPolicy(config).weights()) {
    counts.memory += N * c10::multiply_integers(weight.shape);
  }
  if (config.arch() == Architecture::kRmt) {
    counts.memory += fcc.num_memory_tokens * D;
  }
  return counts;
}

double RunEstimate::tokens() const {
  double sum = 0;
  for (const Stage& stage : stages) {
    sum += stage.tokens;
  }
  return sum;
}

double training_flops(const ModelConfig& c, std::int64_t batch, std::int64_t tokens) {
  const MemoryPolicy policy(c);
  const bool condensation = c.arch() == Architecture::kCondensation;
  const auto D = static_cast<double>(c.hidden_size), F = static_cast<double>(c.intermediate_size);
  const auto V = static_cast<double>(c.vocab_size);
  const auto q = static_cast<double>(c.num_attention_heads * c.head_dim);
  const double kv = 2.0 * static_cast<double>(c.num_key_value_heads * c.head_dim);
  const auto N = static_cast<double>(c.num_hidden_layers + (c.fcc ? c.fcc->num_local_layers : 0));
  const auto T = static_cast<double>(tokens), B = static_cast<double>(batch);
  const double L = c.fcc ? std::min(static_cast<double>(c.fcc->segment_length), T) : T;
  // Share of the tokens that have rows of memory before them.
  const double remembered = policy.is_rows_before() ? (T - L) / T : 0.0;
  const auto E = static_cast<double>(c.head_dim);
  // A memory in the heads is read and written with a row of E by query and key. Memory tokens go
  // through the stack as a segment's do, twice.
  const double in_heads = policy.head_memory() != nullptr ? N * (q + kv) * E : 0.0;
  const double rows = 1 + 2 * static_cast<double>(policy.num_tokens()) / L;
  const double memory_kv = condensation ? D * kv * remembered : 0.0;
  const double products =
      rows * N * (D * (q + kv) + memory_kv + q * D + 3 * D * F) + in_heads + D * V;
  const double keys = (rows * L + 1) / 2 + L * remembered; // that a query sees
  return B * T * (6 * products + rows * N * 12 * keys * q);
}

RunEstimate estimate_run(
    const RunConfig& config,
    const ModelConfig& model,
    Processor processor,
    std::int64_t num_ranks) {
  RunEstimate estimate;
  estimate.num_ranks = num_ranks;
  estimate.parameters = parameter_counts(model);
  const bool narrow_state = config.engine.dtype == ComputeDType::kBFloat16;
  const bool wide_state = config.engine.dtype == ComputeDType::kFloat64;
  estimate.state_bytes = MemoryPolicy(model).memory_bytes(
      narrow_state ? at::kBFloat16
      : wide_state ? at::kDouble
                   : at::kFloat);
  const std::int64_t num_copies = RankGrid::of(num_ranks, config.engine).num_copies;
  const ModelConfig held = largest_stage(config, model);
  const std::vector<StepShape> steps = longest_steps(config, model, num_ranks);
  const at::DeviceType device = processor == Processor::kCpu ? at::kCPU : at::kCUDA;
  const OptimizerMemory optimizer = optimizer_memory(config, model, device, num_ranks);
  const EnginePlan plan = plan_engine(
      config.engine,
      {.model = held,
       .device = at::Device(device),
       .planned = processor,
       .num_all_layers = config.engine.layer_ranks > 1 ? model.num_hidden_layers : 0});
  double flops = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const StageConfig& stage = config.train.stages[i];
    const auto rows = static_cast<double>(steps[i].batch * num_copies);
    const auto batches = static_cast<double>(stage.accumulate.value_or(config.train.accumulate));
    const double segments = stage.segments.mean() + stage.prefix_segments.mean();
    const std::int64_t length = stage_segment_length(config.train, i, segment_length_of(model));
    const std::string name = stage_name(config.train, static_cast<std::int64_t>(i));
    estimate.stages.push_back(
        {.name = name,
         .steps = stage.steps,
         .may_end_early = stage.until.has_value(),
         .tokens = static_cast<double>(stage.steps) * batches * rows * segments *
                   static_cast<double>(length),
         .segment_length = length});
    ModelConfig with_length = model;
    if (with_length.fcc) {
      with_length.fcc->segment_length = length;
    }
    const std::int64_t longest = stage.segments.max() * length; // tokens a row
    flops += estimate.stages.back().tokens * training_flops(with_length, 1, longest) /
             static_cast<double>(longest);
    MemoryEstimate memory = estimate_memory(plan, held, steps[i], optimizer);
    if (memory.total_bytes() > estimate.memory.total_bytes()) {
      estimate.memory = std::move(memory);
      estimate.fullest_stage = name;
    }
  }
  // Several ranks gather what is saved in main memory, and copy that once more to go on meanwhile.
  const bool copies = config.checkpoint.in_background && config.checkpoint.every > 0;
  if (const std::int64_t num_written = (copies ? 1 : 0) + (num_ranks > 1 ? 1 : 0)) {
    const bool wide = config.engine.dtype == ComputeDType::kFloat64;
    RunConfig one_rank = config;
    one_rank.engine.layer_ranks = 1;
    const bool narrow = config.engine.dtype == ComputeDType::kBFloat16;
    estimate.checkpoint_copy_bytes =
        estimate.parameters.total() * ((wide ? 8 : 4) + (narrow ? 2 : 0));
    for (const MemoryItem& state : optimizer_memory(one_rank, model, device).states) {
      estimate.checkpoint_copy_bytes += state.bytes;
    }
    estimate.checkpoint_copy_bytes *= num_written;
  }
  estimate.flops_per_token = estimate.tokens() > 0 ? flops / estimate.tokens() : 0.0;
  return estimate;
}

std::string to_text(const RunEstimate& estimate) {
  std::string text = "parameters\n";
  const ParameterCounts& counts = estimate.parameters;
  text += row("embeddings", grouped_text(counts.embeddings));
  text += row("attention", grouped_text(counts.attention));
  text += row("mlp", grouped_text(counts.mlp));
  text += row("norms", grouped_text(counts.norms));
  text += row("head (0: tied)", grouped_text(counts.head));
  text += row("memory", grouped_text(counts.memory));
  text += row("total", grouped_text(counts.total()));
  if (estimate.state_bytes > 0) {
    text += row("state that a row carries on", bytes_text(estimate.state_bytes));
  }
  text += "memory at the fullest moment (" + estimate.fullest_stage + ")";
  text += estimate.num_ranks == 1
              ? "\n"
              : ", of each of " + std::to_string(estimate.num_ranks) + " ranks\n";
  for (const MemoryItem& item : estimate.memory.items) {
    text += row(item.name, bytes_text(item.bytes));
  }
  text += row("total, about", bytes_text(estimate.memory.total_bytes()));
  if (estimate.checkpoint_copy_bytes > 0) {
    text +=
        row("besides, in main memory: copy for checkpoints",
            bytes_text(estimate.checkpoint_copy_bytes));
  }
  const std::vector<RunEstimate::Stage>& stages = estimate.stages;
  const bool lengths_differ = std::any_of(stages.begin(), stages.end(), [&](const auto& stage) {
    return stage.segment_length != stages.front().segment_length;
  });
  text += "stages\n";
  for (const RunEstimate::Stage& stage : stages) {
    std::string size = stage.may_end_early ? "at most " : "";
    size += grouped_text(stage.steps) + " steps, ";
    size += grouped_text(static_cast<std::int64_t>(stage.tokens)) + " tokens";
    const std::string length = ", segments of " + std::to_string(stage.segment_length);
    text += row(stage.name + (lengths_differ ? length : ""), size);
  }
  return text;
}

} // namespace fcc
