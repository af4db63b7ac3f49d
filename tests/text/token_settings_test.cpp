#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/text/tokenizer.h"
#include "fcc/text/words_tokenizer.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

using Ids = std::vector<std::int32_t>;
using Json = nlohmann::json;

/// A folder with a byte-level tokenizer.json of the tokens <|endoftext|> (id 0), `<s>` as ordinary
/// text (257) and <|im_end|>, an added token (258).
class TokenSettings : public ::testing::Test {
 protected:
  TokenSettings() {
    Json vocabulary = {{"<|endoftext|>", 0}};
    const auto add = [&](const std::string& token) {
      const auto id = vocabulary.size();
      vocabulary[token] = id;
    };
    for (int byte = 0; byte < 256; ++byte) {
      const bool shown = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      hidden_ += shown ? 0 : 1;
      const int point = shown ? byte : 255 + hidden_;
      add(point < 0x80 ? std::string(1, static_cast<char>(point))
                       : std::string{
                             static_cast<char>(0xC0 | point >> 6),
                             static_cast<char>(0x80 | (point & 0x3F))});
    }
    add("<s>");
    const auto added = [](const char* content, int id) {
      return Json{{"id", id}, {"content", content}, {"special", true}};
    };
    Json root;
    root["model"] = {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}};
    root["added_tokens"] = {added("<|endoftext|>", 0), added("<|im_end|>", 258)};
    root["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
    write("tokenizer.json", root);
  }

  void write(const std::string& name, const Json& content) const {
    write_plain(directory_ / name, content.dump());
  }
  std::shared_ptr<const Tokenizer> open() const {
    TokenizerConfig config;
    config.path = directory_.path().string();
    return make_tokenizer(config);
  }

  TemporaryDirectory directory_;
  int hidden_ = 0;
};

TEST_F(TokenSettings, EosIsFoundInEachFileThatMayNameIt) {
  EXPECT_EQ(open()->eos_id(), 0); // an added token of a usual name
  write("tokenizer_config.json", {{"model_max_length", 1024}});
  EXPECT_EQ(open()->eos_id(), 0);
  for (const Json& config : {Json::object(), Json{{"eos_token", nullptr}}}) {
    write("tokenizer_config.json", config);
    write("config.json", {{"eos_token_id", 258}});
    EXPECT_EQ(open()->eos_id(), 258);
    write("generation_config.json", {{"eos_token_id", {0, 258}}});
    EXPECT_EQ(open()->eos_id(), 0);
    EXPECT_EQ(open()->end_ids(), (Ids{0, 258}));
    write("special_tokens_map.json", {{"eos_token", {{"content", "<|im_end|>"}}}});
    EXPECT_EQ(open()->eos_id(), 258);
    EXPECT_EQ(open()->end_ids(), (Ids{258, 0}));
    for (const char* name : {"config.json", "generation_config.json", "special_tokens_map.json"}) {
      std::filesystem::remove(directory_ / name);
    }
  }
}

TEST_F(TokenSettings, AnEosThatTheVocabularyLacksIsAnErrorThatNamesTheFile) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    write(name, {{"eos_token", "</s>"}});
    try {
      open();
      ADD_FAILURE() << name;
    } catch (const FormatError& error) {
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("</s>"), std::string::npos) << error.what();
    }
    std::filesystem::remove(directory_ / name);
  }
}

TEST_F(TokenSettings, WhereNoFileNamesAnEosWhoeverNeedsOneIsToldHowToNameIt) {
  write("tokenizer_config.json", {{"eos_token", nullptr}});
  const auto tokenizer = open();
  EXPECT_EQ(tokenizer->eos_id(), std::nullopt);
  EXPECT_EQ(tokenizer->end_ids(), Ids());
  for (const auto& one : {tokenizer, make_words_tokenizer({"a"})}) {
    try {
      required_eos(*one, "here");
      ADD_FAILURE();
    } catch (const ConfigError& error) {
      const std::string file = one->kind() == "words" ? "vocabulary.txt" : "tokenizer_config.json";
      EXPECT_NE(std::string(error.what()).find(file), std::string::npos) << error.what();
    }
  }
  EXPECT_EQ(required_eos(*make_tokenizer({}), "here"), 257);
}

TEST_F(TokenSettings, BosIsNeverGuessedFromAnOrdinaryPieceOfText) {
  EXPECT_EQ(open()->bos_id(), std::nullopt); // though the vocabulary holds <s>
  write("config.json", {{"bos_token_id", 0}});
  EXPECT_EQ(open()->bos_id(), 0);
  write("tokenizer_config.json", {{"bos_token", nullptr}});
  EXPECT_EQ(open()->bos_id(), std::nullopt);
}

TEST_F(TokenSettings, IdsOutsideTheVocabularyAreTheModelsAffair) {
  write("tokenizer_config.json", {{"eos_token", nullptr}});
  write("config.json", {{"eos_token_id", {-1, 259, "x", 258}}});
  EXPECT_EQ(open()->end_ids(), Ids{258});
}

TEST_F(TokenSettings, AModelDirectorySaysWhereATextEndsAndKeepsTheTokenizersFiles) {
  write("tokenizer_config.json", {{"eos_token", "<|im_end|>"}, {"chat_template", "{{x}}"}});
  write("generation_config.json", {{"eos_token_id", {258, 0}}, {"temperature", 0.5}});
  write_plain(directory_ / "chat_template.jinja", "{{ messages }}");
  const TemporaryDirectory model;
  write_plain(model / "config.json", R"({"model_type": "llama", "rms_norm_eps": 1e-05})");
  save_tokenizer(*open(), {}, model.path());
  const auto read = [&](const char* name) {
    return Json::parse(std::ifstream(model.path() / name));
  };
  const Json config = read("config.json");
  EXPECT_EQ(config.at("eos_token_id"), Json({258, 0}));
  EXPECT_TRUE(config.at("bos_token_id").is_null()); // left out, it would be 1
  EXPECT_EQ(config.at("model_type"), "llama");
  EXPECT_EQ(config.at("rms_norm_eps"), 1e-5);
  EXPECT_EQ(read("generation_config.json").at("eos_token_id"), Json({258, 0}));
  EXPECT_EQ(read("generation_config.json").at("temperature"), 0.5);
  EXPECT_EQ(read("tokenizer_config.json").at("chat_template"), "{{x}}");
  EXPECT_TRUE(std::filesystem::is_regular_file(model.path() / "chat_template.jinja"));
  TokenizerConfig again;
  again.path = model.path().string();
  EXPECT_EQ(make_tokenizer(again)->end_ids(), (Ids{258, 0}));
  EXPECT_EQ(make_tokenizer(again)->hash(), open()->hash());
}

TEST(SaveTokenizer, GivesAModelOfBytesItsGenerationSettings) {
  const TemporaryDirectory model;
  save_tokenizer(*make_tokenizer({}), {}, model.path());
  EXPECT_FALSE(std::filesystem::exists(model.path() / "generation_config.json")); // no model here
  write_plain(model / "config.json", "{}");
  save_tokenizer(*make_tokenizer({}), {}, model.path());
  for (const char* name : {"config.json", "generation_config.json"}) {
    const auto root = Json::parse(std::ifstream(model.path() / name));
    EXPECT_EQ(root.at("bos_token_id"), 256);
    EXPECT_EQ(root.at("eos_token_id"), 257);
  }
}

} // namespace
} // namespace fcc
