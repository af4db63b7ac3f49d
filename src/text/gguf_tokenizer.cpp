#include "fcc/text/gguf_tokenizer.h"

#include <cstdint>
#include <optional>
#include <unordered_set>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/gguf.h"
#include "text/gguf_patterns.h"

namespace fcc {
namespace {

/// What GGUF says of a token (gguf's `TokenType`).
enum TokenType : std::int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6
};

JsonValue text(std::string value) {
  return JsonValue(JsonValue::Variant(std::move(value)));
}

JsonValue flag(bool value) {
  return JsonValue(JsonValue::Variant(value));
}

JsonValue whole(std::int64_t value) {
  return JsonValue(JsonValue::Variant(value));
}

JsonValue object(std::vector<std::pair<std::string, JsonValue>> members) {
  JsonValue::Object result;
  for (auto& [key, value] : members) {
    result.emplace_back(key, std::move(value));
  }
  return JsonValue(JsonValue::Variant(std::move(result)));
}

JsonValue array(JsonValue::Array values) {
  return JsonValue(JsonValue::Variant(std::move(values)));
}

template <typename T>
const T& required(const GgufFile& file, const std::string& key, const char* type) {
  const T* value = file.find<T>(key);
  if (value == nullptr) {
    throw FormatError(
        file.path().string(),
        "`" + key + "` must be " + type,
        file.metadata().contains(key) ? "another type" : "none");
  }
  return *value;
}

JsonValue byte_level(bool use_regex) {
  return object(
      {{"type", text("ByteLevel")},
       {"add_prefix_space", flag(false)},
       {"trim_offsets", flag(true)},
       {"use_regex", flag(use_regex)}});
}

/// How text is cut, for the pre-tokenizers whose patterns are known (llama.cpp's llama-vocab.cpp).
JsonValue pre_tokenizer(const GgufFile& file, const std::string& name) {
  if (name == "gpt-2") {
    return byte_level(true);
  }
  JsonValue::Array steps;
  if (name == "smollm" || name == "starcoder" || name == "refact") {
    steps.push_back(object({{"type", text("Digits")}, {"individual_digits", flag(true)}}));
    steps.push_back(byte_level(true));
  } else if (name == "llama-bpe") {
    steps.push_back(object(
        {{"type", text("Split")},
         {"pattern", object({{"Regex", text(kLlama3Pattern)}})},
         {"behavior", text("Isolated")},
         {"invert", flag(false)}}));
    steps.push_back(byte_level(false));
  } else {
    throw FormatError(
        file.path().string(),
        "`tokenizer.ggml.pre` must be gpt-2, smollm, starcoder, refact or llama-bpe",
        name.empty() ? "none" : name,
        "--no-tokenizer leaves the tokenizer out: take the original model's tokenizer.json");
  }
  return object({{"type", text("Sequence")}, {"pretokenizers", array(std::move(steps))}});
}

/// The id under `tokenizer.ggml.KEY_token_id`, if it is given.
std::optional<std::int64_t> special_id(const GgufFile& file, const char* key, std::size_t count) {
  const std::string name = std::string("tokenizer.ggml.") + key + "_token_id";
  if (!file.metadata().contains(name)) {
    return std::nullopt;
  }
  const auto id = required<std::int64_t>(file, name, "a whole number");
  if (id < 0 || id >= static_cast<std::int64_t>(count)) {
    throw FormatError(
        file.path().string(), "`" + name + "` must be in the vocabulary", std::to_string(id));
  }
  return id;
}

/// Tokens that merges need; the others of the special ones are no part of the vocabulary proper.
std::unordered_set<std::string> parts_of_merges(
    const GgufFile& file,
    const std::vector<std::string>& merges) {
  std::unordered_set<std::string> parts;
  for (const std::string& merge : merges) {
    const std::size_t space = merge.find(' ');
    if (space == std::string::npos) {
      throw FormatError(
          file.path().string(), "a merge must be two tokens with a space between them", merge);
    }
    parts.insert(merge.substr(0, space));
    parts.insert(merge.substr(space + 1));
    parts.insert(merge.substr(0, space) + merge.substr(space + 1));
  }
  return parts;
}

} // namespace

std::vector<std::pair<std::string, std::string>> gguf_tokenizer_files(const GgufFile& file) {
  using Strings = std::vector<std::string>;
  const auto& model = required<std::string>(file, "tokenizer.ggml.model", "a string");
  if (model != "gpt2") {
    throw FormatError(
        file.path().string(),
        "`tokenizer.ggml.model` must be gpt2 (byte-level BPE)",
        model,
        "--no-tokenizer leaves the tokenizer out: take the original model's files");
  }
  const auto& tokens = required<Strings>(file, "tokenizer.ggml.tokens", "a list of strings");
  const auto& types = required<std::vector<std::int64_t>>(
      file, "tokenizer.ggml.token_type", "a list of whole numbers");
  const auto& merges = required<Strings>(file, "tokenizer.ggml.merges", "a list of strings");
  if (types.size() != tokens.size()) {
    throw FormatError(
        file.path().string(),
        "`tokenizer.ggml.token_type` must have a type for each of " +
            std::to_string(tokens.size()) + " tokens",
        std::to_string(types.size()));
  }
  const auto* pre = file.find<std::string>("tokenizer.ggml.pre");
  JsonValue cutting = pre_tokenizer(file, pre == nullptr ? "" : *pre);
  const bool is_llama3 = pre != nullptr && *pre == "llama-bpe";

  const auto in_merges = parts_of_merges(file, merges);
  std::unordered_set<std::string> seen;
  JsonValue::Object vocabulary;
  JsonValue::Array added, merge_values;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (!seen.insert(tokens[i]).second) {
      throw FormatError(file.path().string(), "a token must not come twice", tokens[i]);
    }
    const bool is_special = types[i] == kControl || types[i] == kUnknown;
    const bool is_added = is_special || types[i] == kUserDefined;
    const auto id = static_cast<std::int64_t>(i);
    // A text of its own, not one in the alphabet of bytes, unless merges lead to it.
    if ((!is_added && types[i] != kUnused) || in_merges.contains(tokens[i])) {
      vocabulary.emplace_back(tokens[i], whole(id));
    }
    if (is_added) {
      added.push_back(object(
          {{"id", whole(id)},
           {"content", text(tokens[i])},
           {"single_word", flag(false)},
           {"lstrip", flag(false)},
           {"rstrip", flag(false)},
           {"normalized", flag(false)},
           {"special", flag(is_special)}}));
    }
  }
  for (const std::string& merge : merges) {
    merge_values.push_back(text(merge));
  }

  const auto bos = special_id(file, "bos", tokens.size());
  const auto* add_bos = file.find<bool>("tokenizer.ggml.add_bos_token");
  JsonValue post_processor;
  if (bos && (add_bos != nullptr ? *add_bos : is_llama3)) {
    const std::string& name = tokens[static_cast<std::size_t>(*bos)];
    const JsonValue begin =
        object({{"SpecialToken", object({{"id", text(name)}, {"type_id", whole(0)}})}});
    const auto sequence = [](const char* id, std::int64_t type) {
      return object({{"Sequence", object({{"id", text(id)}, {"type_id", whole(type)}})}});
    };
    post_processor = object(
        {{"type", text("TemplateProcessing")},
         {"single", array({begin, sequence("A", 0)})},
         {"pair", array({begin, sequence("A", 0), sequence("B", 1)})},
         {"special_tokens",
          object(
              {{name,
                object(
                    {{"id", text(name)},
                     {"ids", array({whole(*bos)})},
                     {"tokens", array({text(name)})}})}})}});
  }
  const JsonValue null;
  const JsonValue tokenizer = object(
      {{"version", text("1.0")},
       {"truncation", null},
       {"padding", null},
       {"added_tokens", array(std::move(added))},
       {"normalizer", null},
       {"pre_tokenizer", std::move(cutting)},
       {"post_processor", std::move(post_processor)},
       {"decoder", byte_level(true)},
       {"model",
        object(
            {{"type", text("BPE")},
             {"dropout", null},
             {"unk_token", null},
             {"continuing_subword_prefix", null},
             {"end_of_word_suffix", null},
             {"fuse_unk", flag(false)},
             {"byte_fallback", flag(false)},
             {"ignore_merges", flag(is_llama3)},
             {"vocab", JsonValue(JsonValue::Variant(std::move(vocabulary)))},
             {"merges", array(std::move(merge_values))}})}});

  std::vector<std::pair<std::string, JsonValue>> settings{
      {"tokenizer_class", text("PreTrainedTokenizerFast")}};
  constexpr std::pair<const char*, const char*> kSpecial[] = {
      {"bos", "bos_token"},
      {"eos", "eos_token"},
      {"unknown", "unk_token"},
      {"padding", "pad_token"}};
  for (const auto& [key, name] : kSpecial) {
    if (const auto id = special_id(file, key, tokens.size())) {
      settings.emplace_back(name, text(tokens[static_cast<std::size_t>(*id)]));
    }
  }
  settings.emplace_back("add_prefix_space", flag(false));
  settings.emplace_back("clean_up_tokenization_spaces", flag(false));
  if (const auto* chat = file.find<std::string>("tokenizer.chat_template")) {
    settings.emplace_back("chat_template", text(*chat));
  }
  return {
      {"tokenizer.json", json_text(tokenizer, 0) + "\n"},
      {"tokenizer_config.json", json_text(object(std::move(settings))) + "\n"}};
}

} // namespace fcc
