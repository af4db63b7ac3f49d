#include "fcc/data/corpus.h"

#include <gtest/gtest.h>

#include "data/helpers.h"
#include "data/packing.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using test::gzip;
using test::TemporaryFolder;
using test::zstd;

std::vector<std::string> read_all(
    const std::vector<fs::path>& files,
    const CorpusOptions& options,
    Corpus::Position from = {}) {
  Corpus corpus(files, options, from);
  std::vector<std::string> documents;
  for (std::string text; corpus.next(text);) {
    documents.push_back(text);
  }
  return documents;
}

/// Texts with everything that could be lost on the way.
std::vector<std::string> documents() {
  std::vector<std::string> texts{
      "a", "two\nlines\n", "\"quoted\" \\ \t", "gr\u00fc\u00df \U0001F600"};
  for (int i = 0; i < 113; ++i) {
    texts.push_back(
        std::string(static_cast<std::size_t>(i * 239), static_cast<char>('a' + i % 26)) + "!");
  }
  return texts;
}

std::string json_escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\u0009";
    } else {
      result += c;
    }
  }
  return result;
}

std::string jsonl(const std::vector<std::string>& texts) {
  std::string content;
  for (const std::string& text : texts) {
    content += "{\"id\": 7, \"text\": \"" + json_escaped(text) +
               "\", \"more\": {\"text\": [1, null]}}\r\n\n";
  }
  return content;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string content;
  for (const std::string& text : texts) {
    content += text + "=====";
  }
  return content;
}

TEST(Corpus, EveryFormatGivesTheSameDocuments) {
  const TemporaryFolder folder;
  const auto texts = documents();
  write_file_atomic(folder / "a.jsonl", jsonl(texts));
  write_file_atomic(folder / "a.jsonl.gz", gzip(jsonl(texts)));
  write_file_atomic(folder / "a.ndjson.zst", zstd(jsonl(texts)));
  write_file_atomic(folder / "a.txt", joined(texts));
  write_file_atomic(folder / "a.txt.gz", gzip(joined(texts)));
  write_file_atomic(folder / "a.TXT.ZST", zstd(joined(texts)));
  CorpusOptions options;
  options.separator = "=====";
  for (const char* name :
       {"a.jsonl", "a.jsonl.gz", "a.ndjson.zst", "a.txt", "a.txt.gz", "a.TXT.ZST"}) {
    EXPECT_EQ(read_all({folder / name}, options), texts) << name;
  }
}

TEST(Corpus, GoesOnFromBehindAnyDocument) {
  const TemporaryFolder folder;
  const auto texts = documents();
  write_file_atomic(folder / "a.jsonl.gz", gzip(jsonl(texts)));
  write_file_atomic(folder / "b.txt.zst", zstd(joined(texts)));
  write_file_atomic(folder / "c.txt", joined(texts));
  const std::vector<fs::path> files{folder / "a.jsonl.gz", folder / "b.txt.zst", folder / "c.txt"};
  CorpusOptions options;
  options.separator = "=====";
  const auto whole = read_all(files, options);
  ASSERT_EQ(whole.size(), 3 * texts.size());
  Corpus corpus(files, options);
  std::string text;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (i % 13 == 0) {
      const auto rest = read_all(files, options, corpus.position());
      EXPECT_EQ(
          rest,
          std::vector<std::string>(whole.begin() + static_cast<std::ptrdiff_t>(i), whole.end()));
    }
    ASSERT_TRUE(corpus.next(text));
  }
}

TEST(Corpus, ReadsMembersAndFramesThatWereJoined) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "a.txt.gz", gzip("one ") + gzip("") + gzip("two"));
  write_file_atomic(folder / "a.txt.zst", zstd("one ") + zstd("") + zstd("two"));
  EXPECT_EQ(read_all({folder / "a.txt.gz"}, {}), std::vector<std::string>{"one two"});
  EXPECT_EQ(read_all({folder / "a.txt.zst"}, {}), std::vector<std::string>{"one two"});
}

TEST(Corpus, FindsSeparatorsAcrossReadBorders) {
  const TemporaryFolder folder;
  CorpusOptions options;
  options.separator = "=====";
  const std::size_t border = 1 << 20;
  for (std::size_t length = border - 7; length <= border + 2; ++length) {
    const std::string first(length, 'x');
    write_file_atomic(folder / "a.txt", first + "=====" + "rest");
    EXPECT_EQ(read_all({folder / "a.txt"}, options), (std::vector<std::string>{first, "rest"}));
  }
}

TEST(Corpus, ListsFoldersByPathAndTakesKnownFilesOnly) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "b");
  for (const char* name :
       {"z.txt", "b/c.jsonl.gz", "b/a.md", "b/picture.png", "a.TXT.zst", "x.gz"}) {
    write_file_atomic(folder / name, "");
  }
  EXPECT_EQ(
      corpus_files({folder / "z.txt", folder.path()}),
      (std::vector<fs::path>{
          folder / "z.txt",
          folder / "a.TXT.zst",
          folder / "b/a.md",
          folder / "b/c.jsonl.gz",
          folder / "z.txt"}));
  PassedOver passed_over;
  EXPECT_EQ(corpus_files({folder.path()}, CorpusFormat::kAuto, &passed_over).size(), 4u);
  EXPECT_EQ(passed_over.num_other, 2) << "the picture, and a .gz of nothing known";
  EXPECT_THROW(corpus_files({folder / "none"}), ConfigError);
  EXPECT_THROW(corpus_files({}), ConfigError);
  fs::create_directories(folder / "empty");
  EXPECT_THROW(corpus_files({folder / "empty"}), ConfigError);
}

struct Hostile {
  std::string file, content, expected;
};

TEST(Corpus, HostileFilesEndInAnErrorThatNamesThem) {
  const TemporaryFolder folder;
  const std::string good = jsonl({"good"});
  std::string text;
  for (int i = 0; i < 20000; ++i) {
    text += std::to_string(i * i % 9973);
  }
  CorpusOptions options;
  options.max_document_bytes = 1 << 20;
  const std::string bomb(16 << 20, '0');
  std::string flipped = gzip(text);
  flipped[flipped.size() / 2] = static_cast<char>(flipped[flipped.size() / 2] ^ 0x40);
  for (const Hostile& hostile : std::vector<Hostile>{
           {"cut.txt.gz", gzip(text).substr(0, 100), "cut off"},
           {"cut.txt.zst", zstd(text).substr(0, zstd(text).size() - 3), "cut off"},
           {"cut_header.txt.zst", zstd(text).substr(0, 3), "cut off"},
           {"bad.txt.gz", "plain text", "corrupt"},
           {"bad.txt.zst", "plain text", "corrupt"},
           {"flipped.txt.gz", flipped, "gzip data is"},
           {"behind.txt.gz", gzip(text) + "garbage", "corrupt"},
           {"bomb.txt.gz", gzip(bomb), "at most 1048576 bytes"},
           {"bomb.txt.zst", zstd(bomb), "at most 1048576 bytes"},
           {"long.jsonl", "{\"text\": \"" + std::string(2 << 20, 'a') + "\"}", "at most 1048576"},
           {"utf8.txt", "fine \xc3\x28 broken", "at byte 5"},
           {"cut_utf8.txt", "fine \xf0\x9f\x98", "at byte 5"},
           {"utf8.jsonl", good + "{\"text\": \"\xff\"}", "utf8.jsonl:3"},
           {"line.jsonl", good + good + "{\"text\": \"a\"\n" + good, "line.jsonl:5"},
           {"surrogate.jsonl", "{\"text\": \"\\ud800\"}", "surrogate.jsonl:1"},
           {"key.jsonl", "{\"txt\": \"a\"}", "`text`"},
           {"twice.jsonl", "{\"text\": \"a\", \"text\": \"b\"}", "twice"},
           {"type.jsonl", "{\"text\": null}", "must be a string"},
           {"array.jsonl", "[\"text\"]", "one JSON object"},
           {"deep.jsonl", std::string(1 << 19, '['), "one JSON object"},
           {"deep_inside.jsonl", "{\"a\": " + std::string(1 << 19, '['), "one JSON object"},
           {"two.jsonl", "{\"text\": \"a\"} {\"text\": \"b\"}", "one JSON object"}}) {
    write_file_atomic(folder / hostile.file, hostile.content);
    try {
      read_all({folder / hostile.file}, options);
      FAIL() << hostile.file;
    } catch (const FormatError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(hostile.file.substr(0, hostile.file.find('.'))), std::string::npos)
          << message;
      EXPECT_NE(message.find(hostile.expected), std::string::npos) << message;
      EXPECT_LT(message.size(), 600U) << hostile.file;
    }
  }
  options.allow_invalid_utf8 = true;
  EXPECT_EQ(read_all({folder / "utf8.txt"}, options)[0], "fine \xc3\x28 broken");
}

} // namespace
} // namespace fcc
