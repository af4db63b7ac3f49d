#include "data/duplicate_filter.h"

#include <charconv>
#include <cstring>
#include <utility>

#include "data/append_file.h"
#include "fcc/io/files.h"

namespace fcc {

TextHash TextHash::of(std::string_view text) {
  const std::string hex = sha256_hex(text);
  TextHash hash;
  std::from_chars(hex.data(), hex.data() + 16, hash.high, 16);
  std::from_chars(hex.data() + 16, hex.data() + 32, hash.low, 16);
  return hash;
}

DuplicateFilter::DuplicateFilter(std::filesystem::path path, std::int64_t count)
    : path_(std::move(path)) {
  AppendFile(path_, count * static_cast<std::int64_t>(sizeof(TextHash)));
  const MappedFile file(path_);
  for (std::int64_t i = 0; i < count; ++i) {
    TextHash hash;
    std::memcpy(
        &hash, file.bytes().data() + i * static_cast<std::int64_t>(sizeof(hash)), sizeof(hash));
    seen_.insert(hash);
  }
}

bool DuplicateFilter::insert(const TextHash& hash) {
  if (!seen_.insert(hash).second) {
    return false;
  }
  unwritten_.push_back(hash);
  return true;
}

std::int64_t DuplicateFilter::sync() {
  const auto count = static_cast<std::int64_t>(seen_.size());
  const auto written = count - static_cast<std::int64_t>(unwritten_.size());
  AppendFile file(path_, written * static_cast<std::int64_t>(sizeof(TextHash)));
  file.append(std::as_bytes(std::span(unwritten_)));
  file.sync();
  unwritten_.clear();
  return count;
}

} // namespace fcc
