// Encodes documents for scripts/compare_tokenizers.py.
//
//   tokenize PATH [--kind huggingface] [--special] [--lossy] [--time]
//
// Standard input: documents, each 4 bytes of length (little-endian) and its bytes. Standard output:
// for each, 4 bytes of count and its ids (int32); every document must decode to itself (without the
// bytes that no token of the vocabulary stands for: SmolLM2 lacks some that text never has), or the
// program ends with 3 and names the first that does not (--lossy: need not). --time: no ids, but
// the processor seconds that all documents took, the second time through (one thread), as text.

#include <array>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <string>
#include <vector>

#include "fcc/core/error.h"
#include "fcc/text/tokenizer.h"

namespace {

using Ids = std::vector<std::int32_t>;

std::vector<std::string> read_documents() {
  std::vector<std::string> documents;
  std::uint32_t size = 0;
  while (std::fread(&size, sizeof(size), 1, stdin) == 1) {
    std::string document(size, '\0');
    if (std::fread(document.data(), 1, size, stdin) != size) {
      throw fcc::Error("standard input", "a document must be as long as it says");
    }
    documents.push_back(std::move(document));
  }
  return documents;
}

fcc::TokenizerConfig config_of(const std::string& path, const std::string& kind) {
  fcc::TokenizerConfig config;
  config.path = path;
  if (kind == "huggingface") {
    config.type = fcc::TokenizerKind::kHuggingFace;
  } else if (kind == "tiktoken") {
    config.type = fcc::TokenizerKind::kTiktoken;
  } else if (kind == "sentencepiece") {
    config.type = fcc::TokenizerKind::kSentencePiece;
  }
  return config;
}

/// The document without the bytes that the tokenizer cannot write.
std::string writable(const std::string& document, const std::array<bool, 256>& lacking) {
  std::string result;
  for (const char c : document) {
    if (!lacking[static_cast<unsigned char>(c)]) {
      result.push_back(c);
    }
  }
  return result;
}

int run(const std::vector<std::string>& arguments) {
  std::string path, kind;
  bool special = false, lossy = false, time = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--special") {
      special = true;
    } else if (arguments[i] == "--lossy") {
      lossy = true;
    } else if (arguments[i] == "--time") {
      time = true;
    } else if (arguments[i] == "--kind" && i + 1 < arguments.size()) {
      kind = arguments[++i];
    } else {
      path = arguments[i];
    }
  }
  const auto tokenizer = fcc::make_tokenizer(config_of(path, kind));
  const auto documents = read_documents();
  const auto encode = [&](const std::string& document, Ids& ids) {
    ids.clear();
    special ? tokenizer->encode_with_special(document, ids) : tokenizer->encode(document, ids);
  };

  Ids ids;
  if (time) {
    double seconds = 0;
    for (int round = 0; round < 2; ++round) {
      const std::clock_t start = std::clock();
      for (const std::string& document : documents) {
        encode(document, ids);
      }
      seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    }
    std::printf("%.6f\n", seconds);
    return 0;
  }
  std::array<bool, 256> lacking{};
  for (std::size_t byte = 0; byte < lacking.size(); ++byte) {
    lacking[byte] = tokenizer->encode(std::string(1, static_cast<char>(byte))).empty();
  }
  for (std::size_t i = 0; i < documents.size(); ++i) {
    encode(documents[i], ids);
    if (!special && !lossy && tokenizer->decode(ids) != writable(documents[i], lacking)) {
      std::fprintf(stderr, "document %zu does not decode to itself\n", i);
      return 3;
    }
    const auto count = static_cast<std::uint32_t>(ids.size());
    std::fwrite(&count, sizeof(count), 1, stdout);
    std::fwrite(ids.data(), sizeof(std::int32_t), ids.size(), stdout);
  }
  return 0;
}

} // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "tokenize: error: " << error.what() << '\n';
    return 1;
  }
}
