#include "fcc/data/token_file.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <optional>
#include <utility>

#include "data/block_checksums.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

constexpr const char* kMaker = "a token file is made by fcc-data tokenize";

/// `a text that begins with …`, if the file looks like one.
std::optional<std::string> text_at_start(const std::filesystem::path& path) {
  constexpr std::size_t kMostBytes = 40;
  std::string start(kMostBytes, '\0');
  std::ifstream stream(path, std::ios::binary);
  stream.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(stream.gcount()));
  const bool is_text = std::all_of(start.begin(), start.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' || c == '\n' || c == '\r' || c == '\t';
  });
  if (start.empty() || !is_text) {
    return std::nullopt;
  }
  const std::string line = start.substr(0, start.find_first_of("\r\n"));
  return line.empty() ? "a text" : "a text that begins with `" + line + "`";
}

template <typename T>
T load(const std::byte* at) {
  T value; // `at` need not be aligned
  std::memcpy(&value, at, sizeof(T));
  return value;
}

const std::string&
required(const std::string& where, const Metadata& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) {
    throw FormatError(where, "a token file must have the metadata `" + key + "`", "none", kMaker);
  }
  return found->second;
}

std::int64_t
required_count(const std::string& where, const Metadata& metadata, const std::string& key) {
  const std::string& text = required(where, metadata, key);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1) {
    throw FormatError(where, "metadata `" + key + "` must be a number from 1", text);
  }
  return value;
}

bool required_flag(const std::string& where, const Metadata& metadata, const std::string& key) {
  const std::string& text = required(where, metadata, key);
  if (text != "true" && text != "false") {
    throw FormatError(where, "metadata `" + key + "` must be true or false", text);
  }
  return text == "true";
}

/// The file, if it is one of safetensors at all: the most frequent mistake is to name the texts.
SafetensorsFile open_safetensors(const std::filesystem::path& path) {
  try {
    return SafetensorsFile(path);
  } catch (const FormatError& error) {
    if (const auto text = text_at_start(path)) {
      throw FormatError(
          path.string(),
          "must be a token file, as fcc-data tokenize writes it",
          *text,
          "run fcc-data tokenize " + path.string() + " --output FILE.safetensors");
    }
    throw FormatError(error.where(), error.rule(), error.value(), kMaker);
  }
}

TokenFileInfo read_info(const std::string& where, const Metadata& metadata) {
  if (required(where, metadata, "format") != "fcc_tokens") {
    throw FormatError(
        where,
        "metadata `format` of a token file must be fcc_tokens",
        metadata.at("format"),
        kMaker);
  }
  if (required(where, metadata, "version") != "1") {
    throw FormatError(where, "only version 1 of token files is known", metadata.at("version"));
  }
  TokenFileInfo info;
  info.tokenizer_kind = required(where, metadata, "tokenizer_kind");
  info.tokenizer_hash = required(where, metadata, "tokenizer_hash");
  info.vocab_size = required_count(where, metadata, "vocab_size");
  info.add_bos = required_flag(where, metadata, "add_bos");
  info.add_eos = required_flag(where, metadata, "add_eos");
  return info;
}

const TensorView&
required_vector(const std::string& where, const SafetensorsFile& file, const std::string& name) {
  const TensorView& tensor = file.at(name);
  if (tensor.shape.size() != 1 || tensor.shape[0] < 1) {
    throw FormatError(where, "`" + name + "` must be a vector that is not empty");
  }
  return tensor;
}

/// The checksums of the blocks; none in a file of before there were any. The tensors that they
/// cover come first, without a gap, as they are written.
std::vector<std::uint32_t>
read_checksums(const std::string& where, const SafetensorsFile& file, std::int64_t& block_bytes) {
  // Either alone is a file that was damaged in the other.
  if (!file.metadata().contains("checksums") && !file.contains("checksums")) {
    return {};
  }
  if (required(where, file.metadata(), "checksums") != "crc32") {
    throw FormatError(
        where, "only checksums of the kind crc32 are known", file.metadata().at("checksums"));
  }
  block_bytes = required_count(where, file.metadata(), "checksum_block_bytes");
  const TensorView& tensor = file.at("checksums");
  const std::byte* const begin = file.tensors().front().bytes.data();
  const std::int64_t covered = tensor.bytes.data() - begin;
  const std::int64_t num_blocks = covered / block_bytes + (covered % block_bytes > 0 ? 1 : 0);
  if (tensor.dtype != DType::kU32 || file.tensors().back().name != "checksums" ||
      tensor.shape != std::vector<std::int64_t>{1 + num_blocks}) {
    throw FormatError(
        where, "`checksums` must be the last tensor, U32, one checksum for the header and a block");
  }
  std::vector<TensorHeader> headers;
  for (const TensorView& one : file.tensors()) {
    headers.push_back({.name = one.name, .dtype = one.dtype, .shape = one.shape});
  }
  if (load<std::uint32_t>(tensor.bytes.data()) != header_checksum(file.metadata(), headers)) {
    throw FormatError(
        where,
        "must be as it was written",
        "the header does not have its checksum",
        "the file was damaged or changed: make it again");
  }
  std::vector<std::uint32_t> checksums;
  for (std::int64_t i = 1; i <= num_blocks; ++i) {
    checksums.push_back(load<std::uint32_t>(tensor.bytes.data() + 4 * i));
  }
  return checksums;
}

} // namespace

DType token_dtype(std::int64_t vocab_size) {
  return vocab_size <= 65536 ? DType::kU16 : DType::kU32;
}

TokenFileInfo token_file_info(const Tokenizer& tokenizer, bool add_bos, bool add_eos) {
  return {
      .tokenizer_kind = tokenizer.kind(),
      .tokenizer_hash = tokenizer.hash(),
      .vocab_size = tokenizer.vocab_size(),
      .add_bos = add_bos,
      .add_eos = add_eos};
}

TokenFile::TokenFile(const std::filesystem::path& path) : where_(path.string()) {
  // Mapped while it is opened only.
  const SafetensorsFile file = open_safetensors(path);
  info_ = read_info(where_, file.metadata());
  const TensorView& tokens = required_vector(where_, file, "tokens");
  if (tokens.dtype != DType::kU16 && tokens.dtype != DType::kU32) {
    throw FormatError(where_, "`tokens` must be U16 or U32", std::string(dtype_name(tokens.dtype)));
  }
  const TensorView& starts = required_vector(where_, file, "document_starts");
  if (starts.dtype != DType::kI64) {
    throw FormatError(
        where_, "`document_starts` must be I64", std::string(dtype_name(starts.dtype)));
  }
  dtype_ = tokens.dtype;
  num_tokens_ = tokens.shape[0];
  num_documents_ = starts.shape[0];
  fingerprint_ = file_fingerprint(file.bytes());
  std::int64_t block_bytes = kChecksumBlockBytes;
  std::vector<std::uint32_t> checksums = read_checksums(where_, file, block_bytes);
  has_checksums_ = !checksums.empty();
  const std::byte* const begin = file.tensors().front().bytes.data();
  const std::byte* const end = has_checksums_ ? file.at("checksums").bytes.data()
                                              : file.bytes().data() + file.bytes().size();
  tokens_begin_ = tokens.bytes.data() - begin;
  content_ = std::make_shared<const CheckedStretch>(
      RandomAccessFile(path),
      begin - file.bytes().data(),
      end - begin,
      block_bytes,
      std::move(checksums));

  std::vector<std::int64_t> first(static_cast<std::size_t>(num_documents_));
  content_->read(starts.bytes.data() - begin, std::as_writable_bytes(std::span(first)));
  starts_ = std::make_shared<const std::vector<std::int64_t>>(std::move(first));
  if (document_begin(0) != 0) {
    throw FormatError(
        where_, "the first document must start at 0", std::to_string(document_begin(0)));
  }
  for (std::int64_t d = 0; d < num_documents_; ++d) {
    if (document_end(d) <= document_begin(d)) {
      throw FormatError(
          where_,
          "`document_starts` must ascend and stay below the number of tokens",
          "document " + std::to_string(d) + " from " + std::to_string(document_begin(d)) + " to " +
              std::to_string(document_end(d)));
    }
  }
}

void TokenFile::verify() const {
  content_->verify();
}

std::int64_t TokenFile::document_begin(std::int64_t d) const {
  return (*starts_)[static_cast<std::size_t>(d)];
}

std::int64_t TokenFile::document_end(std::int64_t d) const {
  return d + 1 < num_documents_ ? document_begin(d + 1) : num_tokens_;
}

std::int64_t TokenFile::document_of(std::int64_t position) const {
  std::int64_t first = 0, last = num_documents_ - 1;
  while (first < last) {
    const std::int64_t middle = first + (last - first + 1) / 2;
    if (document_begin(middle) <= position) {
      first = middle;
    } else {
      last = middle - 1;
    }
  }
  return first;
}

void TokenFile::read(std::int64_t position, std::span<std::int32_t> ids) const {
  if (position < 0 || position + static_cast<std::int64_t>(ids.size()) > num_tokens_) {
    throw Error(where_, "tokens must be read inside the file", std::to_string(position));
  }
  const std::int64_t width = dtype_bytes(dtype_);
  std::vector<std::byte> bytes(ids.size() * static_cast<std::size_t>(width));
  content_->read(tokens_begin_ + position * width, bytes);
  const std::byte* const from = bytes.data();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const std::int64_t id = dtype_ == DType::kU16 ? std::int64_t{load<std::uint16_t>(from + 2 * i)}
                                                  : std::int64_t{load<std::uint32_t>(from + 4 * i)};
    if (id >= info_.vocab_size) {
      throw FormatError(
          where_,
          "token ids must be below the vocabulary size " + std::to_string(info_.vocab_size),
          std::to_string(id) + " at token " +
              std::to_string(position + static_cast<std::int64_t>(i)));
    }
    ids[i] = static_cast<std::int32_t>(id);
  }
}

void TokenFile::require_tokenizer(const Tokenizer& tokenizer) const {
  if (!tokenizer.has_hash(info_.tokenizer_hash)) {
    throw ConfigError(
        where_,
        "the file was tokenized by " + info_.tokenizer_kind + " " + info_.tokenizer_hash,
        "a run with " + tokenizer.kind() + " " + tokenizer.hash(),
        "tokenize the texts again, or set data.tokenizer to the one that made the file");
  }
}

} // namespace fcc
