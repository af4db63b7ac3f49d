#include "fcc/train/estimate.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "fcc/train/trainer.h"

namespace fcc {
namespace {

std::string grouped(std::int64_t value) {
  std::string digits = std::to_string(value);
  for (auto at = static_cast<std::int64_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  }
  return digits;
}

std::string row(const std::string& label, const std::string& value) {
  char text[160];
  std::snprintf(text, sizeof text, "  %-46s %20s\n", label.c_str(), value.c_str());
  return text;
}

std::string gibibytes(std::int64_t bytes) {
  char text[64];
  std::snprintf(text, sizeof text, "%.3f GiB", static_cast<double>(bytes) / 0x1p30);
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
  if (config.arch() == Architecture::kCondensation) {
    counts.memory += fcc.memory_norm == MemoryNorm::kOwn ? N * D : 0;
    counts.memory += fcc.first_memory == FirstMemory::kLearned ? N * fcc.segment_length * D : 0;
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

RunEstimate estimate_run(const RunConfig& config, const ModelConfig& model, Processor processor) {
  RunEstimate estimate;
  estimate.parameters = parameter_counts(model);
  const auto length = static_cast<double>(segment_length_of(model));
  const bool full_attention = model.arch() == Architecture::kLlama;
  const std::vector<StepShape> steps = longest_steps(config, model);
  double most_keys = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const StageConfig& stage = config.train.stages[i];
    const auto rows = static_cast<double>(steps[i].batch);
    const auto batches = static_cast<double>(stage.accumulate.value_or(config.train.accumulate));
    const double segments = stage.segments.mean() + stage.prefix_segments.mean();
    const auto longest = static_cast<double>(stage.segments.max()) * length;
    most_keys = std::max(most_keys, full_attention ? longest : 2 * length);
    const std::string name = stage_name(config.train, static_cast<std::int64_t>(i));
    estimate.stages.push_back(
        {.name = name,
         .steps = stage.steps,
         .may_end_early = stage.until.has_value(),
         .tokens = static_cast<double>(stage.steps) * batches * rows * segments * length});
    MemoryEstimate memory = config.engine.execution == Execution::kFused
                                ? estimate_fused_memory(config.engine, model, steps[i], processor)
                                : estimate_reference_memory(config.engine, model, steps[i]);
    if (memory.total_bytes() > estimate.memory.total_bytes()) {
      estimate.memory = std::move(memory);
      estimate.fullest_stage = name;
    }
  }
  if (config.checkpoint.in_background && config.checkpoint.every > 0) {
    const bool wide = config.engine.dtype == ComputeDType::kFloat64;
    const bool narrow = config.engine.dtype == ComputeDType::kBFloat16;
    estimate.checkpoint_copy_bytes =
        estimate.parameters.total() * (3 * (wide ? 8 : 4) + (narrow ? 2 : 0));
  }
  const auto N =
      static_cast<double>(model.num_hidden_layers + (model.fcc ? model.fcc->num_local_layers : 0));
  const auto head_weights = static_cast<double>(model.vocab_size * model.hidden_size);
  const double products =
      static_cast<double>(estimate.parameters.attention + estimate.parameters.mlp) + head_weights;
  const auto width = static_cast<double>(model.num_attention_heads * model.head_dim);
  estimate.flops_per_token = 6 * products + 12 * N * width * most_keys;
  return estimate;
}

std::string to_text(const RunEstimate& estimate) {
  std::string text = "parameters\n";
  const ParameterCounts& counts = estimate.parameters;
  text += row("embeddings", grouped(counts.embeddings));
  text += row("attention", grouped(counts.attention));
  text += row("mlp", grouped(counts.mlp));
  text += row("norms", grouped(counts.norms));
  text += row("head (0: tied)", grouped(counts.head));
  text += row("memory", grouped(counts.memory));
  text += row("total", grouped(counts.total()));
  text += "memory at the fullest moment (" + estimate.fullest_stage + ")\n";
  for (const MemoryItem& item : estimate.memory.items) {
    text += row(item.name, gibibytes(item.bytes));
  }
  text += row("total, about", gibibytes(estimate.memory.total_bytes()));
  if (estimate.checkpoint_copy_bytes > 0) {
    text += row(
        "besides, in main memory: copy for checkpoints", gibibytes(estimate.checkpoint_copy_bytes));
  }
  text += "stages\n";
  for (const RunEstimate::Stage& stage : estimate.stages) {
    std::string size = stage.may_end_early ? "at most " : "";
    size += grouped(stage.steps) + " steps, ";
    size += grouped(static_cast<std::int64_t>(stage.tokens)) + " tokens";
    text += row(stage.name, size);
  }
  return text;
}

} // namespace fcc
