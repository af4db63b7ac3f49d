#pragma once

#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fcc/data/passkey.h"
#include "fcc/data/token_file.h"
#include "fcc/data/token_spool.h"
#include "fcc/text/tokenizer.h"
#include "fcc/text/words_tokenizer.h"
#include "support/temporary_directory.h"

namespace fcc::test {

using TemporaryFolder = TemporaryDirectory;

inline std::shared_ptr<const Tokenizer> bytes_tokenizer() {
  return make_tokenizer(TokenizerConfig());
}

/// A words tokenizer for the passkey task with the paper's texts.
inline std::shared_ptr<const Tokenizer> passkey_words_tokenizer() {
  return make_words_tokenizer(words_vocabulary(passkey_texts({})));
}

/// Writes a token file with these documents.
inline std::filesystem::path write_tokens(
    const TemporaryFolder& folder,
    const std::vector<std::vector<std::int32_t>>& documents,
    const Tokenizer& tokenizer,
    const std::string& name = "tokens.safetensors") {
  TokenSpool spool(folder / (name + ".spool"), tokenizer.vocab_size(), {});
  for (const auto& document : documents) {
    spool.append(document);
  }
  spool.write_token_file(folder / name, token_file_info(tokenizer, false, true));
  return folder / name;
}

inline DatasetConfig dataset_of(DatasetKind type, const std::filesystem::path& path = {}) {
  DatasetConfig config;
  config.type = type;
  if (!path.empty()) {
    config.path = path.string();
  }
  return config;
}

/// What make_parquet.py wrote into documents.parquet.
inline std::vector<std::string> parquet_documents() {
  const std::array<std::string, 5> endings{
      "",
      "two\nlines\n",
      "\"quoted\" \\ \t",
      "gr\u00fc\u00df \U0001F600",
      "\u65e5\u672c\u8a9e\r\n"};
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < 113; ++i) {
    std::string& text = texts.emplace_back();
    for (std::size_t k = 0; i != 40 && k < 1 + i * i % 97; ++k) {
      text += "document " + std::to_string(i) + " ";
    }
    text += i != 40 ? endings[i % 5] : "";
  }
  return texts;
}

/// Documents of these lengths, ids counting up from 0 modulo `vocab_size` over all of them.
inline std::vector<std::vector<std::int32_t>> counting_documents(
    const std::vector<std::int64_t>& lengths,
    std::int64_t vocab_size = 256) {
  std::vector<std::vector<std::int32_t>> documents;
  std::int64_t next = 0;
  for (const std::int64_t length : lengths) {
    auto& document = documents.emplace_back();
    for (std::int64_t i = 0; i < length; ++i) {
      document.push_back(static_cast<std::int32_t>(next++ % vocab_size));
    }
  }
  return documents;
}

} // namespace fcc::test
