#pragma once

#include "fcc/text/tokenizer.h"

namespace fcc {

/// Ids 0 to 255 are the bytes, 256 is BOS, 257 is EOS. Built in: it has no file.
class BytesTokenizer final : public Tokenizer {
 public:
  using Tokenizer::encode;
  static constexpr std::int32_t kBos = 256;
  static constexpr std::int32_t kEos = 257;

  std::int64_t vocab_size() const override {
    return 258;
  }
  void encode(std::string_view text, std::vector<std::int32_t>& ids) const override;
  std::string decode(std::span<const std::int32_t> ids) const override;
  std::optional<std::int32_t> bos_id() const override {
    return kBos;
  }
  std::optional<std::int32_t> eos_id() const override {
    return kEos;
  }
  std::string kind() const override {
    return "bytes";
  }
  std::string hash() const override;
  void save(const std::filesystem::path& directory) const override;
};

} // namespace fcc
