// Input made to hurt: the program must end in one clear line, within bounded memory.

#include <gtest/gtest.h>

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include "data/helpers.h"
#include "data/packing.h"
#include "data/program.h"
#include "fcc/data/corpus.h"
#include "fcc/io/files.h"
#include "support/places.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using test::run;
using test::start;
using test::TemporaryFolder;

/// What a run may take beside the program and its libraries: a document of 16 MiB and its copies, a
/// fraction of the 1 GiB that the files below unpack to.
constexpr std::int64_t kMemoryMib = 448;

/// Peak of the resident memory of a run, KiB.
std::int64_t
peak_kib(const std::vector<std::string>& arguments, const std::string& log, int& status) {
  rusage used{};
  EXPECT_GT(::wait4(start(arguments, log), &status, 0, &used), 0);
  return used.ru_maxrss;
}

/// A run that must fail with exit code 1, saying `expected`, without ever holding more than
/// `max_memory_mib` beside the program itself (a sanitizer's own memory would not fit, so there it
/// is not looked at).
void expect_refused(
    const TemporaryFolder& folder,
    std::vector<std::string> arguments,
    const std::string& expected,
    std::int64_t max_memory_mib) {
  SCOPED_TRACE(arguments.at(1));
  const std::string log = folder / "log";
  arguments.insert(arguments.end(), {"-o", folder / "out", "--quiet"});
  int status = 0;
  const std::int64_t itself = peak_kib({"--help"}, "/dev/null", status);
  const std::int64_t taken = peak_kib(arguments, log, status);
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_LE(taken - itself, max_memory_mib * 1024);
#endif
  const std::string said = read_file(log);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << said;
  EXPECT_NE(said.find(expected), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_LT(said.size(), 1000U);
  EXPECT_FALSE(fs::exists(folder / "out"));
  EXPECT_FALSE(fs::exists(folder / "out.partial"));
}

/// `whole` repeated until it unpacks to 1 GiB.
std::string repeated(const std::string& packed, std::size_t unpacked_bytes) {
  std::string result;
  for (std::size_t bytes = 0; bytes < std::size_t{1} << 30; bytes += unpacked_bytes) {
    result += packed;
  }
  return result;
}

TEST(FccDataHostile, AGigabyteWithoutALineEndIsRefusedInBoundedMemory) {
  const TemporaryFolder folder;
  for (const char* name : {"line.jsonl", "document.txt"}) {
    // A sparse file: zero bytes, no line end.
    const int file = ::open((folder / name).c_str(), O_WRONLY | O_CREAT, 0644);
    ASSERT_EQ(::ftruncate(file, off_t{1} << 30), 0);
    ::close(file);
    expect_refused(
        folder,
        {"tokenize", folder / name, "--max-document-bytes", "16MB"},
        std::string(name) + ": a document may have at most 16777216 bytes",
        kMemoryMib);
  }
}

TEST(FccDataHostile, BombsOfGzipAndZstdAreRefusedInBoundedMemory) {
  const TemporaryFolder folder;
  const std::size_t part_bytes = std::size_t{16} << 20;
  const std::string part(part_bytes, 'a');
  for (const std::string end : {".txt", ".jsonl"}) {
    write_file_atomic(folder / ("bomb" + end + ".gz"), repeated(test::gzip(part), part_bytes));
    write_file_atomic(folder / ("bomb" + end + ".zst"), repeated(test::zstd(part), part_bytes));
    for (const char* packed : {".gz", ".zst"}) {
      const std::string name = "bomb" + end + packed;
      EXPECT_LT(fs::file_size(folder / name), 2U << 20);
      expect_refused(
          folder,
          {"tokenize", folder / name, "--max-document-bytes", "16MB"},
          name + ": a document may have at most 16777216 bytes",
          kMemoryMib);
    }
  }
}

TEST(FccDataHostile, TokenizersThatAreHugeOrLeadBackAreRefusedInBoundedMemory) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.txt", "text");
  const std::string json = read_file(source_dir() + "/tests/text/data/bpe/gpt2/tokenizer.json");
  const std::string key = "\"merges\":[";
  const std::size_t at = json.find(key) + key.size();
  ASSERT_GT(at, key.size());
  const auto expect = [&](const std::string& merges, const std::string& expected) {
    fs::create_directories(folder / "t");
    write_file_atomic(
        folder / "t/tokenizer.json", json.substr(0, at) + merges + "," + json.substr(at));
    expect_refused(
        folder,
        {"tokenize", folder / "a.txt", "--tokenizer", folder / "t"},
        expected,
        2 * kMemoryMib);
  };
  const std::string first = json.substr(at, json.find(']', at) + 1 - at);
  expect(first, "must not come twice");
  expect(R"(["a", ""])", "not in the vocabulary");
  expect("[\"" + std::string(32 << 20, 'a') + "\", \"a\"]", "not in the vocabulary");
  expect("\"" + std::string(32 << 20, 'a') + "\"", "must be two tokens");
  {
    const int file = ::open((folder / "t/tokenizer.json").c_str(), O_WRONLY | O_TRUNC);
    ASSERT_EQ(::ftruncate(file, off_t{1} << 30), 0);
    ::close(file);
  }
  expect_refused(
      folder,
      {"tokenize", folder / "a.txt", "--tokenizer", folder / "t"},
      "may have at most 134217728 bytes; got 1073741824",
      kMemoryMib);
}

TEST(FccDataHostile, BrokenUtf8AndCorruptParquetEndInAnError) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.txt", "fine \xff broken");
  expect_refused(
      folder,
      {"tokenize", folder / "a.txt"},
      "a.txt: text must be UTF-8; got a broken",
      kMemoryMib);
  write_file_atomic(folder / "a.jsonl", "{\"text\": \"\xc3\x28\"}");
  expect_refused(
      folder, {"tokenize", folder / "a.jsonl"}, "a.jsonl:1: must be one JSON", kMemoryMib);
  std::string parquet = read_file(source_dir() + "/tests/data/documents.parquet");
  // Everything but the magic and the footer, which still tells where the columns lie.
  std::fill_n(parquet.begin() + 4, parquet.size() / 2, '\x55');
  write_file_atomic(folder / "a.parquet", parquet);
  const std::vector<std::string> arguments{"tokenize", folder / "a.parquet"};
  if (corpus_reads_parquet()) {
    expect_refused(folder, arguments, "a.parquet", 2 * kMemoryMib);
  } else {
    EXPECT_EQ(run("tokenize " + arguments[1] + " -o " + (folder / "out").string()).exit_code, 2);
  }
}

} // namespace
} // namespace fcc
