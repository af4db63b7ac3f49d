#include "text/token_settings.h"

#include <algorithm>
#include <array>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "text/tokenizer_loaders.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";
constexpr const char* kGeneration = "generation_config.json";

/// What belongs to a tokenizer beside the file that is read here, and how to generate.
constexpr std::array<const char*, 10> kCompanions = {
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer.model",
    kGeneration};

std::optional<JsonValue> read_object(const fs::path& file) {
  if (!fs::is_regular_file(file)) {
    return std::nullopt;
  }
  JsonValue root = parse_json_without_duplicates(read_tokenizer_file(file), file.string());
  if (root.as<JsonValue::Object>() == nullptr) {
    throw FormatError(file.string(), "must be a JSON object");
  }
  return root;
}

/// The token's text under `key`: a string, or an object with `content`. Null: not said.
const std::string* name_of(const JsonValue& root, const char* key) {
  const JsonValue* value = root.find(key);
  const JsonValue* content = value == nullptr ? nullptr : value->find("content");
  const auto* name =
      value == nullptr ? nullptr : (content == nullptr ? value : content)->as<std::string>();
  return name == nullptr || name->empty() ? nullptr : name;
}

/// The ids under `key`: a number or a list of them; those outside the vocabulary are the model's
/// affair.
std::vector<std::int32_t> ids_of(const JsonValue& root, const char* key, std::int64_t vocab_size) {
  std::vector<std::int32_t> ids;
  const auto add = [&](const JsonValue& value) {
    const auto* id = value.as<std::int64_t>();
    if (id != nullptr && *id >= 0 && *id < vocab_size) {
      ids.push_back(static_cast<std::int32_t>(*id));
    }
  };
  if (const JsonValue* value = root.find(key)) {
    if (const auto* list = value->as<JsonValue::Array>()) {
      std::for_each(list->begin(), list->end(), add);
    } else {
      add(*value);
    }
  }
  return ids;
}

void set_member(JsonValue& object, const char* key, const JsonValue& value) {
  if (JsonValue* member = object.find(key)) {
    *member = value;
  } else {
    object.as<JsonValue::Object>()->emplace_back(key, value);
  }
}

JsonValue number(std::int64_t value) {
  return JsonValue(JsonValue::Variant(value));
}

} // namespace

TokenSettings read_token_settings(const fs::path& directory, const KnownTokens& known) {
  TokenSettings settings;
  bool no_bos = false, null_eos = false;
  if (known.own_goes_first) {
    settings.bos = known.bos;
    settings.eos = known.eos;
  }
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    const fs::path file = directory / name;
    const auto root = read_object(file);
    if (!root) {
      continue;
    }
    if (!settings.bos && !no_bos) {
      const std::string* bos = name_of(*root, "bos_token");
      settings.bos = bos == nullptr ? std::nullopt : known.find(*bos);
      no_bos = !settings.bos && root->find("bos_token") != nullptr;
    }
    if (settings.eos) {
      continue;
    }
    if (const std::string* eos = name_of(*root, "eos_token")) {
      settings.eos = known.find(*eos);
      if (!settings.eos) {
        throw FormatError(
            file.string() + ", eos_token",
            "must be a token of the vocabulary",
            *eos,
            "name the token that ends a text");
      }
    }
    null_eos |= !settings.eos && root->find("eos_token") != nullptr;
  }
  if (!no_bos) {
    settings.bos = settings.bos ? settings.bos : known.bos;
  }
  settings.eos = settings.eos ? settings.eos : known.eos;
  for (const char* name : {kGeneration, kConfig}) {
    if (const auto root = read_object(directory / name)) {
      const auto begins = ids_of(*root, "bos_token_id", known.vocab_size);
      if (!settings.bos && !no_bos && !begins.empty()) {
        settings.bos = begins.front();
      }
      if (settings.ends.empty()) {
        settings.ends = ids_of(*root, "eos_token_id", known.vocab_size);
      }
    }
  }
  if (!settings.eos && !settings.ends.empty()) {
    settings.eos = settings.ends.front();
  }
  settings.may_guess_bos = !settings.bos && !no_bos;
  settings.may_guess_eos = !settings.eos && !null_eos;
  for (const char* name : kCompanions) {
    if (name != known.own_file && fs::is_regular_file(directory / name)) {
      settings.files.emplace_back(name, read_tokenizer_file(directory / name));
    }
  }
  return settings;
}

std::vector<std::int32_t> joined_ends(
    std::optional<std::int32_t> eos,
    const std::vector<std::int32_t>& ends) {
  std::vector<std::int32_t> joined;
  const auto add = [&](std::int32_t id) {
    if (std::find(joined.begin(), joined.end(), id) == joined.end()) {
      joined.push_back(id);
    }
  };
  if (eos) {
    add(*eos);
  }
  std::for_each(ends.begin(), ends.end(), add);
  return joined;
}

void write_token_ids(
    const fs::path& directory,
    std::optional<std::int32_t> bos,
    const std::vector<std::int32_t>& ends) {
  auto config = read_object(directory / kConfig);
  if (!config) {
    return; // a tokenizer alone generates nothing
  }
  JsonValue end;
  if (ends.size() == 1) {
    end = number(ends.front());
  } else if (!ends.empty()) {
    JsonValue::Array list;
    std::transform(ends.begin(), ends.end(), std::back_inserter(list), number);
    end = JsonValue(JsonValue::Variant(std::move(list)));
  }
  const JsonValue begin = bos ? number(*bos) : JsonValue();
  auto generation = read_object(directory / kGeneration);
  if (!generation) {
    generation.emplace(JsonValue::Variant(JsonValue::Object()));
  }
  for (JsonValue* root : {&*config, &*generation}) {
    // Null where there is none: transformers' Llama would take ids 1 and 2.
    set_member(*root, "bos_token_id", begin);
    set_member(*root, "eos_token_id", end);
  }
  write_file_atomic(directory / kConfig, json_text(*config) + '\n');
  write_file_atomic(directory / kGeneration, json_text(*generation) + '\n');
}

} // namespace fcc
