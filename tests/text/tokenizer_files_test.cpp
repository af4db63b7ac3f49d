#include <gtest/gtest.h>

#include "fcc/core/error.h"
#include "fcc/text/tokenizer.h"
#include "fcc/text/words_tokenizer.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

using Ids = std::vector<std::int32_t>;

TokenizerConfig config_of(TokenizerKind kind, const std::filesystem::path& path) {
  TokenizerConfig config;
  config.type = kind;
  config.path = path.string();
  return config;
}

TEST(BytesTokenizer, ReadsBackEveryByteString) {
  const auto bytes = make_tokenizer({});
  std::string all;
  for (int i = 0; i < 256; ++i) {
    all.push_back(static_cast<char>(i));
  }
  const Ids ids = bytes->encode(all);
  ASSERT_EQ(ids.size(), 256u);
  EXPECT_EQ(ids[200], 200);
  EXPECT_EQ(bytes->decode(ids), all);
  EXPECT_EQ(bytes->vocab_size(), 258);
}

TEST(BytesTokenizer, DecodesSpecialIdsToNothingAndRefusesOthers) {
  const auto bytes = make_tokenizer({});
  EXPECT_EQ(bytes->decode(Ids{256, 104, 105, 257}), "hi");
  EXPECT_THROW(bytes->decode(Ids{258}), Error);
  EXPECT_THROW(bytes->decode(Ids{-1}), Error);
}

TEST(BytesTokenizer, AppendsToTheIdsItIsGiven) {
  const auto bytes = make_tokenizer({});
  Ids ids = {256};
  bytes->encode("ab", ids);
  EXPECT_EQ(ids, (Ids{256, 97, 98}));
}

TEST(MakeTokenizer, NamesWhatIsMissing) {
  const TemporaryDirectory empty;
  const auto absent = empty.path() / "absent";
  EXPECT_THROW(make_tokenizer(config_of(TokenizerKind::kAuto, absent)), ConfigError);
  EXPECT_THROW(make_tokenizer(config_of(TokenizerKind::kAuto, empty.path())), ConfigError);
  for (const auto kind :
       {TokenizerKind::kWords,
        TokenizerKind::kSentencePiece,
        TokenizerKind::kHuggingFace,
        TokenizerKind::kTiktoken}) {
    EXPECT_THROW(make_tokenizer(config_of(kind, empty.path())), ConfigError);
    TokenizerConfig no_path;
    no_path.type = kind;
    EXPECT_THROW(make_tokenizer(no_path), ConfigError);
  }
}

TEST(MakeTokenizer, OpensAVocabularyFileByFileAndByDirectory) {
  const TemporaryDirectory directory;
  const auto file = directory / "vocabulary.txt";
  write_plain(file, "<unk>\na\r\nb");
  for (const auto& path : {file, directory.path()}) {
    for (const auto kind : {TokenizerKind::kAuto, TokenizerKind::kWords}) {
      const auto words = make_tokenizer(config_of(kind, path));
      EXPECT_EQ(words->kind(), "words");
      EXPECT_EQ(words->encode("b a"), (Ids{2, 1}));
    }
  }
  write_plain(directory / "vocabulary.txt", "a\n\nb\n");
  EXPECT_THROW(make_tokenizer(config_of(TokenizerKind::kAuto, file)), FormatError);
}

TEST(SaveTokenizer, OpensTheSameTokenizerAgainWithItsPolicy) {
  const TemporaryDirectory directory;
  for (const auto& tokenizer : {make_tokenizer({}), make_words_tokenizer({"a", "b", "</s>"})}) {
    TokenizerConfig policy;
    policy.add_bos = true;
    policy.add_eos = false;
    save_tokenizer(*tokenizer, policy, directory.path());
    const auto again = make_tokenizer(config_of(TokenizerKind::kAuto, directory.path()));
    EXPECT_EQ(again->kind(), tokenizer->kind());
    EXPECT_EQ(again->hash(), tokenizer->hash());
    EXPECT_EQ(again->eos_id(), tokenizer->eos_id());
    const auto saved = saved_tokenizer_config(directory.path());
    ASSERT_TRUE(saved.has_value());
    EXPECT_EQ(saved->add_bos, true);
    EXPECT_EQ(saved->add_eos, false);
    EXPECT_EQ(make_tokenizer(*saved)->hash(), tokenizer->hash());
  }
}

TEST(SavedPolicy, HoldsOnlyWhereTheConfigurationSaysNothingItself) {
  const TemporaryDirectory directory;
  TokenizerConfig saved;
  saved.add_bos = true;
  saved.add_eos = false;
  save_tokenizer(*make_words_tokenizer({"a", "<s>", "</s>"}), saved, directory.path());
  for (const auto kind : {TokenizerKind::kAuto, TokenizerKind::kWords}) {
    TokenizerConfig config = config_of(kind, directory.path());
    EXPECT_TRUE(with_saved_policy(config).begins_with_bos());
    EXPECT_FALSE(with_saved_policy(config).ends_with_eos());
    config.add_bos = false;
    EXPECT_EQ(with_saved_policy(config).add_bos, false);
    EXPECT_EQ(with_saved_policy(config).add_eos, false);
    config.add_eos = true;
    EXPECT_EQ(with_saved_policy(config).add_eos, true);
    EXPECT_EQ(make_tokenizer(with_saved_policy(config))->kind(), "words");
  }
  // What another kind of tokenizer was saved with says nothing; neither does no file.
  const auto other = with_saved_policy(config_of(TokenizerKind::kHuggingFace, directory.path()));
  EXPECT_EQ(other.add_bos, false);
  EXPECT_EQ(other.add_eos, true);
  EXPECT_EQ(with_saved_policy({}).add_eos, true);
}

TEST(SaveTokenizer, RefusesAFileThatChangedSince) {
  const TemporaryDirectory directory;
  EXPECT_EQ(saved_tokenizer_config(directory.path()).has_value(), false);
  save_tokenizer(*make_words_tokenizer({"a", "b"}), {}, directory.path());
  write_plain(directory / "vocabulary.txt", "b\na\n");
  const auto config = config_of(TokenizerKind::kAuto, directory.path());
  EXPECT_THROW(make_tokenizer(config), FormatError);
  EXPECT_THROW(make_tokenizer(config_of(TokenizerKind::kWords, directory.path())), FormatError);
  std::filesystem::remove(directory.path() / "vocabulary.txt");
  EXPECT_THROW(make_tokenizer(config), ConfigError);
  write_plain(directory / "fcc_tokenizer.json", "{\"kind\": \"runes\"}");
  EXPECT_THROW(make_tokenizer(config), FormatError);
  write_plain(directory / "fcc_tokenizer.json", "[1]");
  EXPECT_THROW(make_tokenizer(config), FormatError);
}

} // namespace
} // namespace fcc
