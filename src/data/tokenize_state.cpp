#include "data/tokenize_state.h"

#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const TokenizeSummary& summary) {
  return {
      {"num_documents", summary.num_documents},
      {"num_bytes", summary.num_bytes},
      {"num_empty", summary.num_empty},
      {"num_duplicates", summary.num_duplicates},
      {"num_too_short", summary.num_too_short},
      {"num_too_long", summary.num_too_long},
      {"num_kept", summary.num_kept},
      {"num_tokens", summary.num_tokens},
      {"histogram", summary.histogram}};
}

TokenizeSummary summary_from(const Json& json) {
  TokenizeSummary summary;
  summary.num_documents = json.at("num_documents");
  summary.num_bytes = json.at("num_bytes");
  summary.num_empty = json.at("num_empty");
  summary.num_duplicates = json.at("num_duplicates");
  summary.num_too_short = json.at("num_too_short");
  summary.num_too_long = json.at("num_too_long");
  summary.num_kept = json.at("num_kept");
  summary.num_tokens = json.at("num_tokens");
  summary.histogram = json.at("histogram");
  return summary;
}

constexpr std::int64_t kMostCounted = std::int64_t{1} << 56;

FormatError not_whole(const std::filesystem::path& path, const std::string& value) {
  return FormatError(
      path.string(),
      "the state of an interrupted run must be whole",
      value,
      "--restart begins anew");
}

template <typename T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

} // namespace

std::string tokenize_fingerprint(const TokenizeOptions& options, const Tokenizer& tokenizer) {
  Json files = Json::array();
  for (const std::filesystem::path& path : options.files) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    const auto time = std::filesystem::last_write_time(path, error).time_since_epoch().count();
    files.push_back({path.string(), error ? 0 : size, error ? 0 : time});
  }
  return Json{
      {"files", files},
      {"format", static_cast<int>(options.corpus.format)},
      {"text_key", options.corpus.text_key},
      {"separator", options.corpus.separator},
      {"max_document_bytes", options.corpus.max_document_bytes},
      {"allow_invalid_utf8", options.corpus.allow_invalid_utf8},
      {"tokenizer", tokenizer.kind() + " " + tokenizer.hash()},
      {"add_bos", options.add_bos},
      {"add_eos", options.add_eos},
      {"min_tokens", options.min_tokens},
      {"max_tokens", optional_json(options.max_tokens)},
      {"deduplicate", options.deduplicate},
      {"shuffle_seed", optional_json(options.shuffle_seed)},
      {"holdout", options.holdout.string()},
      {"holdout_share", options.holdout_share}}
      .dump(-1, ' ', true, Json::error_handler_t::replace);
}

void save_tokenize_state(
    const std::filesystem::path& path,
    const std::string& fingerprint,
    const TokenizeState& state) {
  Json json{
      {"run", Json::parse(fingerprint)},
      {"file", state.position.file},
      {"offset", state.position.offset},
      {"line", state.position.line},
      {"num_tokens", state.size.num_tokens},
      {"num_documents", state.size.num_documents},
      {"tokens_checksum", state.size.tokens_checksum},
      {"starts_checksum", state.size.starts_checksum},
      {"num_hashes", state.num_hashes},
      {"hashes_checksum", state.hashes_checksum},
      {"summary", to_json(state.summary)}};
  json["sha256"] = sha256_hex(json.dump());
  write_file_atomic(path, json.dump(2) + "\n");
}

std::optional<TokenizeState> load_tokenize_state(
    const std::filesystem::path& path,
    const std::string& fingerprint) {
  if (!std::filesystem::exists(path)) {
    return std::nullopt;
  }
  try {
    const std::string text = read_file(path);
    refuse_nul(text, path.string());
    Json json = Json::parse(text);
    // First what it says of itself: a run of an older program has other keys.
    const Json run = Json::parse(fingerprint);
    for (const auto& [key, value] : run.items()) {
      if (json.at("run").value(key, Json()) != value) {
        throw ConfigError(
            path.parent_path().string(),
            "the interrupted run in this folder had other options or files: `" + key + "` differs",
            "",
            "start it as before, or begin anew with --restart");
      }
    }
    const Json sha256 = json.at("sha256");
    json.erase("sha256");
    if (sha256 != sha256_hex(json.dump())) {
      throw not_whole(path, "it does not have its checksum");
    }
    TokenizeState state;
    state.position = {
        .file = json.at("file"), .offset = json.at("offset"), .line = json.at("line")};
    state.size = {
        .num_tokens = json.at("num_tokens"),
        .num_documents = json.at("num_documents"),
        .tokens_checksum = json.at("tokens_checksum"),
        .starts_checksum = json.at("starts_checksum")};
    state.num_hashes = json.at("num_hashes");
    state.hashes_checksum = json.at("hashes_checksum");
    state.summary = summary_from(json.at("summary"));
    // A checksum can be made for anything: sizes that follow from these must stay numbers.
    const auto num_files = static_cast<std::int64_t>(json.at("run").at("files").size());
    for (const std::int64_t count :
         {state.position.file,
          state.position.offset,
          state.position.line,
          state.size.num_tokens,
          state.size.num_documents,
          state.num_hashes}) {
      if (count < 0 || count > kMostCounted) {
        throw not_whole(path, std::to_string(count));
      }
    }
    if (state.position.file > num_files) {
      throw not_whole(path, "file " + std::to_string(state.position.file));
    }
    return state;
  } catch (const Json::exception&) {
    throw not_whole(path, "");
  }
}

} // namespace fcc
