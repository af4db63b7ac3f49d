// Token files and interrupted runs that were changed by someone else: every change is told.

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/helpers.h"
#include "fcc/core/error.h"
#include "fcc/data/tokenize.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using test::bytes_tokenizer;
using test::TemporaryFolder;

std::string changed(std::string content, std::size_t at, int bit) {
  content[at] = static_cast<char>(content[at] ^ (1 << bit));
  return content;
}

TEST(DamagedTokenFile, EveryFlippedBitIsToldByName) {
  const TemporaryFolder folder;
  const fs::path path =
      test::write_tokens(folder, test::counting_documents({11, 1, 23}, 256), *bytes_tokenizer());
  const std::string whole = read_file(path);
  TokenFile(path).verify();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::ofstream(folder / "bad", std::ios::binary) << changed(whole, at, static_cast<int>(at % 8));
    try {
      TokenFile(folder / "bad").verify();
      ADD_FAILURE() << "byte " << at << " of " << whole.size();
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find("bad"), std::string::npos) << error.what();
    }
  }
}

TEST(DamagedTokenFile, ABlockIsComparedWhenItIsFirstReadAndOnlyThen) {
  const TemporaryFolder folder;
  const std::int64_t length = 3 << 20; // six blocks of U16
  const fs::path path =
      test::write_tokens(folder, test::counting_documents({length}, 256), *bytes_tokenizer());
  const std::string whole = read_file(path);
  write_file_atomic(path, changed(whole, whole.size() / 2, 3));
  const TokenFile file(path);
  EXPECT_TRUE(file.has_checksums());
  std::vector<std::int32_t> ids(239);
  file.read(0, ids);
  EXPECT_EQ(ids[238], 238);
  file.read(length - 239, ids);
  EXPECT_THROW(file.read(length / 2 - 113, ids), FormatError);
  EXPECT_THROW(file.verify(), FormatError);
}

TEST(DamagedTokenFile, AFileThatIsCutOffWhileItIsOpenIsAnErrorThatNamesIt) {
  const TemporaryFolder folder;
  const fs::path path =
      test::write_tokens(folder, test::counting_documents({3 << 20}, 256), *bytes_tokenizer());
  const TokenFile file(path);
  fs::resize_file(path, 4096);
  std::vector<std::int32_t> ids(113);
  for (const std::int64_t position : {1 << 12, 1 << 21}) { // in a block known good, and not
    try {
      file.read(position, ids);
      FAIL();
    } catch (const IoError& error) {
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    }
  }
}

TEST(DamagedTokenFile, AnOlderFileWithoutChecksumsIsRead) {
  const TemporaryFolder folder;
  const std::vector<std::int64_t> starts{0, 2};
  const std::vector<std::uint16_t> tokens{1, 2, 3};
  const std::vector<TensorView> tensors{
      {.name = "document_starts",
       .dtype = DType::kI64,
       .shape = {2},
       .bytes = std::as_bytes(std::span(starts))},
      {.name = "tokens",
       .dtype = DType::kU16,
       .shape = {3},
       .bytes = std::as_bytes(std::span(tokens))}};
  write_safetensors(
      folder / "old",
      tensors,
      {{"format", "fcc_tokens"},
       {"version", "1"},
       {"tokenizer_kind", "bytes"},
       {"tokenizer_hash", "x"},
       {"vocab_size", "257"},
       {"add_bos", "false"},
       {"add_eos", "true"}});
  const TokenFile file(folder / "old");
  EXPECT_FALSE(file.has_checksums());
  file.verify();
  std::vector<std::int32_t> ids(2);
  file.read(1, ids);
  EXPECT_EQ(ids, (std::vector<std::int32_t>{2, 3}));
}

struct Interrupted {};

/// A run with duplicates that was stopped behind its first point to go on from.
TokenizeOptions interrupted_run(const TemporaryFolder& folder) {
  std::string content;
  for (int i = 0; i < 9000; ++i) {
    content += "document " + std::to_string(i * i % 4999) + "\n";
  }
  write_file_atomic(folder / "a.txt", content);
  TokenizeOptions options;
  options.files = {folder / "a.txt"};
  options.corpus.separator = "\n";
  options.output = folder / "out";
  options.deduplicate = true;
  options.sync_bytes = 1;
  EXPECT_THROW(
      tokenize_corpus(
          options, *bytes_tokenizer(), [](const TokenizeProgress&) { throw Interrupted(); }),
      Interrupted);
  return options;
}

TEST(DamagedPartialFolder, EveryDamageIsRefusedWithTheWayOut) {
  const TemporaryFolder folder;
  const TokenizeOptions options = interrupted_run(folder);
  const fs::path partial = options.output.string() + ".partial";
  for (const char* name : {"tokens.bin", "document_starts.bin", "hashes.bin", "state.json"}) {
    const std::string whole = read_file(partial / name);
    ASSERT_GT(whole.size(), 100U) << name;
    for (std::size_t at = 0; at < whole.size(); at += whole.size() / 40 + 1) {
      write_file_atomic(partial / name, changed(whole, at, 0));
      try {
        tokenize_corpus(options, *bytes_tokenizer());
        FAIL() << name << " byte " << at;
      } catch (const Error& error) {
        const std::string message = error.what();
        EXPECT_NE(message.find("partial"), std::string::npos) << message;
        EXPECT_NE(message.find("--restart"), std::string::npos) << message;
      }
    }
    write_file_atomic(partial / name, whole.substr(0, whole.size() - 2)); // a line end is nothing
    EXPECT_THROW(tokenize_corpus(options, *bytes_tokenizer()), Error) << name;
    write_file_atomic(partial / name, whole);
  }
  EXPECT_EQ(tokenize_corpus(options, *bytes_tokenizer()).num_documents, 9000);
}

TEST(DamagedPartialFolder, CountsThatNoRunCanHaveAreRefusedThoughTheChecksumIsRight) {
  const TemporaryFolder folder;
  const TokenizeOptions options = interrupted_run(folder);
  const fs::path path = options.output.string() + ".partial/state.json";
  const std::string whole = read_file(path);
  for (const char* key : {"num_hashes", "num_tokens", "num_documents", "offset", "file"}) {
    auto state = nlohmann::ordered_json::parse(whole);
    for (const std::int64_t value : {std::int64_t{1} << 62, std::int64_t{-1}}) {
      state.erase("sha256");
      state[key] = value;
      state["sha256"] = sha256_hex(state.dump());
      write_file_atomic(path, state.dump(2) + "\n");
      EXPECT_THROW(tokenize_corpus(options, *bytes_tokenizer()), FormatError) << key;
    }
  }
}

} // namespace
} // namespace fcc
