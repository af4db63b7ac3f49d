// Reads Hugging Face's tokenizer.json, as far as byte-level BPE goes: what is not supported is
// refused by name, so that no id is ever wrong in silence.

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "text/bpe_tokenizer.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_loaders.h"

namespace fcc {
namespace {

/// GPT-2's pattern, which `ByteLevel` applies by itself (openai/gpt-2, encoder.py).
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What `Digits` takes for a digit: Rust's `char::is_numeric`, Unicode 17 in tokenizers 0.23.
constexpr std::string_view kDigit = R"([\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}])";

class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : file_(file.string()) {}

  BpeSpec read(const JsonValue& root);
  void read_token_names(const JsonValue& root, BpeSpec& spec) const;
  void guess_token_names(BpeSpec& spec) const;

 private:
  [[noreturn]] void refuse(
      const std::string& path,
      const std::string& rule,
      const std::string& value = {},
      const std::string& hint = {}) const {
    throw FormatError(file_ + ", " + path, rule, value, hint);
  }

  /// The member, or null if it is absent or JSON's null.
  static const JsonValue* optional(const JsonValue& object, std::string_view key) {
    const JsonValue* value = object.find(key);
    return value == nullptr || value->is_null() ? nullptr : value;
  }

  template <typename T>
  const T& as(const JsonValue& value, const std::string& path, const char* type) const {
    const T* typed = value.as<T>();
    if (typed == nullptr) {
      refuse(path, std::string("must be ") + type, std::string(json_type_name(value)));
    }
    return *typed;
  }

  template <typename T>
  const T& member(
      const JsonValue& object,
      const std::string& path,
      const char* key,
      const char* type) const {
    const JsonValue* value = object.find(key);
    if (value == nullptr) {
      refuse(path, std::string("needs the key '") + key + "'");
    }
    return as<T>(*value, path + "." + key, type);
  }

  const std::string& text(const JsonValue& object, const std::string& path, const char* key) const {
    return member<std::string>(object, path, key, "a string");
  }

  bool flag(const JsonValue& object, const std::string& path, const char* key, bool absent) const {
    const JsonValue* value = optional(object, key);
    return value == nullptr ? absent : as<bool>(*value, path + "." + key, "true or false");
  }

  /// Keys that nobody reads might change the ids.
  void allow_keys(
      const JsonValue& object,
      const std::string& path,
      std::initializer_list<std::string_view> keys) const {
    for (const JsonMember& entry : as<JsonValue::Object>(object, path, "an object")) {
      if (std::find(keys.begin(), keys.end(), entry.key) == keys.end()) {
        refuse(path, "has a key that is not supported", entry.key);
      }
    }
  }

  void read_normalizer(const JsonValue& value, const std::string& path) const;
  void read_pre_tokenizer(const JsonValue& value, const std::string& path, BpeSpec& spec);
  void read_split(const JsonValue& value, const std::string& path, BpeSpec& spec) const;
  void read_model(const JsonValue& model, const JsonValue::Array& added, BpeSpec& spec);
  void read_vocabulary(const JsonValue::Object& vocabulary, std::size_t num_added, BpeSpec& spec);
  void read_merges(const JsonValue::Array& merges, BpeSpec& spec) const;
  std::pair<std::string_view, std::string_view> merge_parts(
      const JsonValue& merge,
      const std::string& path) const;
  void read_added_tokens(const JsonValue::Array& added, BpeSpec& spec);
  void read_post_processor(const JsonValue& value, const std::string& path, BpeSpec& spec) const;

  std::optional<std::int32_t> find(std::string_view token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  std::string file_;
  std::unordered_map<std::string_view, std::int32_t> ids_; ///< by the token as it is in the file
  std::vector<bool> taken_;                                ///< by id
  bool byte_level_ = false;
};

BpeSpec Reader::read(const JsonValue& root) {
  BpeSpec spec;
  spec.kind = "huggingface";
  spec.source = file_;
  allow_keys(
      root,
      "the file",
      {"version",
       "truncation",
       "padding",
       "added_tokens",
       "normalizer",
       "pre_tokenizer",
       "post_processor",
       "decoder",
       "model"});
  const JsonValue* model = optional(root, "model");
  if (model == nullptr) {
    refuse("the file", "needs the key 'model'");
  }
  static const JsonValue::Array kNone;
  const JsonValue* added = optional(root, "added_tokens");
  const auto& added_tokens =
      added == nullptr ? kNone : as<JsonValue::Array>(*added, "added_tokens", "an array");
  read_model(*model, added_tokens, spec);
  if (const JsonValue* normalizer = optional(root, "normalizer")) {
    read_normalizer(*normalizer, "normalizer");
  }
  if (const JsonValue* pre_tokenizer = optional(root, "pre_tokenizer")) {
    read_pre_tokenizer(*pre_tokenizer, "pre_tokenizer", spec);
  }
  if (!byte_level_) {
    refuse(
        "pre_tokenizer",
        "must end with ByteLevel (only byte-level BPE is read from tokenizer.json)",
        {},
        "a SentencePiece model has its tokenizer.model");
  }
  const JsonValue* decoder = optional(root, "decoder");
  if (decoder != nullptr && text(*decoder, "decoder", "type") != "ByteLevel") {
    refuse("decoder", "must be ByteLevel", text(*decoder, "decoder", "type"));
  }
  if (const JsonValue* post_processor = optional(root, "post_processor")) {
    read_post_processor(*post_processor, "post_processor", spec);
  }
  return spec;
}

void Reader::read_normalizer(const JsonValue& value, const std::string& path) const {
  const std::string& type = text(value, path, "type");
  if (type != "Sequence") {
    refuse(path, "no normalizer is supported", type);
  }
  for (const JsonValue& part : member<JsonValue::Array>(value, path, "normalizers", "an array")) {
    read_normalizer(part, path + ".normalizers");
  }
}

void Reader::read_pre_tokenizer(const JsonValue& value, const std::string& path, BpeSpec& spec) {
  const std::string& type = text(value, path, "type");
  if (byte_level_) {
    refuse(path, "nothing may follow ByteLevel", type);
  }
  if (type == "Sequence") {
    allow_keys(value, path, {"type", "pretokenizers"});
    const auto& parts = member<JsonValue::Array>(value, path, "pretokenizers", "an array");
    for (std::size_t i = 0; i < parts.size(); ++i) {
      read_pre_tokenizer(parts[i], path + ".pretokenizers." + std::to_string(i), spec);
    }
  } else if (type == "ByteLevel") {
    allow_keys(value, path, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    SplitStep step;
    step.add_prefix_space = flag(value, path, "add_prefix_space", true);
    if (flag(value, path, "use_regex", true)) {
      step.pattern = kGpt2Pattern;
    }
    if (step.pattern || step.add_prefix_space) {
      spec.steps.push_back(step);
    }
    byte_level_ = true;
  } else if (type == "Digits") {
    allow_keys(value, path, {"type", "individual_digits"});
    const bool single = flag(value, path, "individual_digits", false);
    spec.steps.push_back({.pattern = std::string(kDigit) + (single ? "" : "+")});
  } else if (type == "Split") {
    read_split(value, path, spec);
  } else {
    refuse(path, "must be Sequence, Split, Digits or ByteLevel", type);
  }
}

void Reader::read_split(const JsonValue& value, const std::string& path, BpeSpec& spec) const {
  allow_keys(value, path, {"type", "pattern", "behavior", "invert"});
  if (text(value, path, "behavior") != "Isolated" || flag(value, path, "invert", false)) {
    refuse(
        path,
        "must have the behavior Isolated and invert false",
        text(value, path, "behavior") +
            (flag(value, path, "invert", false) ? " with invert true" : ""));
  }
  const JsonValue* pattern = optional(value, "pattern");
  if (pattern == nullptr) {
    refuse(path, "needs the key 'pattern'");
  }
  allow_keys(*pattern, path + ".pattern", {"Regex", "String"});
  if (pattern->find("Regex") != nullptr) {
    spec.steps.push_back({.pattern = text(*pattern, path + ".pattern", "Regex")});
    return;
  }
  std::string literal;
  for (const char c : text(*pattern, path + ".pattern", "String")) {
    const bool mark = c > ' ' && c < 0x7F && !std::isalnum(static_cast<unsigned char>(c));
    literal += mark ? std::string("\\") + c : std::string(1, c);
  }
  if (literal.empty()) {
    refuse(path + ".pattern", "must not be empty");
  }
  spec.steps.push_back({.pattern = literal});
}

void Reader::read_model(const JsonValue& model, const JsonValue::Array& added, BpeSpec& spec) {
  const JsonValue* type = optional(model, "type");
  if (type != nullptr && as<std::string>(*type, "model.type", "a string") != "BPE") {
    refuse("model.type", "must be BPE", as<std::string>(*type, "model.type", "a string"));
  }
  allow_keys(
      model,
      "model",
      {"type",
       "dropout",
       "unk_token",
       "continuing_subword_prefix",
       "end_of_word_suffix",
       "fuse_unk",
       "byte_fallback",
       "ignore_merges",
       "vocab",
       "merges"});
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (optional(model, key) != nullptr && !text(model, "model", key).empty()) {
      refuse(std::string("model.") + key, "is not supported", text(model, "model", key));
    }
  }
  if (optional(model, "dropout") != nullptr) {
    refuse("model.dropout", "must be null: ids would be random");
  }
  if (flag(model, "model", "byte_fallback", false)) {
    refuse(
        "model.byte_fallback",
        "must be false (only byte-level BPE is read from tokenizer.json)",
        "true",
        "a SentencePiece model has its tokenizer.model");
  }
  spec.ignore_merges = flag(model, "model", "ignore_merges", false);
  spec.bytes.fuse_unknown = flag(model, "model", "fuse_unk", false);

  read_vocabulary(
      member<JsonValue::Object>(model, "model", "vocab", "an object"), added.size(), spec);
  read_merges(member<JsonValue::Array>(model, "model", "merges", "an array"), spec);
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::string character = alphabet_of_bytes(std::string(1, static_cast<char>(byte)));
    spec.bytes.ids[byte] = find(character).value_or(-1);
  }
  if (optional(model, "unk_token") != nullptr) {
    const auto unknown = find(text(model, "model", "unk_token"));
    if (!unknown) {
      refuse("model.unk_token", "must be in the vocabulary", text(model, "model", "unk_token"));
    }
    spec.bytes.unknown = *unknown;
  }
  read_added_tokens(added, spec);
}

void Reader::read_vocabulary(
    const JsonValue::Object& vocabulary,
    std::size_t num_added,
    BpeSpec& spec) {
  const std::size_t limit = vocabulary.size() + num_added;
  if (limit >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    refuse("model.vocab", "has too many tokens", std::to_string(limit));
  }
  spec.tokens.resize(limit);
  spec.whole.resize(limit);
  taken_.resize(limit);
  ids_.reserve(limit);
  for (const JsonMember& entry : vocabulary) {
    const auto id = as<std::int64_t>(entry.value, "model.vocab", "whole numbers");
    if (id < 0 || static_cast<std::size_t>(id) >= limit) {
      refuse(
          "model.vocab",
          "ids must be 0, 1, 2, … without holes: below " + std::to_string(limit),
          std::to_string(id));
    }
    const auto index = static_cast<std::size_t>(id);
    if (taken_[index]) {
      refuse("model.vocab", "an id must not come twice", std::to_string(id));
    }
    taken_[index] = true;
    ids_.emplace(entry.key, static_cast<std::int32_t>(id));
    const auto bytes = bytes_of_alphabet(entry.key);
    spec.whole[index] = bytes.has_value() && !bytes->empty();
    spec.tokens[index] = bytes.value_or(entry.key);
  }
}

/// "a b", or ["a", "b"] as newer files have it.
std::pair<std::string_view, std::string_view> Reader::merge_parts(
    const JsonValue& merge,
    const std::string& path) const {
  if (const auto* line = merge.as<std::string>()) {
    const std::size_t space = line->find(' ');
    if (space == std::string::npos || line->find(' ', space + 1) != std::string::npos) {
      refuse(path, "must be two tokens with a space between them", *line);
    }
    return {std::string_view(*line).substr(0, space), std::string_view(*line).substr(space + 1)};
  }
  const auto& parts = as<JsonValue::Array>(merge, path, "a string or an array");
  if (parts.size() != 2) {
    refuse(path, "must be two tokens", std::to_string(parts.size()));
  }
  return {
      as<std::string>(parts[0], path, "two strings"),
      as<std::string>(parts[1], path, "two strings")};
}

void Reader::read_merges(const JsonValue::Array& merges, BpeSpec& spec) const {
  spec.merges.reserve(merges.size());
  std::unordered_set<std::uint64_t> pairs;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string path = "model.merges." + std::to_string(i);
    const auto [left, right] = merge_parts(merges[i], path);
    const auto token = [&](std::string_view name) {
      const auto id = find(name);
      if (name.empty() || !id) {
        refuse(path, "names a token that is not in the vocabulary", std::string(name));
      }
      return *id;
    };
    spec.merges.push_back(
        {.left = token(left),
         .right = token(right),
         .result = token(std::string(left) + std::string(right)),
         .rank = static_cast<std::uint32_t>(i)});
    const BpeMerge& merge = spec.merges.back();
    const auto high = static_cast<std::uint64_t>(merge.left) << 32;
    if (!pairs.insert(high | static_cast<std::uint32_t>(merge.right)).second) {
      refuse(path, "a merge must not come twice", std::string(left) + ' ' + std::string(right));
    }
  }
}

void Reader::read_added_tokens(const JsonValue::Array& added, BpeSpec& spec) {
  std::size_t num_tokens = ids_.size();
  std::vector<bool> added_ids(spec.tokens.size());
  for (std::size_t i = 0; i < added.size(); ++i) {
    const std::string path = "added_tokens." + std::to_string(i);
    const JsonValue& value = added[i];
    allow_keys(
        value, path, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken token;
    token.content = text(value, path, "content");
    const auto id = member<std::int64_t>(value, path, "id", "a whole number");
    token.special = flag(value, path, "special", false);
    token.lstrip = flag(value, path, "lstrip", false);
    token.rstrip = flag(value, path, "rstrip", false);
    token.normalized = flag(value, path, "normalized", !token.special);
    if (token.content.empty()) {
      refuse(path, "must not be empty");
    }
    if (flag(value, path, "single_word", false)) {
      refuse(path + ".single_word", "must be false", token.content);
    }
    if (id < 0 || static_cast<std::size_t>(id) >= spec.tokens.size()) {
      refuse(
          path + ".id",
          "ids must be 0, 1, 2, … without holes: below " + std::to_string(spec.tokens.size()),
          std::to_string(id));
    }
    token.id = static_cast<std::int32_t>(id);
    const auto index = static_cast<std::size_t>(id);
    if (added_ids[index]) {
      refuse(path, "an added token must not come twice", token.content);
    }
    added_ids[index] = true;
    const auto known = find(token.content);
    if (known.has_value() ? *known != token.id : taken_[index]) {
      refuse(path + ".id", "must not be that of another token", std::to_string(id));
    }
    if (!known) {
      taken_[index] = true;
      ids_.emplace(text(value, path, "content"), token.id);
      ++num_tokens;
    }
    spec.whole[index] = spec.whole[index] && spec.tokens[index] == token.content;
    spec.tokens[index] = token.content; // its text, not bytes of the alphabet
    spec.added_tokens.push_back(std::move(token));
  }
  for (std::size_t id = 0; id < num_tokens; ++id) {
    if (!taken_[id]) {
      refuse("model.vocab", "ids must be 0, 1, 2, … without holes", std::to_string(id) + " absent");
    }
  }
  spec.tokens.resize(num_tokens);
  spec.whole.resize(num_tokens);
}

/// Only to learn which tokens begin and end a text; nothing is added to ids here.
void Reader::read_post_processor(const JsonValue& value, const std::string& path, BpeSpec& spec)
    const {
  const std::string& type = text(value, path, "type");
  if (type == "Sequence") {
    for (const JsonValue& part : member<JsonValue::Array>(value, path, "processors", "an array")) {
      read_post_processor(part, path + ".processors", spec);
    }
  } else if (type == "TemplateProcessing") {
    bool after_text = false;
    for (const JsonValue& part : member<JsonValue::Array>(value, path, "single", "an array")) {
      if (const JsonValue* special = optional(part, "SpecialToken")) {
        const std::string& name = text(*special, path + ".single", "id");
        (after_text ? spec.eos : spec.bos) = find(name);
      } else {
        after_text = true;
      }
    }
  }
}

/// `bos_token` and `eos_token` of a tokenizer_config.json: a string, or an object with `content`.
void Reader::read_token_names(const JsonValue& root, BpeSpec& spec) const {
  const auto read = [&](const char* key, std::optional<std::int32_t>& id) {
    const JsonValue* value = root.find(key);
    if (value == nullptr) {
      return;
    }
    id = std::nullopt;
    const JsonValue* content = value->find("content");
    const auto* name = (content == nullptr ? value : content)->as<std::string>();
    if (name != nullptr) {
      id = find(*name);
    }
  };
  read("bos_token", spec.bos);
  read("eos_token", spec.eos);
}

/// The names that the families in use give to these tokens, where no file says.
void Reader::guess_token_names(BpeSpec& spec) const {
  const auto guess = [&](std::optional<std::int32_t>& id, auto... names) {
    for (const char* name : {names...}) {
      id = id ? id : find(name);
    }
  };
  guess(spec.bos, "<|begin_of_text|>", "<s>", "<bos>");
  guess(spec.eos, "<|end_of_text|>", "<|endoftext|>", "</s>", "<eos>");
}

} // namespace

std::shared_ptr<const Tokenizer> load_huggingface_tokenizer(const std::filesystem::path& file) {
  std::string content = read_file(file);
  BpeSpec spec;
  {
    const JsonValue root = parse_json_without_duplicates(content, file.string());
    Reader reader(file);
    spec = reader.read(root);
    spec.files.emplace_back("tokenizer.json", std::move(content));
    const auto config_file = file.parent_path() / "tokenizer_config.json";
    if (std::filesystem::is_regular_file(config_file)) {
      std::string config = read_file(config_file);
      reader.read_token_names(parse_json_without_duplicates(config, config_file.string()), spec);
      spec.files.emplace_back("tokenizer_config.json", std::move(config));
    } else {
      reader.guess_token_names(spec);
    }
  }
  return make_bpe_tokenizer(std::move(spec));
}

} // namespace fcc
