#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/io/files.h"
#include "fcc/text/tokenizer.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace fcc {
namespace {

using Ids = std::vector<std::int32_t>;
const std::filesystem::path kData = std::filesystem::path(source_dir()) / "tests/text/data";

std::shared_ptr<const Tokenizer> open(const std::string& name) {
  TokenizerConfig config;
  config.path = (kData / (name + ".model")).string();
  return make_tokenizer(config);
}

TEST(SentencePieceTokenizer, GivesTheRecordedIdsAndTheTextBack) {
  const auto recorded = nlohmann::json::parse(std::ifstream(kData / "sentencepiece_cases.json"));
  for (const auto& [name, cases] : recorded.at("models").items()) {
    const auto tokenizer = open(name);
    EXPECT_EQ(tokenizer->kind(), "sentencepiece");
    for (const auto& one : cases) {
      const std::string text = one.at("text");
      const Ids ids = tokenizer->encode(text);
      EXPECT_EQ(ids, one.at("ids").get<Ids>()) << name << ": " << text.substr(0, 60);
      if (text.find("\u2581") == std::string::npos) { // the mark of a space reads back as a space
        EXPECT_EQ(tokenizer->decode(ids), text) << name;
      }
    }
  }
}

TEST(SentencePieceTokenizer, CutsLongTextsWhereNoIdChanges) {
  const auto recorded = nlohmann::json::parse(std::ifstream(kData / "sentencepiece_cases.json"));
  for (const auto& [name, cases] : recorded.at("models").items()) {
    std::string once, text;
    for (const auto& one : cases) {
      once += one.at("text").get<std::string>();
    }
    for (int i = 0; i < 40; ++i) {
      text += once;
    }
    const Ids ids = open(name)->encode(text);
    const std::string_view bytes(reinterpret_cast<const char*>(ids.data()), ids.size() * 4);
    EXPECT_EQ(sha256_hex(bytes), recorded.at("long").at(name).get<std::string>()) << name;
  }
}

TEST(SentencePieceTokenizer, NoCutSeparatesASpaceFromAMarkThatIsOneToo) {
  // Encoded whole, so that nothing is cut: a text is cut at the first chance after 16 KiB.
  constexpr std::size_t kChunkBytes = 16 << 10;
  for (const char* name : {"llama_style", "unigram"}) {
    const auto tokenizer = open(name);
    for (const char* end : {"\u2581 \u2581b", " \u2581b", "\u2581 b", "\u2581 \u2581 the", " b"}) {
      const std::string words = "\nthe end";
      const std::string start(kChunkBytes - words.size(), 'a');
      // A line is a text of its own behind its newline, so that the whole is known from its parts.
      Ids expected = tokenizer->encode(start);
      const Ids rest = tokenizer->encode("\n" + std::string("the end") + end);
      const Ids newline = tokenizer->encode("\n");
      const std::size_t prefix = newline.size() - 1; // the dummy prefix, where there is one
      expected.insert(
          expected.end(), rest.begin() + static_cast<std::ptrdiff_t>(prefix), rest.end());
      EXPECT_EQ(tokenizer->encode(start + words + end), expected) << name << end;
    }
  }
}

TEST(SentencePieceTokenizer, ReadsBackAnyBytes) {
  Random random(3);
  for (const char* name : {"llama_style", "unigram"}) {
    const auto tokenizer = open(name);
    for (const int length : {1, 2, 3, 31, 113, 239, 70001}) {
      std::string text;
      while (static_cast<int>(text.size()) < length) {
        text += random.below(2) == 0 ? static_cast<char>(random.below(256))
                                     : "the re\n and"[random.below(11)];
      }
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << name << ' ' << length;
    }
  }
}

TEST(SentencePieceTokenizer, BrokenBytesBecomeBytePiecesAndLeaveTheRestAsItIs) {
  const auto tokenizer = open("llama_style");
  const Ids left = tokenizer->encode("left");
  Ids ids = tokenizer->encode("left\xFF");
  ASSERT_EQ(ids.size(), left.size() + 1);
  EXPECT_EQ(tokenizer->decode(Ids{ids.back()}), "\xFF");
  ids.pop_back();
  EXPECT_EQ(ids, left);
}

TEST(SentencePieceTokenizer, KnowsBosAndEosAndDecodesThemToNothing) {
  const auto tokenizer = open("llama_style");
  EXPECT_EQ(tokenizer->bos_id(), 1);
  EXPECT_EQ(tokenizer->eos_id(), 2);
  EXPECT_EQ(tokenizer->vocab_size(), 2000);
  Ids ids = {1};
  tokenizer->encode("return x", ids);
  ids.push_back(2);
  EXPECT_EQ(tokenizer->decode(ids), "return x");
  EXPECT_THROW(tokenizer->decode(Ids{2000}), Error);
  EXPECT_THROW(tokenizer->decode(Ids{-1}), Error);
}

TEST(SentencePieceTokenizer, RefusesATextThatCannotBeCutWithinBounds) {
  EXPECT_THROW(open("llama_style")->encode(std::string(9 << 20, 'x')), Error);
}

TEST(SentencePieceTokenizer, StreamsByteFallbackAsWholeCharacters) {
  const auto tokenizer = open("llama_style");
  StreamDecoder decoder(tokenizer);
  std::string text;
  for (const auto id : tokenizer->encode("if 日本 😀:")) {
    const std::string piece = decoder.push(id);
    EXPECT_TRUE(piece.empty() || (static_cast<unsigned char>(piece[0]) & 0xC0) != 0x80);
    text += piece;
  }
  EXPECT_EQ(text + decoder.finish(), "if 日本 😀:");
}

TEST(SentencePieceTokenizer, EncodesTheSameFromManyThreads) {
  const auto tokenizer = open("llama_style");
  const std::string text = "for key, value in self.items():\n    yield 12\n";
  const Ids expected = tokenizer->encode(text);
  std::vector<std::thread> threads;
  std::array<bool, 4> equal{};
  for (std::size_t t = 0; t < equal.size(); ++t) {
    threads.emplace_back([&, t] {
      equal[t] = true;
      for (int i = 0; i < 200; ++i) {
        equal[t] = equal[t] && tokenizer->encode(text) == expected;
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(equal, (std::array<bool, 4>{true, true, true, true}));
}

TEST(SentencePieceTokenizer, SavesItsFileAndIsRecognisedByContent) {
  const TemporaryDirectory directory;
  const auto tokenizer = open("unigram");
  save_tokenizer(*tokenizer, {}, directory.path());
  TokenizerConfig config;
  config.path = directory.path().string();
  EXPECT_EQ(make_tokenizer(config)->hash(), tokenizer->hash());
  std::filesystem::remove(directory.path() / "fcc_tokenizer.json");
  EXPECT_EQ(make_tokenizer(config)->hash(), tokenizer->hash());
}

TEST(SentencePieceTokenizer, GoesBeforeATokenizerJsonConvertedFromIt) {
  const TemporaryDirectory directory;
  std::filesystem::copy(kData / "llama_style.model", directory.path() / "tokenizer.model");
  write_plain(directory / "tokenizer.json", "{}");
  TokenizerConfig config;
  config.path = directory.path().string();
  EXPECT_EQ(make_tokenizer(config)->kind(), "sentencepiece");
}

TEST(SentencePieceTokenizer, RefusesMalformedModels) {
  const TemporaryDirectory directory;
  std::ifstream file(kData / "llama_style.model", std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), {});
  TokenizerConfig config;
  config.type = TokenizerKind::kSentencePiece;
  config.path = directory.path().string();
  for (const std::string& content :
       {std::string(), std::string("no protobuf at all"), whole.substr(0, whole.size() / 2)}) {
    write_plain(directory / "tokenizer.model", content);
    EXPECT_THROW(make_tokenizer(config), FormatError) << content.size();
  }
}

TEST(SentencePieceTokenizer, AUnigramsHashHoldsTheLibrarysVersionAndTheEarlierHashIsTaken) {
  for (const std::string name : {"llama_style", "unigram"}) {
    const auto tokenizer = open(name);
    const std::string of_file =
        sha256_hex_of_file(source_dir() + "/tests/text/data/" + name + ".model");
    EXPECT_EQ(tokenizer->hash() == of_file, name != "unigram");
    EXPECT_TRUE(tokenizer->has_hash(of_file));
    EXPECT_TRUE(tokenizer->has_hash(tokenizer->hash()));
    EXPECT_FALSE(tokenizer->has_hash(std::string(64, '0')));
  }
}

} // namespace
} // namespace fcc
