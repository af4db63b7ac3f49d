#include "fcc/data/token_spool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/data/permutation.h"
#include "fcc/io/files.h"

namespace fcc {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr const char* kTokensName = "tokens.bin";
constexpr const char* kStartsName = "document_starts.bin";

[[noreturn]] void fail(const std::filesystem::path& path, const std::string& what) {
  throw IoError(path.string(), "cannot " + what, std::strerror(errno));
}

/// Opens for appending and cuts the file to `bytes`.
int open_cut(const std::filesystem::path& path, std::int64_t bytes) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) {
    fail(path, "open");
  }
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || status.st_size < bytes) {
    const std::int64_t found = status.st_size;
    ::close(descriptor);
    throw FormatError(
        path.string(),
        "an interrupted run left " + std::to_string(bytes) + " bytes here",
        std::to_string(found),
        "remove the folder to begin anew");
  }
  if (::ftruncate(descriptor, bytes) != 0) {
    ::close(descriptor);
    fail(path, "cut");
  }
  return descriptor;
}

void append_value(std::vector<std::byte>& buffer, const void* value, std::size_t bytes) {
  const auto* from = static_cast<const std::byte*>(value);
  buffer.insert(buffer.end(), from, from + bytes);
}

} // namespace

TokenSpool::TokenSpool(std::filesystem::path folder, std::int64_t vocab_size, Size size)
    : folder_(std::move(folder)), dtype_(token_dtype(vocab_size)), size_(size) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) {
    throw IoError(folder_.string(), "cannot create the folder", error.message());
  }
  tokens_ = open_cut(folder_ / kTokensName, size_.num_tokens * dtype_bytes(dtype_));
  try {
    starts_ = open_cut(folder_ / kStartsName, size_.num_documents * 8);
  } catch (...) {
    ::close(tokens_);
    throw;
  }
}

TokenSpool::~TokenSpool() {
  ::close(tokens_);
  ::close(starts_);
}

void TokenSpool::append(std::span<const std::int32_t> ids) {
  check(!ids.empty(), "TokenSpool", "a document must have at least one token");
  append_value(start_buffer_, &size_.num_tokens, sizeof(std::int64_t));
  for (const std::int32_t id : ids) {
    if (dtype_ == DType::kU16) {
      const auto narrow = static_cast<std::uint16_t>(id);
      append_value(token_buffer_, &narrow, sizeof(narrow));
    } else {
      append_value(token_buffer_, &id, sizeof(id));
    }
  }
  size_.num_tokens += static_cast<std::int64_t>(ids.size());
  ++size_.num_documents;
  if (token_buffer_.size() + start_buffer_.size() >= kBufferBytes) {
    flush();
  }
}

void TokenSpool::write_all(
    int descriptor, const void* bytes, std::size_t count, const char* name) {
  const auto* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const ssize_t written = ::write(descriptor, from, count);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written < 0) {
      fail(folder_ / name, "write");
    }
    from += written;
    count -= static_cast<std::size_t>(written);
  }
}

void TokenSpool::flush() {
  write_all(tokens_, token_buffer_.data(), token_buffer_.size(), kTokensName);
  write_all(starts_, start_buffer_.data(), start_buffer_.size(), kStartsName);
  token_buffer_.clear();
  start_buffer_.clear();
}

TokenSpool::Size TokenSpool::sync() {
  flush();
  if (::fsync(tokens_) != 0 || ::fsync(starts_) != 0) {
    fail(folder_, "sync");
  }
  return size_;
}

void TokenSpool::write_token_file(
    const std::filesystem::path& path,
    const TokenFileInfo& info,
    std::optional<std::uint64_t> shuffle_seed) {
  if (size_.num_documents == 0) {
    throw Error(path.string(), "a token file must hold at least one document", "none");
  }
  flush();
  const MappedFile tokens(folder_ / kTokensName);
  const MappedFile starts(folder_ / kStartsName);

  if (shuffle_seed) {
    const std::filesystem::path shuffled = folder_ / "shuffled";
    std::filesystem::remove_all(shuffled);
    TokenSpool spool(shuffled, info.vocab_size, {});
    const Permutation order(size_.num_documents, *shuffle_seed);
    const auto start_of = [&](std::int64_t d) {
      std::int64_t start = size_.num_tokens;
      if (d < size_.num_documents) {
        std::memcpy(&start, starts.bytes().data() + d * 8, 8);
      }
      return start;
    };
    const std::int64_t width = dtype_bytes(dtype_);
    for (std::int64_t i = 0; i < size_.num_documents; ++i) {
      const std::int64_t begin = start_of(order(i)), end = start_of(order(i) + 1);
      append_value(spool.start_buffer_, &spool.size_.num_tokens, sizeof(std::int64_t));
      append_value(
          spool.token_buffer_,
          tokens.bytes().data() + begin * width,
          static_cast<std::size_t>((end - begin) * width));
      spool.size_.num_tokens += end - begin;
      ++spool.size_.num_documents;
      if (spool.token_buffer_.size() >= kBufferBytes) {
        spool.flush();
      }
    }
    spool.write_token_file(path, info);
    std::filesystem::remove_all(shuffled);
    return;
  }

  const std::vector<TensorView> tensors{
      {.name = "document_starts",
       .dtype = DType::kI64,
       .shape = {size_.num_documents},
       .bytes = starts.bytes()},
      {.name = "tokens", .dtype = dtype_, .shape = {size_.num_tokens}, .bytes = tokens.bytes()}};
  const Metadata metadata{
      {"format", "fcc_tokens"},
      {"version", "1"},
      {"tokenizer_kind", info.tokenizer_kind},
      {"tokenizer_hash", info.tokenizer_hash},
      {"vocab_size", std::to_string(info.vocab_size)},
      {"add_bos", info.add_bos ? "true" : "false"},
      {"add_eos", info.add_eos ? "true" : "false"}};
  const std::filesystem::path aside = folder_ / "token_file.safetensors";
  write_safetensors(aside, tensors, metadata);
  std::error_code error;
  std::filesystem::rename(aside, path, error);
  if (error) {
    throw IoError(path.string(), "cannot move the finished file here", error.message());
  }
}

} // namespace fcc
