#include "data/block_checksums.h"

#include <zlib.h>

#include <algorithm>
#include <utility>

#include "fcc/core/error.h"

namespace fcc {

std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before) {
  if (bytes.empty()) {
    return before; // zlib takes a null pointer, which an empty span has, for a new beginning
  }
  return static_cast<std::uint32_t>(
      ::crc32_z(before, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::uint32_t header_checksum(const Metadata& metadata, std::span<const TensorHeader> tensors) {
  std::string text;
  const auto add = [&text](std::string_view part) {
    text += std::to_string(part.size()) + ":";
    text += part;
  };
  for (const auto& [key, value] : metadata) {
    add(key);
    add(value);
  }
  for (const TensorHeader& tensor : tensors) {
    add(tensor.name);
    add(dtype_name(tensor.dtype));
    for (const std::int64_t size : tensor.shape) {
      add(std::to_string(size));
    }
  }
  return crc32_of(std::as_bytes(std::span(text)));
}

void BlockChecksums::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto count =
        std::min(bytes.size(), static_cast<std::size_t>(kChecksumBlockBytes - filled_bytes_));
    current_ = crc32_of(bytes.first(count), current_);
    filled_bytes_ += static_cast<std::int64_t>(count);
    bytes = bytes.subspan(count);
    if (filled_bytes_ == kChecksumBlockBytes) {
      checksums_.push_back(std::exchange(current_, 0));
      filled_bytes_ = 0;
    }
  }
}

std::vector<std::uint32_t> BlockChecksums::finish() {
  if (filled_bytes_ > 0) {
    checksums_.push_back(std::exchange(current_, 0));
    filled_bytes_ = 0;
  }
  return std::move(checksums_);
}

CheckedStretch::CheckedStretch(
    RandomAccessFile file,
    std::int64_t begin,
    std::int64_t size_bytes,
    std::int64_t block_bytes,
    std::vector<std::uint32_t> checksums)
    : file_(std::move(file)),
      begin_(begin),
      size_bytes_(size_bytes),
      block_bytes_(block_bytes),
      checksums_(std::move(checksums)),
      verified_(std::make_unique<std::atomic<bool>[]>(checksums_.size())) {}

void CheckedStretch::read(std::int64_t offset, std::span<std::byte> bytes) const {
  if (!checksums_.empty() && !bytes.empty()) {
    const std::int64_t last = (offset + static_cast<std::int64_t>(bytes.size()) - 1) / block_bytes_;
    for (std::int64_t block = offset / block_bytes_; block <= last; ++block) {
      // Two threads may both compare a block; the answer is the same.
      if (!verified_[static_cast<std::size_t>(block)].load(std::memory_order_relaxed)) {
        verify_block(block);
      }
    }
  }
  file_.read(begin_ + offset, bytes);
}

void CheckedStretch::verify() const {
  for (std::size_t block = 0; block < checksums_.size(); ++block) {
    verify_block(static_cast<std::int64_t>(block));
  }
}

void CheckedStretch::verify_block(std::int64_t block) const {
  const std::int64_t from = block * block_bytes_;
  std::vector<std::byte> bytes(
      static_cast<std::size_t>(std::min(block_bytes_, size_bytes_ - from)));
  file_.read(begin_ + from, bytes);
  const auto at = static_cast<std::size_t>(block);
  if (crc32_of(bytes) != checksums_[at]) {
    throw FormatError(
        file_.path().string(),
        "must be as it was written",
        "bytes " + std::to_string(begin_ + from) + " to " +
            std::to_string(begin_ + from + static_cast<std::int64_t>(bytes.size())) +
            " do not have their checksum",
        "the file was damaged or changed: make it again");
  }
  verified_[at].store(true, std::memory_order_relaxed);
}

} // namespace fcc
