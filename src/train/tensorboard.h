#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace fcc {

class AppendBuffer;

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
  /// Creates `events.out.tfevents.<seconds>.<host>` in `directory`. Where earlier files
  /// are, it marks its start after `last_step`, so that TensorBoard drops what they hold of later
  /// steps; they stay. Errors: `IoError`.
  EventFile(const std::filesystem::path& directory, std::int64_t last_step);

  ~EventFile();

  /// Adds the scalars of one step.
  void add(std::int64_t step, std::span<const Scalar> scalars);
  /// Hands everything to the system, or to the disk. Errors: `IoError`; another attempt may follow.
  void flush();
  void sync();

 private:
  void write_record(std::string_view data);

  std::unique_ptr<AppendBuffer> file_;
};

/// CRC-32C (Castagnoli) of bytes, and the rotated form that TFRecord frames hold.
std::uint32_t crc32c(std::string_view bytes);
std::uint32_t masked_crc32c(std::string_view bytes);

} // namespace fcc
