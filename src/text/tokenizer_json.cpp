// Reads Hugging Face's tokenizer.json, as far as byte-level BPE goes: what is not supported is
// refused by name, so that no id is ever wrong in silence.

#include "text/tokenizer_json_parts.h"
#include "text/tokenizer_loaders.h"

namespace fcc {
namespace {

/// Only to learn which tokens begin and end a text; nothing is added to ids here.
void read_post_processor(
    const TokenizerJsonFile& file,
    const JsonValue& value,
    const std::string& path,
    const TokenNames& names,
    BpeSpec& spec) {
  const std::string& type = file.text(value, path, "type");
  if (type == "Sequence") {
    for (const JsonValue& part :
         file.member<JsonValue::Array>(value, path, "processors", "an array")) {
      read_post_processor(file, part, path + ".processors", names, spec);
    }
  } else if (type == "TemplateProcessing") {
    bool after_text = false;
    for (const JsonValue& part : file.member<JsonValue::Array>(value, path, "single", "an array")) {
      if (const JsonValue* special = TokenizerJsonFile::optional(part, "SpecialToken")) {
        const std::string& name = file.text(*special, path + ".single", "id");
        (after_text ? spec.eos : spec.bos) = names.find(name);
      } else {
        after_text = true;
      }
    }
  }
}

/// `bos_token` and `eos_token` of a tokenizer_config.json: a string, or an object with `content`.
void read_token_names(const JsonValue& root, const TokenNames& names, BpeSpec& spec) {
  const auto read = [&](const char* key, std::optional<std::int32_t>& id) {
    const JsonValue* value = root.find(key);
    if (value == nullptr) {
      return;
    }
    id = std::nullopt;
    const JsonValue* content = value->find("content");
    const auto* name = (content == nullptr ? value : content)->as<std::string>();
    if (name != nullptr) {
      id = names.find(*name);
    }
  };
  read("bos_token", spec.bos);
  read("eos_token", spec.eos);
}

/// The names that the families in use give to these tokens, where no file says.
void guess_token_names(const TokenNames& names, BpeSpec& spec) {
  const auto guess = [&](std::optional<std::int32_t>& id, auto... candidates) {
    for (const char* name : {candidates...}) {
      id = id ? id : names.find(name);
    }
  };
  guess(spec.bos, "<|begin_of_text|>", "<s>", "<bos>");
  guess(spec.eos, "<|end_of_text|>", "<|endoftext|>", "</s>", "<eos>");
}

} // namespace

std::shared_ptr<const Tokenizer> load_huggingface_tokenizer(const std::filesystem::path& path) {
  const TokenizerJsonFile file(path.string());
  std::string content = read_tokenizer_file(path);
  BpeSpec spec;
  spec.kind = "huggingface";
  spec.source = file.name();
  {
    const JsonValue root = parse_json_without_duplicates(content, file.name());
    file.allow_keys(
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
    const TokenNames names = read_vocabulary(file, root, spec);
    read_splitting(file, root, spec);
    if (const JsonValue* value = TokenizerJsonFile::optional(root, "post_processor")) {
      read_post_processor(file, *value, "post_processor", names, spec);
    }
    spec.files.emplace_back("tokenizer.json", std::move(content));
    const auto config_file = path.parent_path() / "tokenizer_config.json";
    if (std::filesystem::is_regular_file(config_file)) {
      std::string config = read_tokenizer_file(config_file);
      read_token_names(parse_json_without_duplicates(config, config_file.string()), names, spec);
      spec.files.emplace_back("tokenizer_config.json", std::move(config));
    } else {
      guess_token_names(names, spec);
    }
  }
  return make_bpe_tokenizer(std::move(spec));
}

} // namespace fcc
