// What a file is when its name does not say it, and which files of a folder are read.

#include <gtest/gtest.h>

#include <unistd.h>

#include "data/helpers.h"
#include "data/packing.h"
#include "data/program.h"
#include "fcc/core/error.h"
#include "fcc/data/corpus.h"
#include "fcc/io/files.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using test::gzip;
using test::TemporaryFolder;
using test::zstd;
using Texts = std::vector<std::string>;

Texts read_all(const fs::path& file, const CorpusOptions& options = {}) {
  Corpus corpus({file}, options);
  Texts documents;
  for (std::string text; corpus.next(text);) {
    documents.push_back(text);
  }
  return documents;
}

std::string refusal(const fs::path& file, const CorpusOptions& options = {}) {
  try {
    read_all(file, options);
  } catch (const FormatError& error) {
    return error.what();
  }
  return "read";
}

const std::string kLines = "{\"text\": \"one\"}\n{\"text\": \"two\"}\n";

TEST(CorpusFormat, JsonLinesAreKnownByAnyNameAndPacking) {
  const TemporaryFolder folder;
  const std::string long_line = "{\"text\": \"" + std::string(100'000, 'x') + "\"}";
  write_file_atomic(folder / "a.json", kLines);
  write_file_atomic(folder / "c4-train.00000.json.gz", gzip(kLines));
  write_file_atomic(folder / "a.json.zst", zstd(kLines));
  write_file_atomic(folder / "no_ending", "\n" + kLines);
  write_file_atomic(folder / "packed_without_saying_so", gzip(kLines));
  write_file_atomic(folder / "zstd_without_saying_so.jsonl", zstd(kLines));
  for (const char* name :
       {"a.json",
        "c4-train.00000.json.gz",
        "a.json.zst",
        "no_ending",
        "packed_without_saying_so",
        "zstd_without_saying_so.jsonl"}) {
    EXPECT_EQ(read_all(folder / name), (Texts{"one", "two"})) << name;
  }
  write_file_atomic(folder / "long.json", long_line);
  EXPECT_EQ(read_all(folder / "long.json")[0].size(), 100'000U);
  write_file_atomic(folder / "empty.json", "");
  EXPECT_EQ(read_all(folder / "empty.json"), Texts());
}

TEST(CorpusFormat, ContentThatNameAndBytesDoNotTellIsRefusedUntilItIsNamed) {
  const TemporaryFolder folder;
  const Texts refused{"pretty.json", "array.json", "array", "binary.bin", "words.json", "a.txt"};
  write_file_atomic(folder / "pretty.json", "{\n \"text\": \"one\"\n}\n");
  write_file_atomic(folder / "array.json", "[1, 2]");
  write_file_atomic(folder / "array", "[\n {\"text\": \"one\"}]");
  write_file_atomic(folder / "binary.bin", std::string("GIF8\0\0", 6));
  write_file_atomic(folder / "words.json", "no JSON at all");
  write_file_atomic(folder / "a.txt", kLines);
  for (const std::string& name : refused) {
    const std::string message = refusal(folder / name);
    EXPECT_NE(message.find(name), std::string::npos) << message;
    EXPECT_NE(message.find("--format"), std::string::npos) << message;
    EXPECT_EQ(read_all(folder / name, {.format = CorpusFormat::kText}).size(), 1U) << name;
  }
  EXPECT_EQ(read_all(folder / "a.txt", {.format = CorpusFormat::kJsonl}), (Texts{"one", "two"}));
  write_file_atomic(folder / "scene", "[Enter the ghost]\n{sic}");
  EXPECT_EQ(read_all(folder / "scene"), Texts{"[Enter the ghost]\n{sic}"});
}

TEST(CorpusFormat, AByteOrderMarkIsNoPartOfTheText) {
  const TemporaryFolder folder;
  const std::string mark = "\xef\xbb\xbf";
  write_file_atomic(folder / "a.txt", mark + "one");
  write_file_atomic(folder / "a.jsonl", mark + kLines);
  write_file_atomic(folder / "a.json.gz", gzip(mark + kLines));
  write_file_atomic(folder / "only.txt", mark);
  EXPECT_EQ(read_all(folder / "a.txt"), Texts{"one"});
  EXPECT_EQ(read_all(folder / "a.jsonl"), (Texts{"one", "two"}));
  EXPECT_EQ(read_all(folder / "a.json.gz"), (Texts{"one", "two"}));
  EXPECT_EQ(read_all(folder / "only.txt"), Texts());
  Corpus corpus({folder / "a.jsonl"}, {});
  std::string text;
  ASSERT_TRUE(corpus.next(text));
  Corpus rest({folder / "a.jsonl"}, {}, corpus.position());
  ASSERT_TRUE(rest.next(text));
  EXPECT_EQ(text, "two");
  write_file_atomic(
      folder / "wide.txt",
      std::string(
          "\xff\xfe"
          "a\0",
          4));
  EXPECT_NE(refusal(folder / "wide.txt").find("UTF-16"), std::string::npos);
}

TEST(CorpusFormat, ZerosBehindGzipArePaddingAndMembersOfOneByteAreRead) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.txt.gz", gzip("one ") + std::string(700'000, '\0'));
  EXPECT_EQ(read_all(folder / "a.txt.gz"), Texts{"one "});
  write_file_atomic(folder / "b.txt.gz", gzip("one ") + std::string(512, '\0') + gzip("two"));
  EXPECT_EQ(read_all(folder / "b.txt.gz"), Texts{"one two"});
  write_file_atomic(folder / "c.txt.gz", gzip("one ") + std::string(512, '\0') + "garbage");
  EXPECT_NE(refusal(folder / "c.txt.gz").find("corrupt"), std::string::npos);
  std::string members;
  const std::string member = gzip("a");
  for (int i = 0; i < 200'000; ++i) {
    members += member;
  }
  write_file_atomic(folder / "d.txt.gz", members);
  EXPECT_EQ(read_all(folder / "d.txt.gz")[0].size(), 200'000U);
}

TEST(CorpusFormat, LinksInFoldersAreFollowedOnceAndThoseToNowhereAreRefused) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "corpus/sub");
  fs::create_directories(folder / "other_disk");
  write_file_atomic(folder / "corpus/sub/a.txt", "A");
  write_file_atomic(folder / "other_disk/b.txt", "B");
  fs::create_directory_symlink("../other_disk", folder / "corpus/link");
  fs::create_directory_symlink("..", folder / "corpus/sub/circle");
  fs::create_directory_symlink("sub", folder / "corpus/a_link_that_sorts_first");
  fs::create_symlink("sub/a.txt", folder / "corpus/file.txt");
  PassedOver passed_over;
  EXPECT_EQ(
      corpus_files({folder / "corpus"}, CorpusFormat::kAuto, &passed_over),
      (std::vector<fs::path>{
          folder / "corpus/file.txt", folder / "corpus/link/b.txt", folder / "corpus/sub/a.txt"}));
  EXPECT_EQ(passed_over.num_repeated, 2) << "the circle, and the second path to sub";
  fs::create_symlink("nowhere.txt", folder / "corpus/dangling.txt");
  try {
    corpus_files({folder / "corpus"});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("dangling.txt"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("nowhere.txt"), std::string::npos) << error.what();
  }
}

TEST(CorpusFormat, FoldersGiveDataWithoutWhatToolsLeaveBesideIt) {
  const TemporaryFolder folder;
  for (const char* name : {".git", ".ipynb_checkpoints", "__MACOSX", "data"}) {
    fs::create_directories(folder / name);
    write_file_atomic(folder / name / "a.txt", name);
  }
  write_file_atomic(folder / "._a.txt", "a resource fork");
  write_file_atomic(folder / "lines.json", kLines);
  write_file_atomic(folder / "settings.json", "{\n}\n");
  write_file_atomic(folder / "README.md", "read me");
  PassedOver passed_over;
  const auto listed = [&](CorpusFormat format) {
    passed_over = {};
    return corpus_files({folder.path()}, format, &passed_over);
  };
  EXPECT_EQ(
      listed(CorpusFormat::kAuto),
      (std::vector<fs::path>{folder / "README.md", folder / "data/a.txt", folder / "lines.json"}));
  EXPECT_EQ(passed_over.num_hidden, 4);
  EXPECT_EQ(passed_over.num_other, 1);
  EXPECT_EQ(
      listed(CorpusFormat::kText),
      (std::vector<fs::path>{folder / "README.md", folder / "data/a.txt"}));
  EXPECT_THROW(listed(CorpusFormat::kParquet), ConfigError);
}

TEST(CorpusFormat, AFolderThatCannotBeReadIsNamed) {
  if (::geteuid() == 0) {
    GTEST_SKIP() << "root may read every folder";
  }
  const TemporaryFolder folder;
  fs::create_directories(folder / "locked");
  fs::permissions(folder / "locked", fs::perms::none);
  try {
    corpus_files({folder.path()});
    FAIL();
  } catch (const IoError& error) {
    EXPECT_NE(std::string(error.what()).find("locked"), std::string::npos) << error.what();
  }
  fs::permissions(folder / "locked", fs::perms::owner_all);
}

TEST(FccDataFormat, PipesAndFoldersInBracketsAreRead) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "[part, 1]");
  write_file_atomic(folder / "[part, 1]/a.json", kLines);
  const std::string out = folder / "out.safetensors";
  const auto in_folder = "cd " + folder.path().string() + " && ";
  const auto said = [&](const std::string& command) {
    test::Result result;
    FILE* pipe = ::popen((in_folder + command + " 2>&1").c_str(), "r");
    std::array<char, 4096> buffer;
    for (std::size_t got = 0; (got = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
      result.output.append(buffer.data(), got);
    }
    ::pclose(pipe);
    return result;
  };
  const std::string tokenize = test::kProgram + " tokenize --overwrite -q -o " + out + " ";
  const auto brackets = said(tokenize + "'[part, 1]'");
  EXPECT_TRUE(test::has(brackets, "2 documents")) << brackets.output;
  const auto pipe = said("cat '[part, 1]/a.json' | " + tokenize + "/dev/stdin");
  EXPECT_TRUE(test::has(pipe, "2 documents")) << pipe.output;
  const auto forced = said(tokenize + "--format text '[part, 1]/a.json'");
  EXPECT_TRUE(test::has(forced, "1 documents")) << forced.output;
}

} // namespace
} // namespace fcc
