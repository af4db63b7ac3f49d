// How a tokenizer.json cuts text into pieces.

#include <cctype>

#include "text/tokenizer_json_parts.h"

namespace fcc {
namespace {

/// GPT-2's pattern, which `ByteLevel` applies by itself (openai/gpt-2, encoder.py).
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What `Digits` takes for a digit: Rust's `char::is_numeric`, Unicode 17 in tokenizers 0.23.
constexpr std::string_view kDigit = R"([\p{N}\x{11DE0}-\x{11DE9}\x{16FF4}-\x{16FF6}])";

/// Every step compiles a pattern and cuts what the one before leaves; real files have up to ten.
constexpr std::size_t kMaxSteps = 32;

void read_normalizer(
    const TokenizerJsonFile& file,
    const JsonValue& value,
    const std::string& path) {
  const std::string& type = file.text(value, path, "type");
  if (type != "Sequence") {
    file.refuse(path, "no normalizer is supported", type);
  }
  for (const JsonValue& part :
       file.member<JsonValue::Array>(value, path, "normalizers", "an array")) {
    read_normalizer(file, part, path + ".normalizers");
  }
}

void read_split(
    const TokenizerJsonFile& file,
    const JsonValue& value,
    const std::string& path,
    BpeSpec& spec) {
  file.allow_keys(value, path, {"type", "pattern", "behavior", "invert"});
  if (file.text(value, path, "behavior") != "Isolated" || file.flag(value, path, "invert", false)) {
    file.refuse(
        path,
        "must have the behavior Isolated and invert false",
        file.text(value, path, "behavior") +
            (file.flag(value, path, "invert", false) ? " with invert true" : ""));
  }
  const JsonValue* pattern = TokenizerJsonFile::optional(value, "pattern");
  if (pattern == nullptr) {
    file.refuse(path, "needs the key 'pattern'");
  }
  file.allow_keys(*pattern, path + ".pattern", {"Regex", "String"});
  if (pattern->find("Regex") != nullptr) {
    spec.steps.push_back({.pattern = file.text(*pattern, path + ".pattern", "Regex")});
    return;
  }
  std::string literal;
  for (const char c : file.text(*pattern, path + ".pattern", "String")) {
    const bool mark = c > ' ' && c < 0x7F && !std::isalnum(static_cast<unsigned char>(c));
    literal += mark ? std::string("\\") + c : std::string(1, c);
  }
  if (literal.empty()) {
    file.refuse(path + ".pattern", "must not be empty");
  }
  spec.steps.push_back({.pattern = literal});
}

/// `byte_level` becomes true with the part that must be the last.
void read_pre_tokenizer(
    const TokenizerJsonFile& file,
    const JsonValue& value,
    const std::string& path,
    bool& byte_level,
    BpeSpec& spec) {
  const std::string& type = file.text(value, path, "type");
  if (spec.steps.size() >= kMaxSteps) {
    file.refuse(path, "at most " + std::to_string(kMaxSteps) + " pre-tokenizers may cut a text");
  }
  if (byte_level) {
    file.refuse(path, "nothing may follow ByteLevel", type);
  }
  if (type == "Sequence") {
    file.allow_keys(value, path, {"type", "pretokenizers"});
    const auto& parts = file.member<JsonValue::Array>(value, path, "pretokenizers", "an array");
    for (std::size_t i = 0; i < parts.size(); ++i) {
      read_pre_tokenizer(
          file, parts[i], path + ".pretokenizers." + std::to_string(i), byte_level, spec);
    }
  } else if (type == "ByteLevel") {
    file.allow_keys(value, path, {"type", "add_prefix_space", "trim_offsets", "use_regex"});
    SplitStep step;
    step.add_prefix_space = file.flag(value, path, "add_prefix_space", true);
    if (file.flag(value, path, "use_regex", true)) {
      step.pattern = kGpt2Pattern;
    }
    if (step.pattern || step.add_prefix_space) {
      spec.steps.push_back(step);
    }
    byte_level = true;
  } else if (type == "Digits") {
    file.allow_keys(value, path, {"type", "individual_digits"});
    const bool single = file.flag(value, path, "individual_digits", false);
    spec.steps.push_back({.pattern = std::string(kDigit) + (single ? "" : "+")});
  } else if (type == "Split") {
    read_split(file, value, path, spec);
  } else {
    file.refuse(path, "must be Sequence, Split, Digits or ByteLevel", type);
  }
}

} // namespace

void read_splitting(const TokenizerJsonFile& file, const JsonValue& root, BpeSpec& spec) {
  if (const JsonValue* normalizer = TokenizerJsonFile::optional(root, "normalizer")) {
    read_normalizer(file, *normalizer, "normalizer");
  }
  bool byte_level = false;
  if (const JsonValue* pre_tokenizer = TokenizerJsonFile::optional(root, "pre_tokenizer")) {
    read_pre_tokenizer(file, *pre_tokenizer, "pre_tokenizer", byte_level, spec);
  }
  if (!byte_level) {
    file.refuse(
        "pre_tokenizer",
        "must end with ByteLevel (only byte-level BPE is read from tokenizer.json)",
        {},
        "a SentencePiece model has its tokenizer.model");
  }
  const JsonValue* decoder = TokenizerJsonFile::optional(root, "decoder");
  if (decoder != nullptr && file.text(*decoder, "decoder", "type") != "ByteLevel") {
    file.refuse("decoder", "must be ByteLevel", file.text(*decoder, "decoder", "type"));
  }
}

} // namespace fcc
