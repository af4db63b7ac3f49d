// Reads Hugging Face's tokenizer.json, as far as byte-level BPE goes: what is not supported is
// refused by name, so that no id is ever wrong in silence.

#include <algorithm>
#include <initializer_list>
#include <iterator>

#include "text/token_settings.h"
#include "text/tokenizer_json_parts.h"
#include "text/tokenizer_loaders.h"

namespace fcc {
namespace {

constexpr const char* kFileName = "tokenizer.json";

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

/// The names that the families in use give to these tokens, where no file says: of the added tokens
/// only, for a vocabulary may hold `<s>` as an ordinary piece of text.
std::optional<std::int32_t> guess(
    const BpeSpec& spec,
    std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    for (const AddedToken& token : spec.added_tokens) {
      if (token.content == name) {
        return token.id;
      }
    }
  }
  return std::nullopt;
}

void find_text_marks(
    const std::filesystem::path& directory,
    const TokenNames& names,
    BpeSpec& spec) {
  TokenSettings settings = read_token_settings(
      directory,
      {.find = [&](std::string_view name) { return names.find(name); },
       .vocab_size = static_cast<std::int64_t>(spec.tokens.size()),
       .bos = spec.bos,
       .eos = spec.eos,
       .own_file = kFileName});
  if (settings.may_guess_bos) {
    settings.bos = guess(spec, {"<|begin_of_text|>", "<s>", "<bos>"});
  }
  if (settings.may_guess_eos) {
    settings.eos = guess(spec, {"<|end_of_text|>", "<|endoftext|>", "</s>", "<eos>"});
  }
  spec.bos = settings.bos;
  spec.eos = settings.eos;
  spec.ends = joined_ends(settings.eos, settings.ends);
  std::move(settings.files.begin(), settings.files.end(), std::back_inserter(spec.files));
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
    spec.files.emplace_back(kFileName, std::move(content));
    find_text_marks(path.parent_path(), names, spec);
  }
  return make_bpe_tokenizer(std::move(spec));
}

} // namespace fcc
