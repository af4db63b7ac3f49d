// Reads tiktoken's rank files: one token a line, in base64, with its rank, which is its id.

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "text/bpe_tokenizer.h"
#include "text/token_settings.h"
#include "text/token_table.h"
#include "text/tokenizer_loaders.h"

namespace fcc {
namespace {

constexpr const char* kFileName = "tokenizer.model";

/// Beside a rank file that is not Llama-3's: what the rank file leaves out.
constexpr const char* kSettingsName = "tiktoken.json";

/// Llama-3's split pattern (meta-llama/llama3, llama/tokenizer.py).
constexpr const char* kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr int kNumLlama3Specials = 256;
/// SHA-256 of its tokenizer.model (128,000 ranks, of all releases from 3 to 3.3).
constexpr const char* kLlama3Hash =
    "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55";

/// Longer tokens are no words but damage; the bound keeps the reading of all their halves cheap.
constexpr std::size_t kMaxTokenBytes = 512;

/// The value of a base64 digit, or -1.
int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') {
    return c - 'A';
  }
  if (c >= 'a' && c <= 'z') {
    return c - 'a' + 26;
  }
  if (c >= '0' && c <= '9') {
    return c - '0' + 52;
  }
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) {
    return std::nullopt;
  }
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::string bytes;
  unsigned bits = 0;
  int num_bits = 0;
  for (const char c : text.substr(0, text.size() - padding)) {
    const int digit = base64_digit(c);
    if (digit < 0) {
      return std::nullopt;
    }
    bits = (bits << 6 | static_cast<unsigned>(digit)) & 0xFFFFu;
    num_bits += 6;
    if (num_bits >= 8) {
      num_bits -= 8;
      bytes.push_back(static_cast<char>(bits >> num_bits & 0xFFu));
    }
  }
  return bytes;
}

/// Tokens by rank; ranks that special tokens may fill are empty.
std::vector<std::string> read_ranks(std::string_view content, const std::string& source) {
  std::vector<std::string> tokens;
  std::size_t number = 0;
  for (std::size_t i = 0; i < content.size();) {
    const std::size_t end = std::min(content.find('\n', i), content.size());
    std::string_view line = content.substr(i, end - i);
    i = end + 1;
    ++number;
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (line.empty()) {
      continue;
    }
    const std::string where = source + ", line " + std::to_string(number);
    const std::size_t space = line.find(' ');
    auto token = decode_base64(line.substr(0, space));
    std::uint32_t rank = 0;
    const char* last = line.data() + line.size();
    const auto parsed = space == std::string_view::npos
                            ? std::from_chars_result{nullptr, std::errc::invalid_argument}
                            : std::from_chars(line.data() + space + 1, last, rank);
    if (!token || parsed.ec != std::errc() || parsed.ptr != last) {
      throw FormatError(
          where, "must be a token in base64, a space and a rank", std::string(line.substr(0, 60)));
    }
    if (token->size() > kMaxTokenBytes) {
      throw FormatError(
          where,
          "a token must be at most " + std::to_string(kMaxTokenBytes) + " bytes long",
          std::to_string(token->size()));
    }
    // Every token takes a line of at least six bytes: a greater rank leaves holes.
    if (rank > content.size() / 6 + 1) {
      throw FormatError(where, "ranks must be 0, 1, 2, … without holes", std::to_string(rank));
    }
    tokens.resize(std::max<std::size_t>(tokens.size(), rank + std::size_t{1}));
    if (!tokens[rank].empty()) {
      throw FormatError(where, "a rank must not come twice", std::to_string(rank));
    }
    tokens[rank] = std::move(*token);
  }
  return tokens;
}

std::string llama3_special(int index) {
  constexpr std::array<const char*, 11> kNames = {
      "<|begin_of_text|>",
      "<|end_of_text|>",
      "<|reserved_special_token_0|>",
      "<|reserved_special_token_1|>",
      "<|finetune_right_pad_id|>",
      "<|reserved_special_token_2|>",
      "<|start_header_id|>",
      "<|end_header_id|>",
      "<|eom_id|>",
      "<|eot_id|>",
      "<|python_tag|>"};
  const auto place = static_cast<std::size_t>(index);
  return place < kNames.size() ? kNames[place]
                               : "<|reserved_special_token_" + std::to_string(index - 8) + "|>";
}

void add_special(BpeSpec& spec, const std::string& name, std::int64_t id) {
  // A special token may fill a hole between ranks or follow them.
  const auto limit = static_cast<std::int64_t>(spec.tokens.size());
  if (id < 0 || id > limit || (id < limit && !spec.tokens[static_cast<std::size_t>(id)].empty())) {
    throw FormatError(
        spec.source,
        "a special token must have the next free id (" + std::to_string(limit) + ")",
        name + " " + std::to_string(id));
  }
  if (name.empty() || name.size() > AddedTokenFinder::kMaxTokenBytes) {
    throw FormatError(
        spec.source,
        "a special token must have 1 to " + std::to_string(AddedTokenFinder::kMaxTokenBytes) +
            " bytes",
        std::to_string(name.size()) + ", of id " + std::to_string(id));
  }
  spec.tokens.resize(static_cast<std::size_t>(std::max(limit, id + 1)));
  spec.tokens[static_cast<std::size_t>(id)] = name;
  spec.added_tokens.push_back({.content = name, .id = static_cast<std::int32_t>(id)});
}

/// {"pattern": …, "special_tokens": {"<|endoftext|>": 50256}, "bos_token": …, "eos_token": …}
void read_settings(const std::string& content, const std::string& source, BpeSpec& spec) {
  const JsonValue root = parse_json_without_duplicates(content, source);
  const JsonValue* pattern = root.find("pattern");
  if (pattern == nullptr || pattern->as<std::string>() == nullptr) {
    throw FormatError(source, "needs the key 'pattern', a string");
  }
  spec.steps.push_back({.pattern = *pattern->as<std::string>()});
  std::vector<std::pair<std::int64_t, std::string>> specials;
  if (const JsonValue* value = root.find("special_tokens")) {
    const auto* object = value->as<JsonValue::Object>();
    if (object == nullptr) {
      throw FormatError(source, "special_tokens must be an object");
    }
    for (const JsonMember& entry : *object) {
      const auto* id = entry.value.as<std::int64_t>();
      if (id == nullptr) {
        throw FormatError(source, "the id of a special token must be a whole number", entry.key);
      }
      specials.emplace_back(*id, entry.key);
    }
  }
  std::sort(specials.begin(), specials.end());
  for (const auto& [id, name] : specials) {
    add_special(spec, name, id);
  }
  const auto read_name = [&](const char* key, std::optional<std::int32_t>& id) {
    const JsonValue* value = root.find(key);
    if (value == nullptr || value->is_null()) {
      return;
    }
    const auto* name = value->as<std::string>();
    for (const AddedToken& token : spec.added_tokens) {
      if (name != nullptr && token.content == *name) {
        id = token.id;
      }
    }
    if (!id) {
      throw FormatError(source, std::string(key) + " must be one of special_tokens");
    }
  };
  read_name("bos_token", spec.bos);
  read_name("eos_token", spec.eos);
}

/// tiktoken merges the pair of neighbours whose joined bytes are the token of the lowest rank. So
/// every way to cut a token into two tokens is a merge of its rank.
void add_merges(const TokenTable& table, std::size_t num_ranks, BpeSpec& spec) {
  for (std::size_t rank = 0; rank < num_ranks; ++rank) {
    const std::string_view token = table[rank];
    for (std::size_t cut = 1; cut < token.size(); ++cut) {
      const std::int32_t left = table.find(token.substr(0, cut));
      const std::int32_t right = left < 0 ? -1 : table.find(token.substr(cut));
      if (right >= 0) {
        spec.merges.push_back(
            {.left = left,
             .right = right,
             .result = static_cast<std::int32_t>(rank),
             .rank = static_cast<std::uint32_t>(rank)});
      }
    }
  }
}

void find_text_marks(const std::filesystem::path& directory, BpeSpec& spec) {
  const auto find = [&](std::string_view name) -> std::optional<std::int32_t> {
    for (const AddedToken& token : spec.added_tokens) {
      if (token.content == name) {
        return token.id;
      }
    }
    return std::nullopt;
  };
  TokenSettings settings = read_token_settings(
      directory,
      {.find = find,
       .vocab_size = static_cast<std::int64_t>(spec.tokens.size()),
       .bos = spec.bos,
       .eos = spec.eos,
       .own_goes_first = true,
       .own_file = kFileName});
  spec.bos = settings.bos;
  spec.eos = settings.eos;
  spec.ends = joined_ends(settings.eos, settings.ends);
  std::move(settings.files.begin(), settings.files.end(), std::back_inserter(spec.files));
}

} // namespace

std::shared_ptr<const Tokenizer> load_tiktoken_tokenizer(
    const std::filesystem::path& file,
    WithoutSettings without) {
  BpeSpec spec;
  spec.kind = "tiktoken";
  spec.source = file.string();
  std::string content = read_tokenizer_file(file);
  spec.tokens = read_ranks(content, spec.source);
  const bool is_llama3 = without == WithoutSettings::kLlama3 || sha256_hex(content) == kLlama3Hash;
  spec.files.emplace_back(kFileName, std::move(content));
  const std::size_t num_ranks = spec.tokens.size();
  for (const std::string& token : spec.tokens) {
    spec.whole.push_back(!token.empty());
  }
  const TokenTable table(spec.tokens, spec.whole);
  for (std::size_t rank = 0; rank < num_ranks; ++rank) {
    if (spec.whole[rank] && table.find(spec.tokens[rank]) != static_cast<std::int32_t>(rank)) {
      throw FormatError(spec.source, "a token must not come twice", "rank " + std::to_string(rank));
    }
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    spec.bytes.ids[byte] = table.find(std::string(1, static_cast<char>(byte)));
    if (spec.bytes.ids[byte] < 0) {
      throw FormatError(
          spec.source, "every byte must be a token", "byte " + std::to_string(byte) + " absent");
    }
  }
  spec.ignore_merges = true;
  add_merges(table, num_ranks, spec);

  const auto settings_file = file.parent_path() / kSettingsName;
  if (std::filesystem::is_regular_file(settings_file)) {
    std::string settings = read_tokenizer_file(settings_file);
    read_settings(settings, settings_file.string(), spec);
    spec.files.emplace_back(kSettingsName, std::move(settings));
  } else if (!is_llama3) {
    throw FormatError(
        spec.source,
        "a rank file other than Llama-3's needs a tiktoken.json beside it, with its split pattern "
        "and special tokens",
        std::to_string(num_ranks) + " ranks, none beside it",
        "docs/formats.md shows one");
  } else {
    spec.steps.push_back({.pattern = kLlama3Pattern});
    for (int i = 0; i < kNumLlama3Specials; ++i) {
      add_special(spec, llama3_special(i), static_cast<std::int64_t>(num_ranks) + i);
    }
    spec.bos = static_cast<std::int32_t>(num_ranks);
    spec.eos = static_cast<std::int32_t>(num_ranks + 1);
  }
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    if (spec.tokens[id].empty()) {
      throw FormatError(
          spec.source, "ranks must be 0, 1, 2, … without holes", std::to_string(id) + " absent");
    }
  }
  spec.whole.resize(spec.tokens.size());
  find_text_marks(file.parent_path(), spec);
  return make_bpe_tokenizer(std::move(spec));
}

} // namespace fcc
