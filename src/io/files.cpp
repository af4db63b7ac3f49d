#include "fcc/io/files.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "fcc/core/error.h"
#include "io/meant_files.h"
#include "io/posix.h"

namespace fcc {
namespace fs = std::filesystem;
namespace {

/// One write call takes at most this much (Linux's own limit is just under 2 GiB).
constexpr std::size_t kMaxWriteBytes = std::size_t{1} << 30;

/// Whether `path` is there and neither a regular file nor a folder: a device, FIFO or socket, or
/// what a process has open (/dev/stdout), to which a file put in its place would not go.
bool takes_bytes_as_they_come(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (error || !fs::exists(status) || fs::is_directory(status)) {
    return false;
  }
  const std::string name = path.string();
  return !fs::is_regular_file(status) || name.starts_with("/proc/") || name.starts_with("/dev/fd/");
}

/// Reads to the end of the file, `take` by `take`.
template <typename Take>
void read_chunks(const fs::path& path, const Take& take) {
  const Descriptor descriptor = open_to_read(path);
  std::vector<char> buffer(std::size_t{1} << 20);
  while (true) {
    const ssize_t count = ::read(descriptor.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      throw_io_error(path, "must be readable");
    }
    if (count == 0) {
      return;
    }
    take(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
  }
}

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    check(
        context_ && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1,
        "sha256",
        "OpenSSL must offer SHA-256");
  }
  void update(std::string_view bytes) {
    check(
        EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1,
        "sha256",
        "OpenSSL must accept the bytes");
  }
  std::string hex() {
    std::array<unsigned char, 32> digest{};
    check(
        EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1,
        "sha256",
        "OpenSSL must finish the hash");
    std::string text;
    for (const unsigned char byte : digest) {
      text += "0123456789abcdef"[byte >> 4];
      text += "0123456789abcdef"[byte & 15];
    }
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
};

} // namespace

/// Size and hash of what was written, whatever becomes of it on its way to the disk.
class AtomicFile::Meant {
 public:
  void add(std::span<const std::byte> bytes) {
    hash_.update({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    size_ += static_cast<std::int64_t>(bytes.size());
  }
  MeantFile finish() {
    return {size_, hash_.hex()};
  }

 private:
  Sha256 hash_;
  std::int64_t size_ = 0;
};

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  std::size_t size = 0;
  const Descriptor descriptor = open_regular_file(path, size);
  if (size == 0) {
    return; // an empty mapping is an error to the system, an empty file is none
  }
  void* const start = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (start == MAP_FAILED) {
    throw_io_error(path, "must be mappable into memory");
  }
  bytes_ = {static_cast<const std::byte*>(start), size};
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) {
    ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
  }
}

std::string read_file(const fs::path& path) {
  std::string content;
  read_chunks(path, [&](std::string_view chunk) { content += chunk; });
  return content;
}

AtomicFile::AtomicFile(fs::path target) : target_(followed(target)) {
  if (takes_bytes_as_they_come(target_)) {
    descriptor_ = ::open(target_.c_str(), O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
    if (descriptor_ < 0) {
      throw_io_error(target_, "must be writable");
    }
    return;
  }
  remove_leftovers(target_);
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    if (attempt == kMaxTemporaries) {
      refuse_taken_temporaries(target_);
    }
    temporary_ = temporary_name(target_);
    Descriptor descriptor(
        ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (descriptor.get() < 0 && errno != EEXIST) {
      throw_io_error(target_, "must be writable");
    }
    if (descriptor.get() < 0) {
      continue;
    }
    if (lock_temporary(descriptor.get(), temporary_)) {
      descriptor_ = descriptor.release();
    }
  }
  if (is_noted(target_)) {
    meant_ = std::make_unique<Meant>();
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) {
    if (!temporary_.empty()) {
      ::unlink(temporary_.c_str());
    }
    ::close(descriptor_);
  }
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  check(descriptor_ >= 0, "AtomicFile::write", "nothing may be written after commit()");
  if (meant_) {
    meant_->add(bytes);
  }
  while (!bytes.empty()) {
    const ssize_t count =
        ::write(descriptor_, bytes.data(), std::min(bytes.size(), kMaxWriteBytes));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      throw_io_error(target_, "must be writable");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::commit() {
  check(descriptor_ >= 0, "AtomicFile::commit", "must be called once");
  if (temporary_.empty()) { // all is written; a device or a pipe cannot be synced
    if (::close(std::exchange(descriptor_, -1)) != 0) {
      throw_io_error(target_, "must be writable");
    }
    return;
  }
  if (::fsync(descriptor_) != 0) {
    throw_io_error(target_, "must reach the disk");
  }
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) {
    throw_io_error(target_, "must be replaceable");
  }
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    throw_io_error(target_, "must reach the disk");
  }
  sync_path(parent_of(target_));
  if (meant_) {
    note_meant(target_, meant_->finish());
  }
}

void require_writable(const fs::path& path) {
  std::error_code ignored; // then the attempt tells
  if (fs::is_directory(path, ignored)) {
    throw IoError(path.string(), "must be a file", "a folder");
  }
  if (takes_bytes_as_they_come(followed(path))) {
    if (::access(path.c_str(), W_OK) != 0) { // opening a FIFO would wait, closing it end its reader
      throw_io_error(path, "must be writable");
    }
    return;
  }
  const AtomicFile attempt(path);
}

void sync_to_disk(const fs::path& path) {
  sync_path(path);
}

bool is_same_path(const fs::path& a, const fs::path& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error)) {
    return true;
  }
  const fs::path whole_a = fs::weakly_canonical(fs::absolute(followed(a)), error);
  const fs::path whole_b = fs::weakly_canonical(fs::absolute(followed(b)), error);
  return !error && whole_a == whole_b;
}

void write_file_atomic(const fs::path& path, std::string_view content) {
  AtomicFile file(path);
  file.write(content);
  file.commit();
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.hex();
}

std::string sha256_hex_of_file(const fs::path& path) {
  Sha256 hash;
  read_chunks(path, [&](std::string_view chunk) { hash.update(chunk); });
  return hash.hex();
}

std::string file_fingerprint(std::span<const std::byte> content) {
  constexpr std::size_t kEnds = std::size_t{1} << 16, kPage = std::size_t{1} << 12, kPages = 256;
  const std::string_view bytes(reinterpret_cast<const char*>(content.data()), content.size());
  Sha256 hash;
  hash.update(std::to_string(bytes.size()));
  if (bytes.size() <= 2 * kEnds + kPages * kPage) {
    hash.update(bytes);
    return hash.hex();
  }
  hash.update(bytes.substr(0, kEnds));
  const std::size_t stride = (bytes.size() - 2 * kEnds) / kPages;
  for (std::size_t i = 0; i < kPages; ++i) {
    hash.update(bytes.substr(kEnds + i * stride, kPage));
  }
  hash.update(bytes.substr(bytes.size() - kEnds));
  return hash.hex();
}

} // namespace fcc
