#include "fcc/data/token_spool.h"

#include <cstring>
#include <string>
#include <utility>

#include "data/append_file.h"
#include "fcc/core/error.h"
#include "fcc/data/permutation.h"
#include "fcc/io/files.h"

namespace fcc {
namespace {

constexpr std::size_t kBufferBytes = 1 << 20;

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
      starts_(open_in(folder, "document_starts.bin", size.num_documents * 8)) {}

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
  const MappedFile tokens(tokens_->path());
  const MappedFile starts(starts_->path());
  std::optional<Permutation> order;
  if (shuffle_seed) {
    order.emplace(size_.num_documents, *shuffle_seed);
  }
  const auto start_of = [&](std::int64_t d) {
    std::int64_t start = size_.num_tokens;
    if (d < size_.num_documents) {
      std::memcpy(&start, starts.bytes().data() + d * 8, 8);
    }
    return start;
  };

  const std::vector<TensorHeader> headers{
      {.name = "document_starts", .dtype = DType::kI64, .shape = {size_.num_documents}},
      {.name = "tokens", .dtype = dtype_, .shape = {size_.num_tokens}}};
  const Metadata metadata{
      {"format", "fcc_tokens"},
      {"version", "1"},
      {"tokenizer_kind", info.tokenizer_kind},
      {"tokenizer_hash", info.tokenizer_hash},
      {"vocab_size", std::to_string(info.vocab_size)},
      {"add_bos", info.add_bos ? "true" : "false"},
      {"add_eos", info.add_eos ? "true" : "false"}};
  SafetensorsStreamWriter writer(path, headers, metadata);
  if (!order) {
    writer.append(starts.bytes());
    writer.append(tokens.bytes());
    writer.commit();
    return;
  }
  std::int64_t start = 0;
  std::vector<std::byte> buffer;
  const auto append = [&](std::span<const std::byte> bytes) {
    buffer.insert(buffer.end(), bytes.begin(), bytes.end());
    if (buffer.size() >= kBufferBytes) {
      writer.append(buffer);
      buffer.clear();
    }
  };
  for (std::int64_t i = 0; i < size_.num_documents; ++i) {
    append(std::as_bytes(std::span(&start, 1)));
    const std::int64_t d = (*order)(i);
    start += start_of(d + 1) - start_of(d);
  }
  const std::int64_t width = dtype_bytes(dtype_);
  for (std::int64_t i = 0; i < size_.num_documents; ++i) {
    const std::int64_t d = (*order)(i);
    append(tokens.bytes().subspan(
        static_cast<std::size_t>(start_of(d) * width),
        static_cast<std::size_t>((start_of(d + 1) - start_of(d)) * width)));
  }
  writer.append(buffer);
  writer.commit();
}

} // namespace fcc
