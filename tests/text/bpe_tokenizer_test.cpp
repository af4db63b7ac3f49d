#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/text/tokenizer.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

using Ids = std::vector<std::int32_t>;
const std::filesystem::path kData = std::filesystem::path(source_dir()) / "tests/text/data/bpe";
constexpr std::array kLossless = {"gpt2", "llama3", "smollm2", "added", "tiktoken"};

std::shared_ptr<const Tokenizer> open(const std::filesystem::path& path) {
  TokenizerConfig config;
  config.path = path.string();
  return make_tokenizer(config);
}

nlohmann::json recorded_cases() {
  return nlohmann::json::parse(std::ifstream(kData / "cases.json"));
}

Ids encode_with_special(const Tokenizer& tokenizer, const std::string& text) {
  Ids ids;
  tokenizer.encode_with_special(text, ids);
  return ids;
}

std::string random_bytes(Random& random, int length) {
  std::string text;
  while (static_cast<int>(text.size()) < length) {
    text +=
        random.below(3) == 0
            ? std::string(1, static_cast<char>(random.below(256)))
            : std::array{"the", " self", "é", "12", "\n", "😀", "語", "  "}[static_cast<std::size_t>(
                  random.below(8))];
  }
  return text;
}

TEST(BpeTokenizer, GivesTheRecordedIdsOfHuggingFaceAndTiktoken) {
  const auto cases = recorded_cases();
  for (const auto& [name, expected] : cases.at("plain").items()) {
    const auto tokenizer = open(kData / name);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::string text = cases.at("texts")[i];
      EXPECT_EQ(tokenizer->encode(text), expected[i].get<Ids>()) << name << ": " << text;
    }
  }
}

TEST(BpeTokenizer, ParsesSpecialTokensOnlyIfAsked) {
  const auto cases = recorded_cases();
  for (const auto& [name, expected] : cases.at("special").items()) {
    const auto tokenizer = open(kData / name);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const std::string text = cases.at("special_texts")[i];
      EXPECT_EQ(encode_with_special(*tokenizer, text), expected[i].get<Ids>()) << name << text;
    }
  }
  const auto llama3 = open(kData / "llama3");
  EXPECT_EQ(encode_with_special(*llama3, "<|eot_id|>"), Ids{1002});
  EXPECT_GT(llama3->encode("<|eot_id|>").size(), 3u);
  EXPECT_EQ(llama3->decode(llama3->encode("<|eot_id|>")), "<|eot_id|>");
}

TEST(BpeTokenizer, ReadsBackAnyBytes) {
  Random random(5);
  for (const char* name : kLossless) {
    const auto tokenizer = open(kData / name);
    for (const int length : {0, 1, 2, 3, 31, 113, 239, 5000}) {
      const std::string text = random_bytes(random, length);
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << name << ' ' << length;
    }
  }
}

TEST(BpeTokenizer, BrokenBytesAreTokensOfTheirOwnBetweenTextsOfTheirOwn) {
  const auto tokenizer = open(kData / "llama3");
  Ids expected = tokenizer->encode("return self");
  const Ids middle = tokenizer->encode("é x");
  for (const char* broken : {"\xFF", "\xE2", "\x82"}) {
    const Ids id = tokenizer->encode(broken);
    ASSERT_EQ(id.size(), 1u);
    expected.push_back(id[0]);
    if (*broken == '\xFF') {
      expected.insert(expected.end(), middle.begin(), middle.end());
    }
  }
  EXPECT_EQ(tokenizer->encode("return self\xFFé x\xE2\x82"), expected);
}

TEST(BpeTokenizer, EncodesTheSameFromManyThreadsAndAfterAnyHistory) {
  for (const char* name : kLossless) {
    const auto tokenizer = open(kData / name);
    Random random(9);
    std::vector<std::string> texts;
    std::vector<Ids> expected;
    for (int i = 0; i < 40; ++i) {
      texts.push_back(random_bytes(random, 300));
      expected.push_back(open(kData / name)->encode(texts.back())); // a fresh one, nothing cached
    }
    std::array<int, 4> equal{};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < equal.size(); ++t) {
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < 3 * texts.size(); ++i) {
          const std::size_t at = (i * (2 * t + 1)) % texts.size();
          equal[t] += tokenizer->encode(texts[at]) == expected[at];
        }
      });
    }
    for (auto& thread : threads) {
      thread.join();
    }
    EXPECT_EQ(equal, (std::array<int, 4>{120, 120, 120, 120})) << name;
  }
}

TEST(BpeTokenizer, StaysQuickOnOneLongWordOrLine) {
  // Quadratic work would take hours here; no limit is set on the time itself.
  for (const char* name : {"gpt2", "llama3", "smollm2", "tiktoken"}) {
    const auto tokenizer = open(kData / name);
    for (const std::string& unit :
         {std::string("ab"),
          std::string(" "),
          std::string("\n "),
          std::string("7"),
          std::string("!"),
          std::string("é")}) {
      std::string text;
      while (text.size() < 300000) {
        text += unit;
      }
      for (const char* end : {"", "x"}) {
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(text + end)), text + end) << name;
      }
    }
  }
}

TEST(BpeTokenizer, RefusesAWordThatIsTooLongAndGoesOnAfterwards) {
  const auto tokenizer = open(kData / "llama3");
  EXPECT_THROW(tokenizer->encode(std::string((16 << 20) + 1, 'x')), Error);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("return x")), "return x");
}

TEST(BpeTokenizer, KnowsBosAndEosFromTheFilesOrByName) {
  EXPECT_EQ(open(kData / "llama3")->bos_id(), 1000); // of the post-processor
  EXPECT_EQ(open(kData / "llama3")->eos_id(), 1001);
  EXPECT_EQ(open(kData / "gpt2")->eos_id(), 0);
  EXPECT_EQ(open(kData / "gpt2")->bos_id(), std::nullopt);
  const auto tiktoken = open(kData / "tiktoken");
  EXPECT_EQ(tiktoken->bos_id(), 1000);
  EXPECT_EQ(tiktoken->eos_id(), 1001);
  EXPECT_EQ(tiktoken->vocab_size(), 1256);

  const TemporaryDirectory directory;
  std::filesystem::copy(kData / "smollm2/tokenizer.json", directory.path() / "tokenizer.json");
  write_plain(
      directory / "tokenizer_config.json",
      R"({"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>", "other": [1]})");
  EXPECT_EQ(open(directory.path())->bos_id(), 1);
  EXPECT_EQ(open(directory.path())->eos_id(), 2);
}

TEST(BpeTokenizer, DecodesSpecialTokensToNothingAndRefusesUnknownIds) {
  const auto tokenizer = open(kData / "llama3");
  Ids ids = {1000};
  tokenizer->encode("x y", ids);
  ids.push_back(1001);
  EXPECT_EQ(tokenizer->decode(ids), "x y");
  EXPECT_EQ(tokenizer->vocab_size(), 1003);
  EXPECT_THROW(tokenizer->decode(Ids{1003}), Error);
  EXPECT_THROW(tokenizer->decode(Ids{-1}), Error);
}

TEST(BpeTokenizer, SavesItsFilesAndOpensTheSame) {
  for (const char* name : kLossless) {
    const TemporaryDirectory directory;
    const auto tokenizer = open(kData / name);
    save_tokenizer(*tokenizer, {}, directory.path());
    const auto again = open(directory.path());
    EXPECT_EQ(again->hash(), tokenizer->hash());
    EXPECT_EQ(again->kind(), std::string(name) == "tiktoken" ? "tiktoken" : "huggingface");
    EXPECT_EQ(again->bos_id(), tokenizer->bos_id());
    std::filesystem::remove(directory.path() / "fcc_tokenizer.json");
    EXPECT_EQ(open(directory.path())->hash(), tokenizer->hash()); // recognised by content
  }
}

TEST(BpeTokenizer, HashDependsOnWhatDefinesIdsNotOnHowTheFileIsWritten) {
  const TemporaryDirectory directory;
  auto root = nlohmann::json::parse(std::ifstream(kData / "llama3/tokenizer.json"));
  const std::string hash = open(kData / "llama3")->hash();
  for (auto& merge : root["model"]["merges"]) {
    if (merge.is_array()) {
      merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    }
  }
  root["truncation"] = nullptr;
  write_plain(directory / "tokenizer.json", root.dump(4));
  EXPECT_EQ(open(directory.path())->hash(), hash);
  root["model"]["ignore_merges"] = false;
  write_plain(directory / "tokenizer.json", root.dump());
  EXPECT_NE(open(directory.path())->hash(), hash);
  EXPECT_NE(open(kData / "gpt2")->hash(), hash);
}

TEST(BpeTokenizer, StreamsWholeCharacters) {
  const auto tokenizer = open(kData / "gpt2");
  StreamDecoder decoder(tokenizer);
  std::string text;
  const std::string expected = "naïve 語 😀 \xFF ok";
  for (const auto id : tokenizer->encode(expected)) {
    text += decoder.push(id);
  }
  EXPECT_EQ(text + decoder.finish(), expected);
}

} // namespace
} // namespace fcc
