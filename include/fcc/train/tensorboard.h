#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <string_view>

namespace fcc {

/// One named value of a step.
struct Scalar {
  std::string_view tag;
  double value = 0;
};

/// A TensorBoard event file with scalars, written by hand: TFRecord frames (length, masked CRC-32C
/// of the length, data, masked CRC-32C of the data) around the few protobuf fields that
/// `tensorflow.Event` and `tensorflow.Summary` need.
/// Format: tensorflow/core/lib/io/record_writer.cc, core/util/event.proto,
/// core/framework/summary.proto.
class EventFile {
 public:
  /// Creates `events.out.tfevents.<seconds>.<host>` in `directory`. A run that goes on from
  /// `first_step` marks its start, so that TensorBoard drops what an earlier file holds from there.
  /// Errors: `IoError`.
  EventFile(const std::filesystem::path& directory, std::int64_t first_step);

  /// Adds the scalars of one step. Errors: `IoError`.
  void add(std::int64_t step, std::span<const Scalar> scalars);
  void flush();

 private:
  void write_record(std::string_view data);

  std::filesystem::path path_;
  std::ofstream file_;
};

/// CRC-32C (Castagnoli) of bytes, and the rotated form that TFRecord frames hold.
std::uint32_t crc32c(std::string_view bytes);
std::uint32_t masked_crc32c(std::string_view bytes);

} // namespace fcc
