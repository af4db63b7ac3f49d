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
  const Json json{
      {"run", Json::parse(fingerprint)},
      {"file", state.position.file},
      {"offset", state.position.offset},
      {"line", state.position.line},
      {"num_tokens", state.size.num_tokens},
      {"num_documents", state.size.num_documents},
      {"num_hashes", state.num_hashes},
      {"summary", to_json(state.summary)}};
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
    const Json json = Json::parse(text);
    const Json run = Json::parse(fingerprint);
    for (const auto& [key, value] : run.items()) {
      if (json.at("run").at(key) != value) {
        throw ConfigError(
            path.parent_path().string(),
            "the interrupted run in this folder had other options or files: `" + key + "` differs",
            "",
            "start it as before, or begin anew with --restart");
      }
    }
    TokenizeState state;
    state.position = {
        .file = json.at("file"), .offset = json.at("offset"), .line = json.at("line")};
    state.size = {.num_tokens = json.at("num_tokens"), .num_documents = json.at("num_documents")};
    state.num_hashes = json.at("num_hashes");
    state.summary = summary_from(json.at("summary"));
    return state;
  } catch (const Json::exception&) {
    throw FormatError(
        path.string(),
        "the state of an interrupted run must be whole",
        "",
        "--restart begins anew");
  }
}

} // namespace fcc
