#include "fcc/data/token_spool.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "data/append_file.h"
#include "data/block_checksums.h"
#include "data/permutation.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;
constexpr std::int64_t kCopyBytes = 1 << 20;

void append_value(std::vector<std::byte>& buffer, const void* value, std::size_t bytes) {
  const auto* from = static_cast<const std::byte*>(value);
  buffer.insert(buffer.end(), from, from + bytes);
}

std::unique_ptr<AppendFile>
open_in(const std::filesystem::path& folder, const char* name, std::int64_t size_bytes) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    throw IoError(folder.string(), "cannot create the folder", error.message());
  }
  return std::make_unique<AppendFile>(folder / name, size_bytes);
}

} // namespace

TokenSpool::TokenSpool(const std::filesystem::path& folder, std::int64_t vocab_size, Size size)
    : dtype_(token_dtype(vocab_size)),
      size_(size),
      tokens_(open_in(folder, "tokens.bin", size.num_tokens * dtype_bytes(dtype_))),
      starts_(open_in(folder, "document_starts.bin", size.num_documents * 8)) {
  tokens_->require_checksum(size.tokens_checksum);
  starts_->require_checksum(size.starts_checksum);
}

TokenSpool::~TokenSpool() = default;

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

void TokenSpool::flush() {
  tokens_->append(token_buffer_);
  starts_->append(start_buffer_);
  token_buffer_.clear();
  start_buffer_.clear();
}

TokenSpool::Size TokenSpool::sync() {
  flush();
  tokens_->sync();
  starts_->sync();
  size_.tokens_checksum = tokens_->checksum();
  size_.starts_checksum = starts_->checksum();
  return size_;
}

std::array<std::int64_t, 2> TokenSpool::bounds_of(std::int64_t d) const {
  std::array<std::int64_t, 2> bounds{0, size_.num_tokens};
  const bool last = d + 1 == size_.num_documents;
  starts_->read(d * 8, std::as_writable_bytes(std::span(bounds).first(last ? 1 : 2)));
  return bounds;
}

void TokenSpool::write_token_file(
    const std::filesystem::path& path,
    const TokenFileInfo& info,
    const TokenFilePart& part) {
  const std::int64_t rest = size_.num_documents - part.first;
  const std::int64_t num_documents = part.count ? std::min(*part.count, rest) : rest;
  if (num_documents < 1) {
    throw Error(path.string(), "a token file must hold at least one document", "none");
  }
  flush();
  std::optional<Permutation> order;
  if (part.shuffle_seed) {
    order.emplace(size_.num_documents, *part.shuffle_seed);
  }
  /// The bounds of the file's document `i` in the spool.
  const auto bounds = [&](std::int64_t i) {
    return bounds_of(order ? (*order)(part.first + i) : part.first + i);
  };
  std::int64_t num_tokens = 0;
  for (std::int64_t i = 0; i < num_documents; ++i) {
    const auto [begin, end] = bounds(i);
    num_tokens += end - begin;
  }

  const std::int64_t width = dtype_bytes(dtype_);
  const std::int64_t num_blocks =
      (num_documents * 8 + num_tokens * width + kChecksumBlockBytes - 1) / kChecksumBlockBytes;
  const std::vector<TensorHeader> headers{
      {.name = "document_starts", .dtype = DType::kI64, .shape = {num_documents}},
      {.name = "tokens", .dtype = dtype_, .shape = {num_tokens}},
      {.name = "checksums", .dtype = DType::kU32, .shape = {1 + num_blocks}}};
  const Metadata metadata{
      {"format", "fcc_tokens"},
      {"version", "1"},
      {"tokenizer_kind", info.tokenizer_kind},
      {"tokenizer_hash", info.tokenizer_hash},
      {"vocab_size", std::to_string(info.vocab_size)},
      {"add_bos", info.add_bos ? "true" : "false"},
      {"add_eos", info.add_eos ? "true" : "false"},
      {"checksums", "crc32"},
      {"checksum_block_bytes", std::to_string(kChecksumBlockBytes)}};
  SafetensorsStreamWriter writer(path, headers, metadata);
  // Read, not mapped: pages of a mapped corpus would count as this process's memory.
  std::vector<std::byte> buffer;
  BlockChecksums blocks;
  const auto write_out = [&](std::size_t at_least) {
    if (buffer.size() >= at_least) {
      blocks.append(buffer);
      writer.append(buffer);
      buffer.clear();
    }
  };
  std::int64_t start = 0;
  for (std::int64_t i = 0; i < num_documents; ++i) {
    append_value(buffer, &start, sizeof(start));
    write_out(kBufferBytes);
    const auto [begin, end] = bounds(i);
    start += end - begin;
  }
  for (std::int64_t i = 0; i < num_documents; ++i) {
    const auto [begin, end] = bounds(i);
    for (std::int64_t at = begin * width; at < end * width; at += kCopyBytes) {
      const std::int64_t count = std::min(kCopyBytes, end * width - at);
      buffer.resize(buffer.size() + static_cast<std::size_t>(count));
      tokens_->read(at, std::span(buffer).last(static_cast<std::size_t>(count)));
      write_out(kBufferBytes);
    }
  }
  write_out(0);
  std::vector<std::uint32_t> checksums = blocks.finish();
  checksums.insert(checksums.begin(), header_checksum(metadata, headers));
  writer.append(std::as_bytes(std::span(checksums)));
  writer.commit();
}

} // namespace fcc
