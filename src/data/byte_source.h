#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fcc {

/// A file's content as a stream, decompressed.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Fills the front of `out` and returns how much; 0 only at the end.
  /// Errors: `IoError`; `FormatError` on compressed data that is corrupt or cut off.
  virtual std::size_t read(std::span<char> out) = 0;

  /// Passes over `count` bytes. Errors: `FormatError` if there are fewer.
  virtual void skip(std::int64_t count);

  /// Bytes of the file itself that were read: how far it is.
  virtual std::int64_t consumed_bytes() const = 0;
};

/// A source whose first bytes can be looked at before they are read.
class PeekedSource final : public ByteSource {
 public:
  /// Reads up to `most` bytes ahead.
  PeekedSource(std::unique_ptr<ByteSource> source, std::size_t most);

  /// What was read ahead and is not yet given out; short of `most` only where the source ends.
  std::string_view head() const {
    return {head_.data() + at_, head_.size() - at_};
  }
  /// Whether the head reaches the end of the source.
  bool head_is_all() const {
    return head_is_all_;
  }

  std::size_t read(std::span<char> out) override;
  void skip(std::int64_t count) override;
  std::int64_t consumed_bytes() const override {
    return source_->consumed_bytes();
  }

 private:
  std::unique_ptr<ByteSource> source_;
  std::vector<char> head_;
  std::size_t at_ = 0;
  bool head_is_all_ = false;
};

/// Unpacks gzip and zstd (any number of members or frames; zeros behind gzip are padding; zstd
/// windows to 2 GiB, as much memory as they are used). `.gz` and `.zst` must be what they are
/// called; under other names the first bytes tell, and anything else comes as it is.
std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path);

/// The last extension with its dot, in lower case: `.TXT` is as good as `.txt`.
std::string lower_extension(const std::filesystem::path& path);

} // namespace fcc
