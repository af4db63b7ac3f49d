#include <gtest/gtest.h>

#include <fstream>

#include "fcc/core/error.h"
#include "fcc/text/tokenizer.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

using Ids = std::vector<std::int32_t>;

std::string rank_file() {
  std::ifstream file(
      std::filesystem::path(source_dir()) / "tests/text/data/bpe/tiktoken/tokenizer.model");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::shared_ptr<const Tokenizer> open(const TemporaryDirectory& directory) {
  TokenizerConfig config;
  config.type = TokenizerKind::kTiktoken;
  config.path = directory.path().string();
  return make_tokenizer(config);
}

const char* const kPlainSettings = R"({"pattern": "[a-z]+|."})";

std::string complaint(const std::string& content, const std::string& settings = kPlainSettings) {
  const TemporaryDirectory directory;
  write_plain(directory / "tokenizer.model", content);
  if (!settings.empty()) {
    write_plain(directory / "tiktoken.json", settings);
  }
  try {
    open(directory);
  } catch (const FormatError& error) {
    return error.what();
  }
  return {};
}

TEST(TiktokenFile, RefusesMalformedLines) {
  const std::string good = rank_file();
  EXPECT_EQ(complaint(good), "");
  EXPECT_EQ(complaint(good + "\n\n"), "");
  for (const char* line :
       {"QUJD",
        "QUJD ",
        " 1000",
        "QUJD x",
        "QUJD 1000 1",
        "QUJ 1000",
        "QU!D 1000",
        "QUJD -1",
        "==== 1000",
        "QUJD 99999999999"}) {
    EXPECT_NE(complaint(good + line + "\n").find("line 1001"), std::string::npos) << line;
  }
}

TEST(TiktokenFile, RefusesHolesRepetitionsAndOverlongTokens) {
  const std::string good = rank_file();
  EXPECT_NE(complaint(good + "/v7+/g== 1001\n").find("holes"), std::string::npos);
  EXPECT_NE(complaint(good + "/v7+/g== 4000000000\n").find("holes"), std::string::npos);
  EXPECT_NE(complaint(good + "/v7+/g== 999\n").find("twice"), std::string::npos);
  EXPECT_NE(complaint(good + "IQ== 1000\n").find("twice"), std::string::npos); // "!" again
  std::string overlong;
  for (int i = 0; i < 200; ++i) {
    overlong += "QUJD";
  }
  EXPECT_NE(complaint(good + overlong + " 1000\n").find("at most"), std::string::npos);
  EXPECT_NE(complaint("QUJD 0\n").find("every byte"), std::string::npos);
  EXPECT_NE(complaint("").find("every byte"), std::string::npos);
}

TEST(TiktokenFile, TakesPatternAndSpecialTokensFromTheSettingsBesideIt) {
  const TemporaryDirectory directory;
  write_plain(directory / "tokenizer.model", rank_file());
  write_plain(directory / "tiktoken.json", R"({"pattern": "[a-z]+|.", "eos_token": "<end>",
      "special_tokens": {"<end>": 1001, "<begin>": 1000}})");
  const auto tokenizer = open(directory);
  EXPECT_EQ(tokenizer->vocab_size(), 1002);
  EXPECT_EQ(tokenizer->eos_id(), 1001);
  EXPECT_EQ(tokenizer->bos_id(), std::nullopt);
  Ids ids;
  tokenizer->encode_with_special("<begin>x<end>", ids);
  EXPECT_EQ(ids.front(), 1000);
  EXPECT_EQ(ids.back(), 1001);
  const TemporaryDirectory copy;
  save_tokenizer(*tokenizer, {}, copy.path());
  EXPECT_EQ(open(copy)->hash(), tokenizer->hash());
}

TEST(TiktokenFile, IsNotTakenForLlama3sWhereNothingSaysWhoseItIs) {
  EXPECT_NE(complaint(rank_file(), "").find("tiktoken.json"), std::string::npos);
}

TEST(TiktokenFile, OpensADirectoryThatWasSavedWhenEveryFileWasTakenForLlama3s) {
  const TemporaryDirectory directory;
  TokenizerConfig config;
  const auto data = std::filesystem::path(source_dir()) / "tests/text/data/bpe/tiktoken";
  config.path = data.string();
  const auto tokenizer = make_tokenizer(config); // its settings are Llama-3's, written out
  save_tokenizer(*tokenizer, {}, directory.path());
  std::filesystem::remove(directory / "tiktoken.json");
  EXPECT_EQ(open(directory)->hash(), tokenizer->hash());
  EXPECT_EQ(open(directory)->eos_id(), 1001);
}

TEST(TiktokenFile, RefusesMalformedSettings) {
  const std::string good = rank_file();
  for (const char* settings :
       {"[]",
        "{}",
        R"({"pattern": 5})",
        R"({"pattern": "("})",
        R"({"pattern": ".", "special_tokens": []})",
        R"({"pattern": ".", "special_tokens": {"<x>": "y"}})",
        R"({"pattern": ".", "special_tokens": {"<x>": 1001}})",
        R"({"pattern": ".", "special_tokens": {"<x>": 5}})",
        R"({"pattern": ".", "special_tokens": {"": 1000}})",
        R"({"pattern": ".", "bos_token": "<x>"})"}) {
    EXPECT_NE(complaint(good, settings), "") << settings;
  }
}

} // namespace
} // namespace fcc
