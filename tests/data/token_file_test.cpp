#include "fcc/data/token_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <ostream>

#include "data/helpers.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"

namespace fcc {
namespace {

using test::bytes_tokenizer;
using test::counting_documents;
using test::TemporaryFolder;
using test::write_tokens;

std::vector<std::int32_t> document(const TokenFile& file, std::int64_t d) {
  std::vector<std::int32_t> ids(
      static_cast<std::size_t>(file.document_end(d) - file.document_begin(d)));
  file.read(file.document_begin(d), ids);
  return ids;
}

TEST(TokenFile, GivesBackEveryDocumentInBothWidths) {
  const TemporaryFolder folder;
  for (const std::int64_t vocab_size : {300, 65536, 65537, 128256}) {
    const auto documents = counting_documents({1, 113, 7, 239}, vocab_size);
    TokenSpool spool(folder / std::to_string(vocab_size), vocab_size, {});
    for (const auto& ids : documents) {
      spool.append(ids);
    }
    TokenFileInfo info{.tokenizer_kind = "words", .tokenizer_hash = "ab", .vocab_size = vocab_size};
    info.add_bos = true;
    spool.write_token_file(folder / "tokens", info);
    const TokenFile file(folder / "tokens");
    EXPECT_EQ(file.dtype(), vocab_size <= 65536 ? DType::kU16 : DType::kU32);
    EXPECT_EQ(file.num_tokens(), 360);
    ASSERT_EQ(file.num_documents(), 4);
    for (std::int64_t d = 0; d < 4; ++d) {
      EXPECT_EQ(document(file, d), documents[static_cast<std::size_t>(d)]);
    }
    EXPECT_EQ(file.info().tokenizer_kind, "words");
    EXPECT_EQ(file.info().tokenizer_hash, "ab");
    EXPECT_EQ(file.info().vocab_size, vocab_size);
    EXPECT_TRUE(file.info().add_bos);
    EXPECT_TRUE(file.info().add_eos);
  }
}

TEST(TokenFile, FindsTheDocumentOfEveryToken) {
  const TemporaryFolder folder;
  const TokenFile file(
      write_tokens(folder, counting_documents({3, 1, 20, 2, 1}), *bytes_tokenizer()));
  for (std::int64_t d = 0; d < file.num_documents(); ++d) {
    for (std::int64_t at = file.document_begin(d); at < file.document_end(d); ++at) {
      EXPECT_EQ(file.document_of(at), d);
    }
  }
}

TEST(TokenFile, ShufflesWholeDocumentsByASeed) {
  const TemporaryFolder folder;
  std::vector<std::vector<std::int32_t>> documents;
  for (std::int32_t i = 0; i < 113; ++i) {
    documents.push_back(std::vector<std::int32_t>(static_cast<std::size_t>(1 + i % 7), i));
  }
  TokenSpool spool(folder / "spool", 256, {});
  for (const auto& ids : documents) {
    spool.append(ids);
  }
  const TokenFileInfo info = token_file_info(*bytes_tokenizer(), false, true);
  spool.write_token_file(folder / "a", info, {.shuffle_seed = 5});
  spool.write_token_file(folder / "b", info, {.shuffle_seed = 5});
  spool.write_token_file(folder / "c", info, {.shuffle_seed = 6});
  EXPECT_EQ(read_file(folder / "a"), read_file(folder / "b"));
  EXPECT_NE(read_file(folder / "a"), read_file(folder / "c"));
  const TokenFile file(folder / "a");
  ASSERT_EQ(file.num_documents(), 113);
  std::vector<bool> seen(113);
  for (std::int64_t d = 0; d < 113; ++d) {
    const auto ids = document(file, d);
    EXPECT_EQ(ids, documents[static_cast<std::size_t>(ids[0])]);
    seen[static_cast<std::size_t>(ids[0])] = true;
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), true), 113);
}

TEST(TokenFile, PartsOfOneOrderHoldEveryDocumentOnce) {
  const TemporaryFolder folder;
  TokenSpool spool(folder / "spool", 256, {});
  for (std::int32_t i = 0; i < 113; ++i) {
    spool.append(std::vector<std::int32_t>(static_cast<std::size_t>(1 + i % 7), i));
  }
  const TokenFileInfo info = token_file_info(*bytes_tokenizer(), false, true);
  for (const std::optional<std::uint64_t> seed : {std::optional<std::uint64_t>(), {3}}) {
    spool.write_token_file(folder / "a", info, {.shuffle_seed = seed, .first = 0, .count = 100});
    spool.write_token_file(folder / "b", info, {.shuffle_seed = seed, .first = 100});
    std::vector<int> seen(113);
    for (const char* name : {"a", "b"}) {
      const TokenFile file(folder / name);
      EXPECT_EQ(file.num_documents(), name[0] == 'a' ? 100 : 13);
      for (std::int64_t d = 0; d < file.num_documents(); ++d) {
        const auto ids = document(file, d);
        EXPECT_EQ(static_cast<std::int64_t>(ids.size()), 1 + ids[0] % 7);
        ++seen[static_cast<std::size_t>(ids[0])];
      }
    }
    EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), 113);
  }
  EXPECT_THROW(spool.write_token_file(folder / "c", info, {.first = 113}), Error);
}

TEST(TokenSpool, GoesOnFromItsLastSync) {
  const TemporaryFolder folder;
  const TokenFileInfo info = token_file_info(*bytes_tokenizer(), false, true);
  const auto documents = counting_documents({5, 100000, 8, 300000, 1});
  TokenSpool::Size size;
  {
    TokenSpool spool(folder / "spool", 256, {});
    spool.append(documents[0]);
    spool.append(documents[1]);
    size = spool.sync();
    spool.append(documents[3]); // written, and lost
    spool.append(documents[3]);
    spool.append(documents[3]);
  }
  TokenSpool spool(folder / "spool", 256, size);
  for (std::size_t d = 2; d < documents.size(); ++d) {
    spool.append(documents[d]);
  }
  spool.write_token_file(folder / "resumed", info);
  write_tokens(folder, documents, *bytes_tokenizer(), "whole");
  EXPECT_EQ(read_file(folder / "resumed"), read_file(folder / "whole"));
  EXPECT_THROW(
      TokenSpool(folder / "spool", 256, {.num_tokens = 1 << 30, .num_documents = 1}), FormatError);
}

TEST(TokenSpool, WritesNoFileWithoutDocuments) {
  const TemporaryFolder folder;
  TokenSpool spool(folder / "spool", 256, {});
  EXPECT_THROW(
      spool.write_token_file(folder / "file", token_file_info(*bytes_tokenizer(), false, true)),
      Error);
  EXPECT_THROW(spool.append({}), Error);
}

// Malformed files: what one change to a good one breaks.

struct Parts {
  std::vector<std::int64_t> starts{0, 3, 4};
  std::vector<std::uint16_t> tokens{1, 2, 3, 4, 5};
  DType token_dtype = DType::kU16;
  std::string starts_name = "document_starts";
  Metadata metadata{
      {"format", "fcc_tokens"},
      {"version", "1"},
      {"tokenizer_kind", "bytes"},
      {"tokenizer_hash", "x"},
      {"vocab_size", "257"},
      {"add_bos", "false"},
      {"add_eos", "true"}};

  void write(const std::filesystem::path& path) const {
    const std::vector<TensorView> tensors{
        {.name = starts_name,
         .dtype = DType::kI64,
         .shape = {static_cast<std::int64_t>(starts.size())},
         .bytes = std::as_bytes(std::span(starts))},
        {.name = "tokens",
         .dtype = token_dtype,
         .shape = {static_cast<std::int64_t>(tokens.size())},
         .bytes = std::as_bytes(std::span(tokens))}};
    write_safetensors(path, tensors, metadata);
  }
};

struct Malformed {
  std::string name;
  std::function<void(Parts&)> change;
  std::string expected; ///< part of the message

  friend std::ostream& operator<<(std::ostream& out, const Malformed& malformed) {
    return out << malformed.name;
  }
};

class MalformedTokenFile : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedTokenFile, IsRefusedByName) {
  const TemporaryFolder folder;
  Parts parts;
  parts.write(folder / "good");
  EXPECT_EQ(TokenFile(folder / "good").num_tokens(), 5);
  GetParam().change(parts);
  parts.write(folder / "bad");
  try {
    const TokenFile file(folder / "bad");
    FAIL() << "opened";
  } catch (const FormatError& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find(GetParam().expected), std::string::npos) << text;
    EXPECT_NE(text.find("bad"), std::string::npos) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each,
    MalformedTokenFile,
    testing::Values(
        Malformed{"FirstNotZero", [](Parts& p) { p.starts[0] = 1; }, "start at 0"},
        Malformed{
            "Descending",
            [](Parts& p) {
              p.starts = {0, 4, 3};
            },
            "ascend"},
        Malformed{
            "EmptyDocument",
            [](Parts& p) {
              p.starts = {0, 3, 3};
            },
            "ascend"},
        Malformed{
            "Outside",
            [](Parts& p) {
              p.starts = {0, 3, 5};
            },
            "ascend"},
        Malformed{
            "Negative",
            [](Parts& p) {
              p.starts = {0, -3, 4};
            },
            "ascend"},
        Malformed{"NoDocuments", [](Parts& p) { p.starts = {}; }, "not empty"},
        Malformed{"NoTokens", [](Parts& p) { p.tokens = {}; }, "not empty"},
        Malformed{"Type", [](Parts& p) { p.token_dtype = DType::kI16; }, "U16 or U32"},
        Malformed{"NoStarts", [](Parts& p) { p.starts_name = "starts"; }, "document_starts"},
        Malformed{"NoFormat", [](Parts& p) { p.metadata.erase("format"); }, "format"},
        Malformed{"OtherFormat", [](Parts& p) { p.metadata["format"] = "pt"; }, "fcc_tokens"},
        Malformed{"Version", [](Parts& p) { p.metadata["version"] = "2"; }, "version 1"},
        Malformed{"NoHash", [](Parts& p) { p.metadata.erase("tokenizer_hash"); }, "hash"},
        Malformed{"VocabSize", [](Parts& p) { p.metadata["vocab_size"] = "2x"; }, "vocab_size"},
        Malformed{"Flag", [](Parts& p) { p.metadata["add_bos"] = "1"; }, "add_bos"}));

TEST(TokenFile, RefusesAnIdOverTheVocabularyWhenItIsRead) {
  const TemporaryFolder folder;
  Parts parts;
  parts.tokens[3] = 257;
  parts.write(folder / "bad");
  const TokenFile file(folder / "bad");
  std::vector<std::int32_t> ids(3);
  file.read(0, ids);
  EXPECT_THROW(file.read(1, ids), FormatError);
  EXPECT_THROW(file.read(3, ids), Error);
}

TEST(TokenFile, TellsATextFromADamagedFile) {
  const TemporaryFolder folder;
  const auto error_of = [&](const std::string& content) -> std::string {
    write_file_atomic(folder / "file", content);
    try {
      const TokenFile file(folder / "file");
    } catch (const FormatError& error) {
      return error.what();
    }
    return "";
  };
  const std::string text = error_of("Es war einmal,\r\nes w\xC3\xA4re heute noch.\n");
  EXPECT_NE(text.find("file: must be a token file"), std::string::npos) << text;
  EXPECT_NE(text.find("got a text that begins with `Es war einmal,`"), std::string::npos) << text;
  EXPECT_NE(text.find("(run fcc-data tokenize "), std::string::npos) << text;
  EXPECT_NE(error_of("\n\nOnce").find("got a text (run"), std::string::npos);
  const std::string other = error_of(std::string("\x08\0\0\0\0\0\0\0not json", 16));
  EXPECT_EQ(other.find("a text"), std::string::npos) << other;
  EXPECT_NE(other.find("(a token file is made by fcc-data tokenize)"), std::string::npos) << other;
  EXPECT_NE(error_of("").find("made by fcc-data tokenize"), std::string::npos);
}

TEST(TokenFile, RefusesATruncatedFile) {
  const TemporaryFolder folder;
  Parts().write(folder / "good");
  const std::string whole = read_file(folder / "good");
  for (std::size_t size = 0; size < whole.size(); size += 13) {
    write_file_atomic(folder / "cut", whole.substr(0, size));
    EXPECT_THROW(TokenFile(folder / "cut"), Error) << size;
  }
}

} // namespace
} // namespace fcc
