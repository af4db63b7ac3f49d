#include "text/bytes_tokenizer.h"

#include "fcc/io/files.h"
#include "text/token_error.h"

namespace fcc {

void BytesTokenizer::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  const std::size_t start = ids.size();
  ids.resize(start + text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    ids[start + i] = static_cast<unsigned char>(text[i]);
  }
}

std::string BytesTokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  text.reserve(ids.size());
  for (const std::int32_t id : ids) {
    if (id < 0 || id > kEos) {
      throw_bad_id("bytes tokenizer", id, vocab_size());
    }
    if (id < 256) {
      text.push_back(static_cast<char>(id));
    }
  }
  return text;
}

std::string BytesTokenizer::hash() const {
  return sha256_hex("fcc bytes tokenizer: 256 bytes, BOS 256, EOS 257");
}

void BytesTokenizer::save(const std::filesystem::path&) const {}

} // namespace fcc
