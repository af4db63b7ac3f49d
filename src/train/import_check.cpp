#include "fcc/train/import_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <nlohmann/json.hpp>

#include "fcc/data/loss_coefficients.h"
#include "fcc/engine/make_executor.h"
#include "fcc/io/files.h"
#include "fcc/model/hugging_face.h"
#include "fcc/text/tokenizer.h"
#include "fcc/train/curriculum.h"
#include "fcc/train/micro_batch.h"

namespace fcc {
namespace {

using nlohmann::json;

std::string number_text(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

bool has(const json& object, const std::string& key) {
  return object.is_object() && object.contains(key) && !object.at(key).is_null();
}

/// Where a value is from, for a key that Hugging Face's Llama gives a default to.
std::string origin(const json& file, const std::string& key) {
  const bool in_rope = has(file, "rope_parameters") && has(file.at("rope_parameters"), key);
  return has(file, key) || in_rope ? "" : " (not in config.json: Llama's default)";
}

bool names_id(const json& value, std::int32_t id) {
  return value.is_array()
             ? std::any_of(value.begin(), value.end(), [&](const json& each) { return each == id; })
             : value == id;
}

/// The line of a special token, and what is amiss with it.
void add_special(
    ImportReport& report,
    const json& file,
    const std::string& name,
    std::optional<std::int32_t> id,
    const std::string& use) {
  const std::string key = name + "_token_id";
  const std::string of_tokenizer = id ? std::to_string(*id) : "none";
  report.facts.push_back(name + " " + of_tokenizer + ", " + use);
  if (has(file, key) && (!id || !names_id(file.at(key), *id))) {
    report.warnings.push_back(
        key + " is " + file.at(key).dump() + " in config.json, and " + of_tokenizer +
        " in the tokenizer");
  }
}

/// Every counted target alike, so that the mean is plain.
Batch counted_alike(Batch batch) {
  for (std::size_t i = 0; i < batch.targets.size(); ++i) {
    batch.target_weights[i] = batch.targets[i] != kIgnoredTarget && batch.target_weights[i] != 0.0F;
  }
  return batch;
}

/// The same tokens in segments of another length: rows × segments × L stays.
Batch reshaped(Batch batch, std::int64_t rows, std::int64_t length) {
  batch.shape = {.batch_size = rows, .num_segments = 1, .segment_length = length};
  batch.segment_starts_document.assign(static_cast<std::size_t>(rows), 0);
  return batch;
}

double mean_loss(FlatParameters& parameters, const EngineSection& engine, const Batch& batch) {
  LossCounts counts;
  count_targets(batch, counts);
  const std::vector<double> coefficients = loss_coefficients(batch, counts, LossKind::kTokenMean);
  const at::Tensor& master = parameters.master();
  const auto executor = make_executor(parameters, engine);
  const PassResult result = executor->evaluate(
      to_micro_batch(batch, coefficients, master.device(), master.scalar_type()), nullptr);
  return result.loss.item<double>(); // the coefficients of token_mean add up to 1
}

/// Segments of the row: those of the first stage, as far as attention over all of them is cheap.
std::int64_t segments_of_row(const StageConfig& stage, std::int64_t length) {
  constexpr std::int64_t kMostTokens = 2048, kAlways = 4;
  const std::int64_t most = std::max(kAlways, kMostTokens / length);
  return std::max<std::int64_t>(2, std::min(stage.segments.max(), most));
}

} // namespace

ImportReport check_import(
    const std::filesystem::path& directory,
    const ModelConfig& model,
    const RunData& data) {
  const json file = json::parse(read_file(directory / "config.json"), nullptr, false);
  ImportReport report;
  const auto fact = [&](std::string text) { report.facts.push_back(std::move(text)); };
  fact("rope_theta " + number_text(model.rope_theta) + origin(file, "rope_theta"));
  fact(
      model.rope_scaling ? "rope_scaling llama3, factor " + number_text(model.rope_scaling->factor)
                         : std::string("no rope_scaling"));
  fact("rms_norm_eps " + number_text(model.rms_norm_eps) + origin(file, "rms_norm_eps"));
  fact(
      "head_dim " + std::to_string(model.head_dim) +
      (has(file, "head_dim") ? "" : " (hidden_size / num_attention_heads)"));
  fact(
      (model.tie_word_embeddings ? "the head is the embedding" : "a head of its own") +
      origin(file, "tie_word_embeddings"));
  const std::int64_t known = data.tokenizer->vocab_size();
  fact("vocab_size " + std::to_string(model.vocab_size) + ", tokenizer " + std::to_string(known));
  // Some models pad their vocabulary; one that is far larger has another tokenizer.
  if (known * 10 < model.vocab_size * 9) {
    report.warnings.push_back(
        "vocab_size is " + std::to_string(model.vocab_size) + ", and the tokenizer has only " +
        std::to_string(known) + " tokens: is it the model's?");
  }
  const TokenizerConfig& policy = data.tokenizer_config;
  add_special(
      report,
      file,
      "bos",
      data.tokenizer->bos_id(),
      policy.begins_with_bos() ? "begins a text" : "not put before texts (add_bos false)");
  add_special(
      report,
      file,
      "eos",
      data.tokenizer->eos_id(),
      policy.ends_with_eos() ? "ends a text" : "not put after texts (add_eos false)");
  return report;
}

FirstLosses
measure_first_losses(FlatParameters& parameters, const RunConfig& config, RunData& data) {
  const at::NoGradGuard no_grad;
  const ModelConfig model = parameters.config();
  FirstLosses losses;
  losses.segment_length = stage_segment_length(config.train, 0, segment_length_of(model));
  losses.num_segments = segments_of_row(config.train.stages.front(), losses.segment_length);
  const std::int64_t num_tokens = losses.num_segments * losses.segment_length;

  Loader& loader = data.loaders.at(data.loader_of_stage.front());
  const Loader::State start = loader.state();
  const Batch batch = counted_alike(loader.next(
      {.batch_size = 1,
       .num_segments = losses.num_segments,
       .segment_length = losses.segment_length}));
  loader.restore(start);

  if (model.arch() == Architecture::kLlama) {
    losses.full_attention = mean_loss(parameters, config.engine, reshaped(batch, 1, num_tokens));
    return losses;
  }
  const bool changes = losses.segment_length != model.fcc->segment_length;
  if (changes) {
    parameters.set_segment_length(losses.segment_length);
  }
  losses.with_memory = mean_loss(parameters, config.engine, batch);
  losses.without_memory = mean_loss(
      parameters, config.engine, reshaped(batch, losses.num_segments, losses.segment_length));
  // One segment of all tokens, with nothing before it, is the Llama that was imported.
  if (model.arch() == Architecture::kCondensation && !adds_weights(model) &&
      model.fcc->first_memory == FirstMemory::kAbsent) {
    parameters.set_segment_length(num_tokens);
    losses.full_attention = mean_loss(parameters, config.engine, reshaped(batch, 1, num_tokens));
  }
  if (parameters.config().fcc->segment_length != model.fcc->segment_length) {
    parameters.set_segment_length(model.fcc->segment_length);
  }
  return losses;
}

std::string first_losses_line(const FirstLosses& losses) {
  std::string line = "first row, " + std::to_string(losses.num_segments) + " segments of " +
                     std::to_string(losses.segment_length) + " tokens: mean loss";
  const char* separator = " ";
  const auto add = [&](const std::optional<double>& loss, const char* what) {
    if (loss) {
      char text[64];
      std::snprintf(text, sizeof text, "%s%.4f %s", separator, *loss, what);
      line += text;
      separator = ", ";
    }
  };
  add(losses.full_attention, "with full attention");
  add(losses.with_memory, "with memory");
  add(losses.without_memory, "without");
  return line;
}

} // namespace fcc
