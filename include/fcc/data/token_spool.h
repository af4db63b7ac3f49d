#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fcc/core/dtype.h"
#include "fcc/data/token_file.h"

namespace fcc {

class AppendFile;

/// Which documents of a spool go into a file, in which order.
struct TokenFilePart {
  std::optional<std::uint64_t> shuffle_seed =
      std::nullopt;       ///< an order drawn from it; absent: as they came
  std::int64_t first = 0; ///< first document of that order
  std::optional<std::int64_t> count = std::nullopt; ///< absent: all from there on
};

/// Documents on their way into a token file, in two files of a folder beside the target: memory
/// does not grow with the corpus, and a killed process goes on where it last called `sync`.
class TokenSpool {
 public:
  /// What `sync` made durable.
  struct Size {
    std::int64_t num_tokens = 0;
    std::int64_t num_documents = 0;
    std::uint32_t tokens_checksum = 0, starts_checksum = 0; ///< CRC-32 of the two files
  };

  /// Opens the folder (created if absent) and cuts what was written after `size`.
  /// Errors: `IoError`; `FormatError` if less than `size` is there, or other bytes.
  TokenSpool(const std::filesystem::path& folder, std::int64_t vocab_size, Size size);
  ~TokenSpool();
  TokenSpool(const TokenSpool&) = delete;
  TokenSpool& operator=(const TokenSpool&) = delete;

  /// Appends one document; its ids are not empty.
  void append(std::span<const std::int32_t> ids);

  /// Puts everything so far on the disk and tells how much it is.
  Size sync();

  const Size& size() const {
    return size_;
  }

  /// Writes a token file (aside, synced, renamed). The spool stays.
  /// Errors: `IoError`; `Error` if there is no document in the part.
  void write_token_file(
      const std::filesystem::path& path,
      const TokenFileInfo& info,
      const TokenFilePart& part = {});

 private:
  void flush();
  /// The first token of document `d` and one past its last.
  std::array<std::int64_t, 2> bounds_of(std::int64_t d) const;

  DType dtype_;
  Size size_;
  std::unique_ptr<AppendFile> tokens_, starts_;
  std::vector<std::byte> token_buffer_, start_buffer_;
};

} // namespace fcc
