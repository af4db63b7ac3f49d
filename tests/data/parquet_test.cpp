#include <gtest/gtest.h>

#include <fstream>

#include "data/helpers.h"
#include "fcc/core/error.h"
#include "fcc/data/corpus.h"
#include "fcc/io/files.h"
#include "support/places.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using test::parquet_documents;
using test::TemporaryFolder;

const fs::path kFile = source_dir() + "/tests/data/documents.parquet";

std::vector<std::string>
read_all(const fs::path& path, const CorpusOptions& options = {}, Corpus::Position from = {}) {
  Corpus corpus({path}, options, from);
  std::vector<std::string> texts;
  for (std::string text; corpus.next(text);) {
    texts.push_back(text);
  }
  return texts;
}

/// Where the build has no Parquet, the tests check that it says so.
bool refused_by_this_build() {
  if (corpus_reads_parquet()) {
    return false;
  }
  EXPECT_THROW(read_all(kFile), ConfigError);
  return true;
}

TEST(Parquet, GivesEveryRowAlsoFromTheMiddle) {
  if (refused_by_this_build()) {
    return;
  }
  const auto expected = parquet_documents();
  EXPECT_EQ(read_all(kFile), expected);
  Corpus corpus({kFile}, {});
  std::string text;
  for (std::size_t row = 0; row < expected.size(); ++row) {
    EXPECT_EQ(
        read_all(kFile, {}, corpus.position()),
        std::vector<std::string>(
            expected.begin() + static_cast<std::ptrdiff_t>(row), expected.end()));
    ASSERT_TRUE(corpus.next(text));
  }
}

TEST(Parquet, RefusesColumnsThatHoldNoText) {
  if (refused_by_this_build()) {
    return;
  }
  for (const char* column : {"label", "tags", "raw", "none"}) {
    CorpusOptions options;
    options.text_key = column;
    EXPECT_THROW(read_all(kFile, options), FormatError) << column;
  }
  CorpusOptions options;
  options.max_document_bytes = 100;
  EXPECT_THROW(read_all(kFile, options), FormatError);
}

TEST(Parquet, CorruptAndCutOffFilesEndInAnErrorOrInText) {
  if (refused_by_this_build()) {
    return;
  }
  const TemporaryFolder folder;
  const std::string good = read_file(kFile);
  for (std::size_t size = 0; size < good.size(); size += 239) {
    write_file_atomic(folder / "cut.parquet", good.substr(0, size));
    EXPECT_THROW(read_all(folder / "cut.parquet"), FormatError) << size;
  }
  CorpusOptions options;
  options.max_document_bytes = 1 << 20;
  int num_refused = 0;
  for (std::size_t at = 0; at < good.size(); at += 29) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x55);
    std::ofstream(folder / "bad.parquet", std::ios::binary) << bad; // hundreds: not synced
    try {
      read_all(folder / "bad.parquet", options);
    } catch (const FormatError&) {
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, 0);
}

} // namespace
} // namespace fcc
