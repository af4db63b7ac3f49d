#include <algorithm>
#include <array>
#include <fstream>
#include <system_error>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "fcc/text/tokenizer.h"
#include "text/bytes_tokenizer.h"
#include "text/token_settings.h"
#include "text/tokenizer_loaders.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSavedName = "fcc_tokenizer.json";

struct KindName {
  TokenizerKind kind;
  std::string_view name; ///< `Tokenizer::kind()`
  std::string_view file; ///< usual name in a model directory
};

constexpr std::array<KindName, 5> kKinds = {{
    {TokenizerKind::kHuggingFace, "huggingface", "tokenizer.json"},
    {TokenizerKind::kSentencePiece, "sentencepiece", "tokenizer.model"},
    {TokenizerKind::kTiktoken, "tiktoken", "tokenizer.model"},
    {TokenizerKind::kWords, "words", "vocabulary.txt"},
    {TokenizerKind::kBytes, "bytes", ""},
}};

const KindName& entry_of(TokenizerKind kind) {
  for (const KindName& entry : kKinds) {
    if (entry.kind == kind) {
      return entry;
    }
  }
  throw Error("tokenizer", "a kind must be known");
}

/// What `fcc_tokenizer.json` holds.
struct Saved {
  TokenizerKind kind = TokenizerKind::kBytes;
  bool add_bos = false;
  bool add_eos = true;
  std::string hash;
};

template <typename T>
const T& member(const JsonValue& object, std::string_view key, const fs::path& file) {
  const JsonValue* value = object.find(key);
  const T* typed = value == nullptr ? nullptr : value->as<T>();
  if (typed == nullptr) {
    throw FormatError(
        file.string(), "needs the key '" + std::string(key) + "' with the right type");
  }
  return *typed;
}

Saved read_saved(const fs::path& file) {
  const JsonValue root = parse_json_without_duplicates(read_file(file), file.string());
  const auto& kind = member<std::string>(root, "kind", file);
  for (const KindName& entry : kKinds) {
    if (entry.name == kind) {
      return {
          .kind = entry.kind,
          .add_bos = member<bool>(root, "add_bos", file),
          .add_eos = member<bool>(root, "add_eos", file),
          .hash = member<std::string>(root, "hash", file)};
    }
  }
  throw FormatError(
      file.string(), "kind must be huggingface, sentencepiece, tiktoken, words or bytes", kind);
}

/// Whether a file is tiktoken's: its first line is a token in base64, a space and a rank, where
/// SentencePiece's protobuf begins with the bytes of a field header.
bool is_tiktoken(const fs::path& file) {
  constexpr std::size_t kMaxLineBytes = 1024;
  std::string content(kMaxLineBytes, '\0');
  std::ifstream stream(file, std::ios::binary);
  stream.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(stream.gcount()));
  const std::string_view line = std::string_view(content).substr(0, content.find('\n'));
  const std::size_t space = line.find(' ');
  const auto is_base64 = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/' || c == '=';
  };
  const auto is_digit = [](char c) { return (c >= '0' && c <= '9') || c == '\r'; };
  return space != std::string_view::npos && space > 0 && space + 1 < line.size() &&
         std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(space), is_base64) &&
         std::all_of(line.begin() + static_cast<std::ptrdiff_t>(space) + 1, line.end(), is_digit);
}

/// The kind of a tokenizer file whose kind is not given.
TokenizerKind detect(const fs::path& file) {
  if (file.extension() == ".json") {
    return TokenizerKind::kHuggingFace;
  }
  if (file.extension() == ".txt") {
    return TokenizerKind::kWords;
  }
  return is_tiktoken(file) ? TokenizerKind::kTiktoken : TokenizerKind::kSentencePiece;
}

std::shared_ptr<const Tokenizer> load(TokenizerKind kind, const fs::path& file) {
  switch (kind) {
    case TokenizerKind::kHuggingFace:
      return load_huggingface_tokenizer(file);
    case TokenizerKind::kSentencePiece:
      return load_sentencepiece_tokenizer(file);
    case TokenizerKind::kTiktoken:
      return load_tiktoken_tokenizer(file);
    case TokenizerKind::kWords:
      return load_words_tokenizer(file);
    case TokenizerKind::kAuto:
    case TokenizerKind::kBytes:
      break;
  }
  return std::make_shared<BytesTokenizer>();
}

/// Opens what `save_tokenizer` wrote, and checks that it is still the same.
std::shared_ptr<const Tokenizer> load_saved(const fs::path& directory) {
  const Saved saved = read_saved(directory / kSavedName);
  const fs::path file = directory / entry_of(saved.kind).file;
  if (saved.kind != TokenizerKind::kBytes && !fs::is_regular_file(file)) {
    throw ConfigError(
        (directory / kSavedName).string(),
        "the tokenizer's file must lie beside it",
        file.string());
  }
  auto tokenizer = saved.kind == TokenizerKind::kTiktoken
                       ? load_tiktoken_tokenizer(file, WithoutSettings::kLlama3)
                       : load(saved.kind, file);
  if (!tokenizer->has_hash(saved.hash)) {
    throw FormatError(
        file.string(),
        "the tokenizer must be the one that fcc_tokenizer.json was saved with (SHA-256 " +
            saved.hash + ')',
        tokenizer->hash());
  }
  return tokenizer;
}

std::shared_ptr<const Tokenizer> load_directory(TokenizerKind kind, const fs::path& directory) {
  if (kind != TokenizerKind::kAuto) {
    const fs::path file = directory / entry_of(kind).file;
    if (!fs::is_regular_file(file)) {
      throw ConfigError(
          "tokenizer", "a directory must hold the file of its type", file.string() + ", absent");
    }
    const bool is_saved = fs::is_regular_file(directory / kSavedName) &&
                          read_saved(directory / kSavedName).kind == kind;
    return is_saved ? load_saved(directory) : load(kind, file);
  }
  if (fs::is_regular_file(directory / kSavedName)) {
    return load_saved(directory);
  }
  // A SentencePiece model is the original of the tokenizer.json beside it.
  if (fs::is_regular_file(directory / "tokenizer.model") &&
      !is_tiktoken(directory / "tokenizer.model")) {
    return load_sentencepiece_tokenizer(directory / "tokenizer.model");
  }
  for (const char* name : {"tokenizer.json", "tokenizer.model", "vocabulary.txt"}) {
    if (fs::is_regular_file(directory / name)) {
      return load(detect(directory / name), directory / name);
    }
  }
  throw ConfigError(
      "tokenizer",
      "a directory must hold fcc_tokenizer.json, tokenizer.json, tokenizer.model or vocabulary.txt",
      directory.string());
}

} // namespace

std::string read_tokenizer_file(const fs::path& file) {
  constexpr std::uintmax_t kMaxBytes = std::uintmax_t{128} << 20;
  std::error_code error; // without a size, reading tells what is wrong
  const std::uintmax_t size = fs::file_size(file, error);
  if (!error && size > kMaxBytes) {
    throw FormatError(
        file.string(),
        "a tokenizer's file may have at most " + std::to_string(kMaxBytes) + " bytes",
        std::to_string(size));
  }
  return read_file(file);
}

std::shared_ptr<const Tokenizer> make_tokenizer(const TokenizerConfig& config) {
  if (config.type == TokenizerKind::kBytes ||
      (config.type == TokenizerKind::kAuto && !config.path)) {
    return std::make_shared<BytesTokenizer>();
  }
  if (!config.path) {
    throw ConfigError(
        "tokenizer", "a path is needed for the type", std::string(entry_of(config.type).name));
  }
  const fs::path path = *config.path;
  if (fs::is_directory(path)) {
    return load_directory(config.type, path);
  }
  if (!fs::is_regular_file(path)) {
    throw ConfigError("tokenizer", "must be a file or a directory that exists", path.string());
  }
  return load(config.type == TokenizerKind::kAuto ? detect(path) : config.type, path);
}

void save_tokenizer(
    const Tokenizer& tokenizer,
    const TokenizerConfig& config,
    const fs::path& directory) {
  tokenizer.save(directory);
  JsonValue::Object object;
  object.push_back({"kind", {tokenizer.kind()}});
  object.push_back({"add_bos", {config.begins_with_bos()}});
  object.push_back({"add_eos", {config.ends_with_eos()}});
  object.push_back({"hash", {tokenizer.file_hash()}});
  write_file_atomic(directory / kSavedName, json_text({std::move(object)}) + '\n');
  save_token_ids(tokenizer, directory);
}

void save_token_ids(const Tokenizer& tokenizer, const fs::path& directory) {
  write_token_ids(directory, tokenizer.bos_id(), tokenizer.end_ids());
}

std::int32_t required_eos(const Tokenizer& tokenizer, const std::string& where) {
  if (const auto eos = tokenizer.eos_id()) {
    return *eos;
  }
  const std::string kind = tokenizer.kind();
  const std::string cure =
      kind == "words" ? "add the line </s> to vocabulary.txt"
      : kind == "tiktoken"
          ? "name it as \"eos_token\" in tiktoken.json"
          : "name it as \"eos_token\" in tokenizer_config.json beside the tokenizer";
  throw ConfigError(
      where,
      "add_eos needs a tokenizer that says which token ends a text (EOS)",
      "a " + kind + " tokenizer without",
      cure + ", or let texts end without (--no-eos, add_eos: false)");
}

std::optional<TokenizerConfig> saved_tokenizer_config(const fs::path& directory) {
  if (!fs::is_regular_file(directory / kSavedName)) {
    return std::nullopt;
  }
  const Saved saved = read_saved(directory / kSavedName);
  TokenizerConfig config;
  config.type = saved.kind;
  if (saved.kind != TokenizerKind::kBytes) {
    config.path = directory.string();
  }
  config.add_bos = saved.add_bos;
  config.add_eos = saved.add_eos;
  return config;
}

TokenizerConfig with_saved_policy(TokenizerConfig config) {
  const auto saved = config.path ? saved_tokenizer_config(*config.path) : std::nullopt;
  if (saved && (config.type == TokenizerKind::kAuto || config.type == saved->type)) {
    config.type = saved->type;
    config.path = saved->path;
    config.add_bos = config.add_bos.value_or(*saved->add_bos);
    config.add_eos = config.add_eos.value_or(*saved->add_eos);
  }
  config.add_bos = config.begins_with_bos();
  config.add_eos = config.ends_with_eos();
  return config;
}

} // namespace fcc
