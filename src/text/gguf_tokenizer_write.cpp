#include <algorithm>
#include <optional>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "fcc/text/gguf_tokenizer.h"
#include "fcc/text/tokenizer.h"
#include "text/gguf_patterns.h"
#include "text/sentencepiece_model.h"
#include "text/tokenizer_loaders.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using Metadata = std::vector<std::pair<std::string, GgufValue>>;

/// GGUF's types of tokens.
constexpr std::int64_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

const std::string& text_under(const JsonValue& object, const char* key) {
  static const std::string kNone;
  const JsonValue* value = object.find(key);
  const auto* text = value == nullptr ? nullptr : value->as<std::string>();
  return text == nullptr ? kNone : *text;
}

bool flag_under(const JsonValue& object, const char* key, bool otherwise) {
  const JsonValue* value = object.find(key);
  const auto* flag = value == nullptr ? nullptr : value->as<bool>();
  return flag == nullptr ? otherwise : *flag;
}

const JsonValue::Array&
list_under(const JsonValue& object, const char* key, const std::string& where) {
  const JsonValue* value = object.find(key);
  const auto* list = value == nullptr ? nullptr : value->as<JsonValue::Array>();
  if (list == nullptr) {
    throw FormatError(where, std::string("needs a list under `") + key + "`");
  }
  return *list;
}

/// A step of cutting as one word: what llama.cpp's names stand for is compared by these.
std::string step_text(const JsonValue& step) {
  const std::string& type = text_under(step, "type");
  if (type == "ByteLevel" && !flag_under(step, "add_prefix_space", true)) {
    return flag_under(step, "use_regex", true) ? "bytes of words" : "bytes";
  }
  if (type == "Digits" && flag_under(step, "individual_digits", false)) {
    return "digits";
  }
  const JsonValue* pattern = step.find("pattern");
  if (type == "Split" && pattern != nullptr && text_under(*pattern, "Regex") == kLlama3Pattern &&
      text_under(step, "behavior") == "Isolated" && !flag_under(step, "invert", false)) {
    return "llama 3";
  }
  return type.empty() ? "none" : type;
}

std::string pre_tokenizer_name(const JsonValue& root, const std::string& where) {
  const JsonValue* pre = root.find("pre_tokenizer");
  const JsonValue* steps = pre == nullptr ? nullptr : pre->find("pretokenizers");
  std::string cutting;
  if (steps != nullptr && steps->as<JsonValue::Array>() != nullptr) {
    for (const JsonValue& step : *steps->as<JsonValue::Array>()) {
      cutting += (cutting.empty() ? "" : ", ") + step_text(step);
    }
  } else if (pre != nullptr) {
    cutting = step_text(*pre);
  }
  if (cutting == "bytes of words") {
    return "gpt-2";
  }
  if (cutting == "digits, bytes of words") {
    return "smollm";
  }
  if (cutting == "llama 3, bytes") {
    return "llama-bpe";
  }
  throw FormatError(
      where,
      "pre_tokenizer must be one that llama.cpp knows by a name: gpt-2's, SmolLM's or Llama 3's",
      cutting.empty() ? "none" : cutting,
      "--no-tokenizer leaves the tokenizer out");
}

void add_bpe(const fs::path& file, std::int64_t vocab_size, Metadata& metadata) {
  const std::string where = file.string();
  const JsonValue root = parse_json_without_duplicates(read_tokenizer_file(file), where);
  const JsonValue* normalizer = root.find("normalizer");
  const JsonValue* model = root.find("model");
  if (model == nullptr || text_under(*model, "type") != "BPE" ||
      flag_under(*model, "byte_fallback", false) ||
      (normalizer != nullptr && !normalizer->is_null())) {
    throw FormatError(
        where,
        "must be a byte-level BPE without a normalizer for a GGUF file",
        "another one",
        "--no-tokenizer leaves the tokenizer out");
  }
  const std::string pre = pre_tokenizer_name(root, where);
  const auto count = static_cast<std::size_t>(vocab_size);
  std::vector<std::string> tokens(count);
  std::vector<std::int64_t> types(count, kUnused);
  const auto put = [&](const std::string& token, const JsonValue* id, std::int64_t type) {
    const auto* number = id == nullptr ? nullptr : id->as<std::int64_t>();
    if (number == nullptr || *number < 0 || *number >= vocab_size) {
      throw FormatError(where, "every token needs an id in the model's vocabulary", token);
    }
    tokens[static_cast<std::size_t>(*number)] = token;
    types[static_cast<std::size_t>(*number)] = type;
  };
  const JsonValue* vocabulary = model->find("vocab");
  if (vocabulary != nullptr && vocabulary->as<JsonValue::Object>() != nullptr) {
    for (const JsonMember& member : *vocabulary->as<JsonValue::Object>()) {
      put(member.key, &member.value, kNormal);
    }
  }
  for (const JsonValue& added : list_under(root, "added_tokens", where)) {
    put(text_under(added, "content"),
        added.find("id"),
        flag_under(added, "special", false) ? kControl : kUserDefined);
  }
  for (std::size_t id = 0; id < count; ++id) {
    if (types[id] == kUnused) {
      tokens[id] = "[PAD" + std::to_string(id) + "]";
    }
  }
  std::vector<std::string> merges;
  for (const JsonValue& merge : list_under(*model, "merges", where)) {
    if (const auto* text = merge.as<std::string>()) {
      merges.push_back(*text);
    } else if (const auto* pair = merge.as<JsonValue::Array>();
               pair != nullptr && pair->size() == 2) {
      const auto *left = (*pair)[0].as<std::string>(), *right = (*pair)[1].as<std::string>();
      if (left != nullptr && right != nullptr) {
        merges.push_back(*left + " " + *right);
      }
    }
  }
  metadata.emplace_back("tokenizer.ggml.model", std::string("gpt2"));
  metadata.emplace_back("tokenizer.ggml.pre", pre);
  metadata.emplace_back("tokenizer.ggml.tokens", std::move(tokens));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(types));
  metadata.emplace_back("tokenizer.ggml.merges", std::move(merges));
}

void add_sentencepiece(const fs::path& file, std::int64_t vocab_size, Metadata& metadata) {
  const std::string content = read_tokenizer_file(file);
  if (is_unigram_model(content)) {
    throw FormatError(
        file.string(),
        "a SentencePiece model must be of the type BPE for a GGUF file",
        "Unigram",
        "--no-tokenizer leaves the tokenizer out");
  }
  SentencePieceVocabulary vocabulary = read_sentencepiece_vocabulary(content);
  for (std::int64_t id = std::ssize(vocabulary.pieces); id < vocab_size; ++id) {
    vocabulary.pieces.push_back("[PAD" + std::to_string(id) + "]");
    vocabulary.scores.push_back(-1000.0);
    vocabulary.types.push_back(kUnused);
  }
  metadata.emplace_back("tokenizer.ggml.model", std::string("llama"));
  metadata.emplace_back("tokenizer.ggml.pre", std::string("default"));
  metadata.emplace_back("tokenizer.ggml.tokens", std::move(vocabulary.pieces));
  metadata.emplace_back("tokenizer.ggml.scores", std::move(vocabulary.scores));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(vocabulary.types));
  metadata.emplace_back("tokenizer.ggml.add_space_prefix", vocabulary.adds_prefix_space);
}

/// The chat template's text as it stands, which llama.cpp runs itself.
std::optional<std::string> chat_template_text(const fs::path& directory) {
  if (fs::is_regular_file(directory / "chat_template.jinja")) {
    return read_tokenizer_file(directory / "chat_template.jinja");
  }
  const fs::path config = directory / "tokenizer_config.json";
  if (!fs::is_regular_file(config)) {
    return std::nullopt;
  }
  const JsonValue root =
      parse_json_without_duplicates(read_tokenizer_file(config), config.string());
  const std::string& text = text_under(root, "chat_template");
  return text.empty() ? std::nullopt : std::optional(text);
}

} // namespace

std::vector<std::pair<std::string, GgufValue>> gguf_tokenizer_metadata(
    const fs::path& directory,
    std::int64_t vocab_size) {
  const TokenizerConfig config = with_saved_policy({.path = directory.string()});
  const auto tokenizer = make_tokenizer(config);
  if (tokenizer->vocab_size() > vocab_size) {
    throw FormatError(
        directory.string(),
        "the tokenizer must not have more tokens than the model's vocabulary of " +
            std::to_string(vocab_size),
        std::to_string(tokenizer->vocab_size()));
  }
  Metadata metadata;
  if (tokenizer->kind() == "huggingface") {
    add_bpe(directory / "tokenizer.json", vocab_size, metadata);
  } else if (tokenizer->kind() == "sentencepiece") {
    add_sentencepiece(directory / "tokenizer.model", vocab_size, metadata);
  } else {
    throw FormatError(
        directory.string(),
        "llama.cpp has no tokenizer of this kind",
        tokenizer->kind(),
        "--no-tokenizer leaves it out");
  }
  if (const auto bos = tokenizer->bos_id()) {
    metadata.emplace_back("tokenizer.ggml.bos_token_id", std::int64_t{*bos});
  }
  if (const auto eos = tokenizer->eos_id()) {
    metadata.emplace_back("tokenizer.ggml.eos_token_id", std::int64_t{*eos});
  }
  metadata.emplace_back("tokenizer.ggml.add_bos_token", config.begins_with_bos());
  if (auto chat = chat_template_text(directory)) {
    metadata.emplace_back("tokenizer.chat_template", std::move(*chat));
  }
  return metadata;
}

} // namespace fcc
