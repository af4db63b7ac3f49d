#include "data/duplicate_filter.h"

#include <algorithm>
#include <charconv>
#include <span>

#include "fcc/io/files.h"

namespace fcc {
namespace {

constexpr auto kHashBytes = static_cast<std::int64_t>(sizeof(TextHash));
constexpr std::int64_t kHashesRead = std::int64_t{1} << 16;

} // namespace

TextHash TextHash::of(std::string_view text) {
  const std::string hex = sha256_hex(text);
  TextHash hash;
  std::from_chars(hex.data(), hex.data() + 16, hash.high, 16);
  std::from_chars(hex.data() + 16, hex.data() + 32, hash.low, 16);
  return hash;
}

DuplicateFilter::DuplicateFilter(
    const std::filesystem::path& path,
    std::int64_t count,
    std::uint32_t checksum)
    : file_(path, count * kHashBytes) {
  file_.require_checksum(checksum);
  std::vector<TextHash> hashes;
  for (std::int64_t at = 0; at < count; at += kHashesRead) {
    hashes.resize(static_cast<std::size_t>(std::min(count - at, kHashesRead)));
    file_.read(at * kHashBytes, std::as_writable_bytes(std::span(hashes)));
    seen_.insert(hashes.begin(), hashes.end());
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
  file_.append(std::as_bytes(std::span(unwritten_)));
  file_.sync();
  unwritten_.clear();
  return static_cast<std::int64_t>(seen_.size());
}

} // namespace fcc
