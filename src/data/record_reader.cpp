#include "data/record_reader.h"

#include <utility>

#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;

} // namespace

RecordReader::RecordReader(
    std::unique_ptr<ByteSource> source,
    std::string where,
    std::string separator,
    std::int64_t max_bytes,
    std::int64_t offset)
    : where_(std::move(where)),
      source_(std::move(source)),
      separator_(std::move(separator)),
      max_bytes_(static_cast<std::size_t>(max_bytes)),
      offset_(offset) {
  if (offset > 0) {
    source_->skip(offset);
  }
}

bool RecordReader::next(std::string_view& record) {
  std::size_t searched = 0;
  for (;;) {
    const std::string_view rest = std::string_view(pending_).substr(begin_);
    const std::size_t found =
        separator_.empty() ? std::string_view::npos : rest.find(separator_, searched);
    const std::size_t length = found == std::string_view::npos ? rest.size() : found;
    if (length > max_bytes_) {
      throw FormatError(
          where_,
          "a document may have at most " + std::to_string(max_bytes_) + " bytes",
          "more, from byte " + std::to_string(offset_),
          "--max-document-bytes sets the limit");
    }
    if (found != std::string_view::npos || (at_end_ && !rest.empty())) {
      const std::size_t used =
          found == std::string_view::npos ? length : length + separator_.size();
      record = rest.substr(0, length);
      begin_ += used;
      offset_ += static_cast<std::int64_t>(used);
      return true;
    }
    if (at_end_) {
      return false;
    }
    // A separator may lie across the border of two reads.
    searched = rest.size() < separator_.size() ? 0 : rest.size() - separator_.size() + 1;
    pending_.erase(0, begin_);
    begin_ = 0;
    const std::size_t kept = pending_.size();
    pending_.resize(kept + kReadBytes);
    // Until all is filled: a source may give a byte at a time (packed so), and to search anew and
    // clear the buffer for each would take as long as the buffer is.
    std::size_t filled = kept;
    while (filled < pending_.size() && !at_end_) {
      const std::size_t got = source_->read(std::span(pending_).subspan(filled));
      filled += got;
      at_end_ = got == 0;
    }
    pending_.resize(filled);
  }
}

} // namespace fcc
