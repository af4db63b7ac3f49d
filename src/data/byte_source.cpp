#include "data/byte_source.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::size_t kChunkBytes = 1 << 18;

class PlainSource final : public ByteSource {
 public:
  explicit PlainSource(const std::filesystem::path& path)
      : where_(path.string()), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) {
      throw IoError(where_, "cannot open", std::strerror(errno));
    }
  }
  ~PlainSource() override {
    ::close(descriptor_);
  }

  std::size_t read(std::span<char> out) override {
    for (;;) {
      const ssize_t count = ::read(descriptor_, out.data(), out.size());
      if (count >= 0) {
        consumed_bytes_ += count;
        return static_cast<std::size_t>(count);
      }
      if (errno != EINTR) {
        throw IoError(where_, "cannot read", std::strerror(errno));
      }
    }
  }

  void skip(std::int64_t count) override {
    if (::lseek(descriptor_, count, SEEK_CUR) < 0) {
      ByteSource::skip(count); // a pipe
    } else {
      consumed_bytes_ += count;
    }
  }

  std::int64_t consumed_bytes() const override {
    return consumed_bytes_;
  }

 private:
  std::string where_;
  int descriptor_;
  std::int64_t consumed_bytes_ = 0;
};

/// Compressed bytes that were read and not yet used.
class Input {
 public:
  explicit Input(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)), buffer_(kChunkBytes) {}

  /// Reads on if nothing is left; false at the end of the file.
  bool refill() {
    if (left_.empty()) {
      left_ = std::span(buffer_).first(source_->read(buffer_));
    }
    return !left_.empty();
  }
  std::span<char> left() const {
    return left_;
  }
  void use(std::size_t count) {
    left_ = left_.subspan(count);
  }
  std::int64_t consumed_bytes() const {
    return source_->consumed_bytes();
  }

 private:
  std::unique_ptr<ByteSource> source_;
  std::vector<char> buffer_;
  std::span<char> left_;
};

class GzipSource final : public ByteSource {
 public:
  GzipSource(const std::filesystem::path& path, std::unique_ptr<ByteSource> source)
      : where_(path.string()), input_(std::move(source)) {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) { // 16: the gzip header, not zlib's
      throw Error(where_, "cannot set up decompression");
    }
  }
  ~GzipSource() override {
    inflateEnd(&stream_);
  }

  std::size_t read(std::span<char> out) override {
    for (;;) {
      if (!input_.refill()) {
        if (inside_) {
          throw FormatError(where_, "the gzip data is cut off");
        }
        return 0;
      }
      if (!inside_ && behind_member_ && !pass_over_padding()) {
        continue;
      }
      inside_ = true;
      stream_.next_in = reinterpret_cast<Bytef*>(input_.left().data());
      stream_.avail_in = static_cast<uInt>(input_.left().size());
      stream_.next_out = reinterpret_cast<Bytef*>(out.data());
      stream_.avail_out = static_cast<uInt>(std::min(out.size(), kChunkBytes));
      const uInt room = stream_.avail_out;
      const int result = inflate(&stream_, Z_NO_FLUSH);
      input_.use(input_.left().size() - stream_.avail_in);
      if (result == Z_STREAM_END) {
        inside_ = false;
        behind_member_ = true;
        inflateReset(&stream_);
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        throw FormatError(
            where_, "the gzip data is corrupt", stream_.msg != nullptr ? stream_.msg : "");
      }
      if (stream_.avail_out < room) {
        return room - stream_.avail_out;
      }
    }
  }

  std::int64_t consumed_bytes() const override {
    return input_.consumed_bytes();
  }

 private:
  /// Archives are filled up with zeros to whole blocks; false where nothing else is left.
  bool pass_over_padding() {
    const std::span<char> left = input_.left();
    const auto end = std::find_if(left.begin(), left.end(), [](char c) { return c != '\0'; });
    input_.use(static_cast<std::size_t>(end - left.begin()));
    return end != left.end();
  }

  std::string where_;
  Input input_;
  z_stream stream_{};
  bool inside_ = false; ///< between a member's header and its end
  bool behind_member_ = false;
};

class ZstdSource final : public ByteSource {
 public:
  ZstdSource(const std::filesystem::path& path, std::unique_ptr<ByteSource> source)
      : where_(path.string()), input_(std::move(source)), stream_(ZSTD_createDCtx()) {
    // `zstd --long=31`, the longest there is; only what is used of a window takes memory.
    if (!stream_ || ZSTD_isError(ZSTD_DCtx_setParameter(
                        stream_.get(), ZSTD_d_windowLogMax, sizeof(void*) == 8 ? 31 : 30)) != 0) {
      throw Error(where_, "cannot set up decompression");
    }
  }

  std::size_t read(std::span<char> out) override {
    for (;;) {
      // The decoder may hold output back although all its input is used.
      if (!input_.refill() && !more_output_) {
        if (inside_) {
          throw FormatError(where_, "the zstd data is cut off");
        }
        return 0;
      }
      ZSTD_inBuffer in{input_.left().data(), input_.left().size(), 0};
      ZSTD_outBuffer produced{out.data(), out.size(), 0};
      const std::size_t result = ZSTD_decompressStream(stream_.get(), &produced, &in);
      const ZSTD_ErrorCode code = ZSTD_getErrorCode(result);
      if (code == ZSTD_error_memory_allocation ||
          code == ZSTD_error_frameParameter_windowTooLarge) {
        throw IoError(
            where_,
            "cannot hold the window of the zstd data in memory (it was packed with --long)",
            ZSTD_getErrorName(result),
            "unpack it with `zstd -d --long=31` and pack it without --long");
      }
      if (ZSTD_isError(result) != 0) {
        throw FormatError(where_, "the zstd data is corrupt", ZSTD_getErrorName(result));
      }
      input_.use(in.pos);
      inside_ = result != 0;
      more_output_ = inside_ && produced.pos == produced.size;
      if (produced.pos > 0) {
        return produced.pos;
      }
    }
  }

  std::int64_t consumed_bytes() const override {
    return input_.consumed_bytes();
  }

 private:
  struct Free {
    void operator()(ZSTD_DCtx* stream) const {
      ZSTD_freeDCtx(stream);
    }
  };

  std::string where_;
  Input input_;
  std::unique_ptr<ZSTD_DCtx, Free> stream_;
  bool inside_ = false; ///< between a frame's header and its end
  bool more_output_ = false;
};

} // namespace

std::string lower_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  for (char& c : extension) { // `.TXT` is as good as `.txt`
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return extension;
}

void ByteSource::skip(std::int64_t count) {
  std::vector<char> unused(kChunkBytes);
  while (count > 0) {
    const auto wanted = std::min(unused.size(), static_cast<std::size_t>(count));
    const std::size_t got = read(std::span(unused).first(wanted));
    if (got == 0) {
      throw FormatError("corpus", "a file has become shorter since the interrupted run");
    }
    count -= static_cast<std::int64_t>(got);
  }
}

PeekedSource::PeekedSource(std::unique_ptr<ByteSource> source, std::size_t most)
    : source_(std::move(source)), head_(most) {
  std::size_t size = 0;
  while (size < most && !head_is_all_) {
    const std::size_t got = source_->read(std::span(head_).subspan(size));
    head_is_all_ = got == 0;
    size += got;
  }
  head_.resize(size);
}

std::size_t PeekedSource::read(std::span<char> out) {
  const std::size_t count = std::min(out.size(), head_.size() - at_);
  if (count == 0) {
    return source_->read(out);
  }
  std::copy_n(head_.begin() + static_cast<std::ptrdiff_t>(at_), count, out.begin());
  at_ += count;
  return count;
}

void PeekedSource::skip(std::int64_t count) {
  const auto from_head = std::min(static_cast<std::size_t>(count), head_.size() - at_);
  at_ += from_head;
  if (count > static_cast<std::int64_t>(from_head)) {
    source_->skip(count - static_cast<std::int64_t>(from_head));
  }
}

std::unique_ptr<ByteSource> open_bytes(const std::filesystem::path& path) {
  using namespace std::string_view_literals;
  const std::string extension = lower_extension(path);
  auto source = std::make_unique<PeekedSource>(std::make_unique<PlainSource>(path), 4);
  if (extension == ".gz" || source->head().starts_with("\x1f\x8b"sv)) {
    return std::make_unique<GzipSource>(path, std::move(source));
  }
  if (extension == ".zst" || source->head() == "\x28\xb5\x2f\xfd"sv) {
    return std::make_unique<ZstdSource>(path, std::move(source));
  }
  return source;
}

} // namespace fcc
