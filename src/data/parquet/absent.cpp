#include "data/document_reader.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

[[noreturn]] void refuse(const std::filesystem::path& path) {
  throw ConfigError(
      path.string(),
      "this build reads no Parquet",
      "",
      "run scripts/setup.sh and build with -DFCC_PARQUET=ON, or convert the file to JSONL");
}

} // namespace

bool corpus_reads_parquet() {
  return false;
}

std::vector<std::string> parquet_columns(const std::filesystem::path& path) {
  refuse(path);
}

std::unique_ptr<DocumentReader> open_parquet_documents(
    const std::filesystem::path& path,
    const CorpusOptions& /*options*/,
    std::int64_t /*row*/) {
  refuse(path);
}

} // namespace fcc
