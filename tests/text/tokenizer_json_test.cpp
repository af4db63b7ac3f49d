#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/text/tokenizer.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

using Json = nlohmann::json;

const std::filesystem::path kFile =
    std::filesystem::path(source_dir()) / "tests/text/data/bpe/llama3/tokenizer.json";

/// What opening `content` as a tokenizer.json says; empty if nothing is wrong.
std::string complaint(const std::string& content) {
  const TemporaryDirectory directory;
  TokenizerConfig config;
  write_plain(directory / "tokenizer.json", content);
  config.path = (directory / "tokenizer.json").string();
  try {
    make_tokenizer(config);
  } catch (const FormatError& error) {
    return error.what();
  }
  return {};
}

std::string complaint_after(const std::function<void(Json&)>& change) {
  auto root = Json::parse(std::ifstream(kFile));
  change(root);
  return complaint(root.dump());
}

#define EXPECT_COMPLAINT(part, change)                                                 \
  EXPECT_NE(complaint_after([](Json& root) { change; }).find(part), std::string::npos) \
      << complaint_after([](Json& root) { change; })

TEST(TokenizerJson, TheUnchangedFileIsFine) {
  EXPECT_EQ(complaint_after([](Json&) {}), "");
}

TEST(TokenizerJson, RefusesByNameWhatItDoesNotSupport) {
  EXPECT_COMPLAINT("NFC", (root["normalizer"] = {{"type", "NFC"}}));
  EXPECT_COMPLAINT(
      "Lowercase",
      (root["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}}}}));
  EXPECT_COMPLAINT("Unigram", (root["model"]["type"] = "Unigram"));
  EXPECT_COMPLAINT("dropout", (root["model"]["dropout"] = 0.1));
  EXPECT_COMPLAINT("byte_fallback", (root["model"]["byte_fallback"] = true));
  EXPECT_COMPLAINT("end_of_word_suffix", (root["model"]["end_of_word_suffix"] = "</w>"));
  EXPECT_COMPLAINT("new_setting", (root["model"]["new_setting"] = 1));
  EXPECT_COMPLAINT("new_part", (root["new_part"] = 1));
  EXPECT_COMPLAINT("Metaspace", (root["pre_tokenizer"] = {{"type", "Metaspace"}}));
  EXPECT_COMPLAINT("ByteLevel", (root["pre_tokenizer"] = nullptr));
  EXPECT_COMPLAINT("WordPiece", (root["decoder"] = {{"type", "WordPiece"}}));
  EXPECT_COMPLAINT("single_word", (root["added_tokens"][0]["single_word"] = true));
  EXPECT_COMPLAINT("Removed", (root["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"));
  EXPECT_COMPLAINT("invert", (root["pre_tokenizer"]["pretokenizers"][0]["invert"] = true));
  EXPECT_COMPLAINT(
      "follow ByteLevel", (root["pre_tokenizer"]["pretokenizers"].push_back({{"type", "Digits"}})));
}

TEST(TokenizerJson, RefusesPatternsThatDoNotCompileOrMeanSomethingElse) {
  for (const char* pattern :
       {"(",
        "[a",
        "\\w+",
        "[[:alpha:]]",
        "[a&&b]",
        "\\bx",
        "(?<n>x)",
        "\\p{Nope}",
        "(*SKIP)",
        "a{2,1}"}) {
    const auto text = complaint_after([&](Json& root) {
      root["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern;
    });
    EXPECT_NE(text.find("split pattern"), std::string::npos) << pattern << text;
  }
}

TEST(TokenizerJson, RefusesMalformedVocabularies) {
  EXPECT_COMPLAINT("needs the key 'vocab'", (root["model"].erase("vocab")));
  EXPECT_COMPLAINT("must be an object", (root["model"]["vocab"] = Json::array()));
  EXPECT_COMPLAINT("whole numbers", (root["model"]["vocab"]["!"] = "zero"));
  EXPECT_COMPLAINT("without holes", (root["model"]["vocab"]["!"] = -1));
  EXPECT_COMPLAINT("without holes", (root["model"]["vocab"]["!"] = 4000000000));
  EXPECT_COMPLAINT("without holes", (root["model"]["vocab"]["!"] = 1u << 31));
  EXPECT_COMPLAINT("twice", (root["model"]["vocab"]["!"] = 7));
  EXPECT_COMPLAINT("without holes", (root["added_tokens"][2]["id"] = 1007));
  EXPECT_COMPLAINT("another token", (root["added_tokens"][2]["id"] = 5));
  EXPECT_COMPLAINT("twice", (root["added_tokens"][2]["id"] = 1001));
  EXPECT_COMPLAINT("another token", (root["added_tokens"][2]["content"] = "<|end_of_text|>"));
  EXPECT_COMPLAINT("empty", (root["added_tokens"][2]["content"] = ""));
  EXPECT_COMPLAINT("unk_token", (root["model"]["unk_token"] = "<nothing>"));
}

TEST(TokenizerJson, BoundsWhatAFileCanMakeOfItsTexts) {
  EXPECT_COMPLAINT("at most 32 pre-tokenizers", {
    Json steps = Json::array();
    for (int i = 0; i < 60000; ++i) {
      steps.push_back({{"type", "Digits"}, {"individual_digits", true}});
    }
    steps.push_back(root["pre_tokenizer"]["pretokenizers"].back());
    root["pre_tokenizer"]["pretokenizers"] = steps;
  });
  EXPECT_COMPLAINT(
      "at most 1024 bytes", (root["added_tokens"][2]["content"] = std::string(1025, '<')));
}

TEST(TokenizerJson, RefusesMalformedMerges) {
  EXPECT_COMPLAINT("two tokens", (root["model"]["merges"][3] = "a"));
  EXPECT_COMPLAINT("two tokens", (root["model"]["merges"][3] = "a b c"));
  EXPECT_COMPLAINT("two tokens", (root["model"]["merges"][3] = {"a", "b", "c"}));
  EXPECT_COMPLAINT("a string or an array", (root["model"]["merges"][3] = 5));
  EXPECT_COMPLAINT("two strings", (root["model"]["merges"][3] = Json::array({"a", 5})));
  EXPECT_COMPLAINT("not in the vocabulary", (root["model"]["merges"][3] = "a zzzz"));
  EXPECT_COMPLAINT("not in the vocabulary", (root["model"]["merges"][3] = "~ ~")); // no "~~"
  EXPECT_COMPLAINT("not in the vocabulary", (root["model"]["merges"][3] = " a"));
  EXPECT_COMPLAINT("twice", (root["model"]["merges"][3] = root["model"]["merges"][2]));
}

TEST(TokenizerJson, RefusesWhatIsNoJson) {
  std::string nested(100000, '[');
  EXPECT_NE(complaint(""), "");
  EXPECT_NE(complaint("{"), "");
  EXPECT_NE(complaint("[]"), "");
  EXPECT_NE(complaint("{\"model\": {}}"), "");
  EXPECT_NE(complaint(nested), "");
  EXPECT_NE(complaint("{\"model\": " + nested), "");
  EXPECT_NE(complaint(R"({"model": {"vocab": {"a": 0, "a": 1}, "merges": []}})"), "");
  std::ifstream file(kFile);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  EXPECT_NE(complaint(whole.substr(0, whole.size() / 2)), "");
}

TEST(TokenizerJson, MergesThatLeadBackDoNotLoop) {
  // Every merge makes one id of two, so even a table that is no tree comes to an end.
  const TemporaryDirectory directory;
  auto root = Json::parse(std::ifstream(kFile));
  auto& model = root["model"];
  model["merges"] = Json::array();
  model["ignore_merges"] = false;
  Json vocabulary;
  for (const auto& [token, id] : model["vocab"].items()) {
    if (id < 256) {
      vocabulary[token] = id;
    }
  }
  for (const char* token : {"aa", "aaa", "aaaa"}) {
    vocabulary[token] = vocabulary.size();
  }
  model["vocab"] = vocabulary;
  root["added_tokens"] = Json::array();
  root["post_processor"] = nullptr;
  model["merges"] = {"a aaa", "aaa a", "aa aa", "a aa", "aa a", "a a"};
  write_plain(directory / "tokenizer.json", root.dump());
  TokenizerConfig config;
  config.path = directory.path().string();
  const auto tokenizer = make_tokenizer(config);
  for (const std::size_t length : {1u, 7u, 95u, 96u, 97u, 500u}) {
    const std::string text(length, 'a');
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

} // namespace
} // namespace fcc
