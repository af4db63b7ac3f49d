// The tokens and merges of a tokenizer.json.

#include <limits>
#include <string>
#include <unordered_set>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/tokenizer_json_parts.h"

namespace fcc {
namespace {

/// What `model` says beside its tokens and merges.
void read_model_settings(const TokenizerJsonFile& file, const JsonValue& model, BpeSpec& spec) {
  const JsonValue* type = TokenizerJsonFile::optional(model, "type");
  if (type != nullptr && file.as<std::string>(*type, "model.type", "a string") != "BPE") {
    file.refuse("model.type", "must be BPE", file.as<std::string>(*type, "model.type", "a string"));
  }
  file.allow_keys(
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
    if (TokenizerJsonFile::optional(model, key) != nullptr &&
        !file.text(model, "model", key).empty()) {
      file.refuse(std::string("model.") + key, "is not supported", file.text(model, "model", key));
    }
  }
  if (TokenizerJsonFile::optional(model, "dropout") != nullptr) {
    file.refuse("model.dropout", "must be null: ids would be random");
  }
  if (file.flag(model, "model", "byte_fallback", false)) {
    file.refuse(
        "model.byte_fallback",
        "must be false (only byte-level BPE is read from tokenizer.json)",
        "true",
        "a SentencePiece model has its tokenizer.model");
  }
  spec.ignore_merges = file.flag(model, "model", "ignore_merges", false);
  spec.bytes.fuse_unknown = file.flag(model, "model", "fuse_unk", false);
}

void read_tokens(
    const TokenizerJsonFile& file,
    const JsonValue::Object& vocabulary,
    std::size_t num_added,
    TokenNames& names,
    BpeSpec& spec) {
  const std::size_t limit = vocabulary.size() + num_added;
  if (limit >= static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    file.refuse("model.vocab", "has too many tokens", std::to_string(limit));
  }
  spec.tokens.resize(limit);
  spec.whole.resize(limit);
  names.taken.resize(limit);
  names.ids.reserve(limit);
  for (const JsonMember& entry : vocabulary) {
    const auto id = file.as<std::int64_t>(entry.value, "model.vocab", "whole numbers");
    if (id < 0 || static_cast<std::size_t>(id) >= limit) {
      file.refuse(
          "model.vocab",
          "ids must be 0, 1, 2, … without holes: below " + std::to_string(limit),
          std::to_string(id));
    }
    const auto index = static_cast<std::size_t>(id);
    if (names.taken[index]) {
      file.refuse("model.vocab", "an id must not come twice", std::to_string(id));
    }
    names.taken[index] = true;
    names.ids.emplace(entry.key, static_cast<std::int32_t>(id));
    const auto bytes = bytes_of_alphabet(entry.key);
    spec.whole[index] = bytes.has_value() && !bytes->empty();
    spec.tokens[index] = bytes.value_or(entry.key);
  }
}

/// "a b", or ["a", "b"] as newer files have it.
std::pair<std::string_view, std::string_view>
merge_parts(const TokenizerJsonFile& file, const JsonValue& merge, const std::string& path) {
  if (const auto* line = merge.as<std::string>()) {
    const std::size_t space = line->find(' ');
    if (space == std::string::npos || line->find(' ', space + 1) != std::string::npos) {
      file.refuse(path, "must be two tokens with a space between them", *line);
    }
    return {std::string_view(*line).substr(0, space), std::string_view(*line).substr(space + 1)};
  }
  const auto& parts = file.as<JsonValue::Array>(merge, path, "a string or an array");
  if (parts.size() != 2) {
    file.refuse(path, "must be two tokens", std::to_string(parts.size()));
  }
  return {
      file.as<std::string>(parts[0], path, "two strings"),
      file.as<std::string>(parts[1], path, "two strings")};
}

void read_merges(
    const TokenizerJsonFile& file,
    const JsonValue::Array& merges,
    const TokenNames& names,
    BpeSpec& spec) {
  spec.merges.reserve(merges.size());
  std::unordered_set<std::uint64_t> pairs;
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string path = "model.merges." + std::to_string(i);
    const auto [left, right] = merge_parts(file, merges[i], path);
    const auto token = [&](std::string_view name) {
      const auto id = names.find(name);
      if (name.empty() || !id) {
        file.refuse(path, "names a token that is not in the vocabulary", std::string(name));
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
      file.refuse(
          path, "a merge must not come twice", std::string(left) + ' ' + std::string(right));
    }
  }
}

void read_added_tokens(
    const TokenizerJsonFile& file,
    const JsonValue::Array& added,
    TokenNames& names,
    BpeSpec& spec) {
  std::size_t num_tokens = names.ids.size();
  std::vector<bool> added_ids(spec.tokens.size());
  for (std::size_t i = 0; i < added.size(); ++i) {
    const std::string path = "added_tokens." + std::to_string(i);
    const JsonValue& value = added[i];
    file.allow_keys(
        value, path, {"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"});
    AddedToken token;
    token.content = file.text(value, path, "content");
    const auto id = file.member<std::int64_t>(value, path, "id", "a whole number");
    token.special = file.flag(value, path, "special", false);
    token.lstrip = file.flag(value, path, "lstrip", false);
    token.rstrip = file.flag(value, path, "rstrip", false);
    token.normalized = file.flag(value, path, "normalized", !token.special);
    if (token.content.empty()) {
      file.refuse(path, "must not be empty");
    }
    if (token.content.size() > AddedTokenFinder::kMaxTokenBytes) {
      file.refuse(
          path,
          "must have at most " + std::to_string(AddedTokenFinder::kMaxTokenBytes) + " bytes",
          std::to_string(token.content.size()));
    }
    if (file.flag(value, path, "single_word", false)) {
      file.refuse(path + ".single_word", "must be false", token.content);
    }
    if (id < 0 || static_cast<std::size_t>(id) >= spec.tokens.size()) {
      file.refuse(
          path + ".id",
          "ids must be 0, 1, 2, … without holes: below " + std::to_string(spec.tokens.size()),
          std::to_string(id));
    }
    token.id = static_cast<std::int32_t>(id);
    const auto index = static_cast<std::size_t>(id);
    if (added_ids[index]) {
      file.refuse(path, "an added token must not come twice", token.content);
    }
    added_ids[index] = true;
    const auto known = names.find(token.content);
    if (known.has_value() ? *known != token.id : names.taken[index]) {
      file.refuse(path + ".id", "must not be that of another token", std::to_string(id));
    }
    if (!known) {
      names.taken[index] = true;
      spec.tokens[index] = token.content; // its text, not bytes of the alphabet
      names.ids.emplace(file.text(value, path, "content"), token.id);
      ++num_tokens;
    }
    spec.added_tokens.push_back(std::move(token));
  }
  for (std::size_t id = 0; id < num_tokens; ++id) {
    if (!names.taken[id]) {
      file.refuse(
          "model.vocab", "ids must be 0, 1, 2, … without holes", std::to_string(id) + " absent");
    }
  }
  spec.tokens.resize(num_tokens);
  spec.whole.resize(num_tokens);
}

} // namespace

TokenNames read_vocabulary(const TokenizerJsonFile& file, const JsonValue& root, BpeSpec& spec) {
  const JsonValue* model = TokenizerJsonFile::optional(root, "model");
  if (model == nullptr) {
    file.refuse("the file", "needs the key 'model'");
  }
  static const JsonValue::Array kNone;
  const JsonValue* added = TokenizerJsonFile::optional(root, "added_tokens");
  const auto& added_tokens =
      added == nullptr ? kNone : file.as<JsonValue::Array>(*added, "added_tokens", "an array");
  read_model_settings(file, *model, spec);
  TokenNames names;
  read_tokens(
      file,
      file.member<JsonValue::Object>(*model, "model", "vocab", "an object"),
      added_tokens.size(),
      names,
      spec);
  read_merges(
      file, file.member<JsonValue::Array>(*model, "model", "merges", "an array"), names, spec);
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::string character = alphabet_of_bytes(std::string(1, static_cast<char>(byte)));
    spec.bytes.ids[byte] = names.find(character).value_or(-1);
  }
  if (TokenizerJsonFile::optional(*model, "unk_token") != nullptr) {
    const std::string& name = file.text(*model, "model", "unk_token");
    const auto unknown = names.find(name);
    if (!unknown) {
      file.refuse("model.unk_token", "must be in the vocabulary", name);
    }
    spec.bytes.unknown = *unknown;
  }
  read_added_tokens(file, added_tokens, names, spec);
  return names;
}

} // namespace fcc
