#include "fcc/generate/loaded_model.h"

#include "fcc/config/dtype_names.h"
#include "fcc/core/error.h"
#include "fcc/io/safetensors.h"
#include "fcc/model/hugging_face.h"

namespace fcc {

ComputeDType dtype_from_option(const std::string& name, at::Device device) {
  if (name == "auto") {
    return device.is_cuda() ? ComputeDType::kBFloat16 : ComputeDType::kFloat32;
  }
  for (const auto& [known, dtype] : EnumNames<ComputeDType>::value) {
    if (dtype_by_other_name(name) == known) {
      return dtype;
    }
  }
  throw ConfigError(
      "--dtype",
      "must be auto, float64, float32 or bfloat16",
      name,
      dtype_by_other_name(name) == "float16"
          ? "weights in float16 are read, and computed with in one of these"
          : "");
}

LoadedModel load_model(const LoadOptions& options) {
  const std::string where = options.directory.string();
  const ModelConfig config = load_model_config(options.directory);
  // The tokenizer first: its errors should not come after minutes of reading weights.
  const std::string tokenizer_path = options.tokenizer.value_or(where);
  TokenizerConfig named{.path = tokenizer_path};
  if (options.tokenizer == "bytes") {
    named = {.type = TokenizerKind::kBytes, .path = std::nullopt};
  }
  const TokenizerConfig policy = with_saved_policy(named);
  std::shared_ptr<const Tokenizer> tokenizer = make_tokenizer(named);
  if (tokenizer->vocab_size() > config.vocab_size) {
    throw ConfigError(
        "tokenizer",
        "must not have more tokens than the model's vocabulary of " +
            std::to_string(config.vocab_size),
        std::to_string(tokenizer->vocab_size()) + " in " + tokenizer_path,
        "give the tokenizer that the model was trained with");
  }
  // Before a buffer of the size that config.json says: its numbers may not be the weights'.
  check_weights(config, SafetensorsDirectory(options.directory), where);
  LoadedModel model{
      .parameters = FlatParameters::for_inference(config, options.dtype, options.device),
      .weights = {},
      .tokenizer = std::move(tokenizer),
      .tokenizer_policy = policy,
      .dtype = options.dtype};
  load_weights(model.parameters, options.directory);
  model.weights = model.parameters.view(model.parameters.compute());
  return model;
}

std::vector<std::int32_t>
encode_text(const LoadedModel& model, const std::string& text, SpecialTokens special) {
  std::vector<std::int32_t> ids;
  if (special == SpecialTokens::kParsed) {
    model.tokenizer->encode_with_special(text, ids);
  } else {
    model.tokenizer->encode(text, ids);
  }
  return ids;
}

std::vector<std::int32_t>
encode_prompt(const LoadedModel& model, const std::string& text, SpecialTokens special) {
  std::vector<std::int32_t> ids = encode_text(model, text, special);
  const auto bos = model.tokenizer->bos_id();
  const bool is_there = special == SpecialTokens::kParsed && !ids.empty() && ids.front() == bos;
  if (model.tokenizer_policy.begins_with_bos() && bos && !is_there) {
    ids.insert(ids.begin(), *bos);
  }
  return ids;
}

} // namespace fcc
