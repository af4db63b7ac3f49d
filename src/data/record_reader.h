#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "data/byte_source.h"

namespace fcc {

/// The stretches of a stream between separators, each at most `max_bytes` long: the memory it takes
/// does not depend on the stream.
class RecordReader {
 public:
  /// An empty separator makes the whole stream one record. `offset`: bytes to pass over first.
  /// `where` names the source in errors.
  RecordReader(
      std::unique_ptr<ByteSource> source,
      std::string where,
      std::string separator,
      std::int64_t max_bytes,
      std::int64_t offset = 0);

  /// The next record, valid until the next call; false at the end.
  /// Errors: those of `ByteSource::read`; `FormatError` on a record over the limit.
  bool next(std::string_view& record);

  /// Bytes of the stream up to the end of the last record, its separator included.
  std::int64_t offset() const {
    return offset_;
  }

  std::int64_t consumed_bytes() const {
    return source_->consumed_bytes();
  }

 private:
  std::string where_;
  std::unique_ptr<ByteSource> source_;
  std::string separator_;
  std::size_t max_bytes_;
  std::int64_t offset_;
  std::string pending_; ///< read, from `begin_` on not yet given out
  std::size_t begin_ = 0;
  bool at_end_ = false;
};

} // namespace fcc
