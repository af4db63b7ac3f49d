#include "fcc/data/tokenize.h"

#include <gtest/gtest.h>

#include "data/helpers.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using test::bytes_tokenizer;
using test::TemporaryFolder;

std::string line(const std::string& text) {
  return "{\"text\": \"" + text + "\"}\n";
}

/// 600 documents of 20 bytes to 40 kB: several batches.
fs::path corpus(const TemporaryFolder& folder) {
  std::string content;
  for (int i = 0; i < 600; ++i) {
    content += line(
        "document " + std::to_string(i) +
        std::string(static_cast<std::size_t>(i * i % 40009), 'x'));
  }
  write_file_atomic(folder / "corpus.jsonl", content);
  return folder / "corpus.jsonl";
}

TokenizeOptions options_for(const TemporaryFolder& folder, const fs::path& file) {
  TokenizeOptions options;
  options.files = {file};
  options.output = folder / "tokens.safetensors";
  return options;
}

struct Interrupted {};

TEST(Tokenize, EndsInTheSameBytesWhereverItIsInterrupted) {
  const TemporaryFolder folder;
  TokenizeOptions options = options_for(folder, corpus(folder));
  options.deduplicate = true;
  options.shuffle_seed = 3;
  options.num_threads = 3;
  options.output = folder / "whole";
  const TokenizeSummary whole = tokenize_corpus(options, *bytes_tokenizer());
  EXPECT_EQ(whole.num_kept, 600);

  options.output = folder / "resumed";
  options.sync_bytes = 1;
  int num_interruptions = 0;
  TokenizeSummary summary;
  for (bool done = false; !done;) {
    try {
      // An exception is as good as a kill: nothing is written on the way out.
      int batches = 0;
      summary = tokenize_corpus(options, *bytes_tokenizer(), [&](const TokenizeProgress& progress) {
        EXPECT_EQ(progress.resumed, num_interruptions > 0);
        if (++batches == 1 && num_interruptions < 2) {
          throw Interrupted();
        }
      });
      done = true;
    } catch (const Interrupted&) {
      ++num_interruptions;
    }
    ASSERT_LT(num_interruptions, 50);
  }
  EXPECT_EQ(num_interruptions, 2);
  EXPECT_EQ(read_file(folder / "resumed"), read_file(folder / "whole"));
  EXPECT_EQ(summary.num_documents, whole.num_documents);
  EXPECT_EQ(summary.num_bytes, whole.num_bytes);
  EXPECT_EQ(summary.histogram, whole.histogram);
  EXPECT_FALSE(fs::exists(folder / "resumed.partial"));
}

TEST(Tokenize, GoesOnHoweverOftenItFailsBehindTheLastDocument) {
  const TemporaryFolder folder;
  TokenizeOptions options = options_for(folder, corpus(folder));
  options.deduplicate = true;
  options.sync_bytes = 1;
  options.holdout = folder / "whole.held";
  options.holdout_share = 0.1;
  tokenize_corpus(options, *bytes_tokenizer());
  const std::string whole = read_file(options.output);

  options.output = folder / "resumed";
  options.holdout = folder / "absent/held"; // all is tokenized before it turns out
  for (int run = 0; run < 3; ++run) {       // the later ones have nothing to add to what is there
    EXPECT_THROW(tokenize_corpus(options, *bytes_tokenizer()), IoError) << run;
  }
  fs::create_directory(folder / "absent");
  tokenize_corpus(options, *bytes_tokenizer());
  EXPECT_EQ(read_file(options.output), whole);
  EXPECT_EQ(read_file(options.holdout), read_file(folder / "whole.held"));
  EXPECT_FALSE(fs::exists(options.output.string() + ".partial"));
}

TEST(Tokenize, RefusesToGoOnWithOtherOptionsUnlessItStartsAnew) {
  const TemporaryFolder folder;
  TokenizeOptions options = options_for(folder, corpus(folder));
  options.sync_bytes = 1;
  const auto interrupt = [](const TokenizeProgress&) { throw Interrupted(); };
  EXPECT_THROW(tokenize_corpus(options, *bytes_tokenizer(), interrupt), Interrupted);
  options.min_tokens = 100;
  try {
    tokenize_corpus(options, *bytes_tokenizer());
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("min_tokens"), std::string::npos) << error.what();
  }
  options.restart = true;
  EXPECT_LT(tokenize_corpus(options, *bytes_tokenizer()).num_kept, 600);
}

TEST(Tokenize, DropsDuplicatesEmptyShortAndLongDocuments) {
  const TemporaryFolder folder;
  write_file_atomic(
      folder / "a.jsonl",
      line("first") + line("") + line("second one") + line("first") + line("ab") +
          line(std::string(113, 'x')) + line("second one") + line("first "));
  TokenizeOptions options = options_for(folder, folder / "a.jsonl");
  options.deduplicate = true;
  options.min_tokens = 4;
  options.max_tokens = 100;
  const TokenizeSummary summary = tokenize_corpus(options, *bytes_tokenizer());
  EXPECT_EQ(summary.num_documents, 8);
  EXPECT_EQ(summary.num_empty, 1);
  EXPECT_EQ(summary.num_duplicates, 2);
  EXPECT_EQ(summary.num_too_short, 1);
  EXPECT_EQ(summary.num_too_long, 1);
  EXPECT_EQ(summary.num_kept, 3);
  EXPECT_EQ(summary.num_tokens, 6 + 11 + 7);
  EXPECT_EQ(summary.histogram[2], 2);
  EXPECT_EQ(summary.histogram[3], 1);
  const TokenFile file(options.output);
  std::vector<std::int32_t> ids(6);
  file.read(0, ids);
  EXPECT_EQ(ids.back(), bytes_tokenizer()->eos_id());
  EXPECT_EQ(bytes_tokenizer()->decode(ids), "first");
}

TEST(Tokenize, PutsBosAndEosWhereAskedAndSaysSo) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.txt", "abc");
  TokenizeOptions options = options_for(folder, folder / "a.txt");
  options.add_bos = true;
  options.add_eos = false;
  tokenize_corpus(options, *bytes_tokenizer());
  const TokenFile file(options.output);
  EXPECT_EQ(file.num_tokens(), 4);
  EXPECT_TRUE(file.info().add_bos);
  EXPECT_FALSE(file.info().add_eos);
  std::vector<std::int32_t> ids(4);
  file.read(0, ids);
  EXPECT_EQ(ids.front(), bytes_tokenizer()->bos_id());
}

TEST(Tokenize, NamesTheDocumentThatATokenizerCannotWrite) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.jsonl", line("known") + line("unknown"));
  try {
    tokenize_corpus(
        options_for(folder, folder / "a.jsonl"), *make_words_tokenizer({"known", "</s>"}));
    FAIL();
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("a.jsonl:2"), std::string::npos) << error.what();
  }
}

TEST(Tokenize, WritesNothingWhereNothingIsLeft) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.txt", "");
  const TokenizeOptions options = options_for(folder, folder / "a.txt");
  EXPECT_THROW(tokenize_corpus(options, *bytes_tokenizer()), Error);
  EXPECT_FALSE(fs::exists(options.output));
}

} // namespace
} // namespace fcc
