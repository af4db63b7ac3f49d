// The same documents in every format give the same token file, byte for byte.

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "data/helpers.h"
#include "data/packing.h"
#include "fcc/data/corpus.h"
#include "fcc/data/tokenize.h"
#include "fcc/io/files.h"
#include "support/places.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using test::bytes_tokenizer;
using test::gzip;
using test::parquet_documents;
using test::TemporaryFolder;
using test::zstd;

const std::string kSeparator = "\n=====\n";

std::string as_text(const std::vector<std::string>& documents) {
  std::string content;
  for (const std::string& text : documents) {
    content += text + kSeparator;
  }
  return content;
}

std::string as_jsonl(const std::vector<std::string>& documents) {
  std::string content;
  for (const std::string& text : documents) {
    content += nlohmann::json{{"id", content.size()}, {"text", text}}.dump() + "\n";
  }
  return content;
}

TEST(Formats, TextJsonlAndParquetPackedOrNotGiveTheSameTokenFile) {
  const TemporaryFolder folder;
  const std::vector<std::string> documents = parquet_documents();
  const std::string text = as_text(documents), jsonl = as_jsonl(documents);
  std::vector<fs::path> files;
  const auto add = [&](const char* name, const std::string& content) {
    write_file_atomic(folder / name, content);
    files.push_back(folder / name);
  };
  add("a.txt", text);
  add("a.txt.gz", gzip(text));
  add("a.txt.zst", zstd(text));
  add("a.jsonl", jsonl);
  add("a.jsonl.gz", gzip(jsonl));
  add("a.jsonl.zst", zstd(jsonl));
  if (corpus_reads_parquet()) {
    files.push_back(source_dir() + "/tests/data/documents.parquet");
  }
  std::string reference;
  for (const fs::path& file : files) {
    for (const int num_threads : {1, 3}) {
      TokenizeOptions options;
      options.files = {file};
      options.corpus.separator = kSeparator;
      options.output = folder / "tokens.safetensors";
      options.add_bos = true;
      options.min_tokens = 20;
      options.deduplicate = true;
      options.shuffle_seed = 5;
      options.holdout = folder / "held_out.safetensors";
      options.holdout_share = 0.1;
      options.num_threads = num_threads;
      const TokenizeSummary summary = tokenize_corpus(options, *bytes_tokenizer());
      EXPECT_EQ(summary.num_documents, 113) << file;
      EXPECT_EQ(summary.num_empty, 1) << file;
      EXPECT_GT(summary.num_too_short, 0) << file;
      const std::string made = read_file(options.output) + read_file(options.holdout);
      if (reference.empty()) {
        reference = made;
      }
      EXPECT_TRUE(made == reference) << file << " with " << num_threads << " threads";
    }
  }
}

} // namespace
} // namespace fcc
