#include "data/document_reader.h"
#include "fcc/core/error.h"

namespace fcc {

bool corpus_reads_parquet() {
  return false;
}

std::unique_ptr<DocumentReader> open_parquet_documents(
    const std::filesystem::path& path,
    const CorpusOptions& /*options*/,
    std::int64_t /*row*/) {
  throw ConfigError(
      path.string(),
      "this build reads no Parquet",
      "",
      "build with -DFCC_PARQUET=ON, or convert the file to JSONL");
}

} // namespace fcc
