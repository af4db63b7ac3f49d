#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/random_access_file.h"
#include "fcc/core/dtype.h"
#include "fcc/io/safetensors.h"

namespace fcc {

/// CRC-32 (zlib's) of `bytes` behind what gave `before`; 0 for nothing.
std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before = 0);

/// Bytes of a token file that share a checksum.
inline constexpr std::int64_t kChecksumBlockBytes = std::int64_t{1} << 20;

/// What a token file's header says, whatever its spelling: a checksum over metadata and tensors.
std::uint32_t header_checksum(const Metadata& metadata, std::span<const TensorHeader> tensors);

/// One CRC-32 a block of what is appended, in the order of the bytes.
class BlockChecksums {
 public:
  void append(std::span<const std::byte> bytes);
  /// Of all blocks; the last one may be short.
  std::vector<std::uint32_t> finish();

 private:
  std::vector<std::uint32_t> checksums_;
  std::uint32_t current_ = 0;
  std::int64_t filled_bytes_ = 0; ///< of the current block
};

/// A stretch of a file, each block of which is compared with its checksum before it is first used.
/// Safe to share between threads.
class CheckedStretch {
 public:
  /// From byte `begin` on, `size_bytes` long. `checksums`: one a block, or none: nothing is
  /// compared.
  CheckedStretch(
      RandomAccessFile file,
      std::int64_t begin,
      std::int64_t size_bytes,
      std::int64_t block_bytes,
      std::vector<std::uint32_t> checksums);

  /// Fills `bytes` from `offset` in the stretch on.
  /// Errors: `IoError`; `FormatError` on a block that was changed.
  void read(std::int64_t offset, std::span<std::byte> bytes) const;

  /// Compares all blocks. Errors: those of `read`.
  void verify() const;

 private:
  void verify_block(std::int64_t block) const;

  RandomAccessFile file_;
  std::int64_t begin_, size_bytes_, block_bytes_;
  std::vector<std::uint32_t> checksums_;
  std::unique_ptr<std::atomic<bool>[]> verified_;
};

} // namespace fcc
