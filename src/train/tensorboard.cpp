#include "train/tensorboard.h"

#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>

#include "fcc/core/error.h"
#include "train/append_buffer.h"

namespace fcc {
namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value >> 1) ^ ((value & 1U) != 0 ? 0x82F63B78U : 0U);
    }
    table[byte] = value;
  }
  return table;
}

/// The handful of protobuf wire forms that events use (all values little-endian, as is the
/// machine).
class Message {
 public:
  void add_int(int field, std::int64_t value) {
    add_varint(static_cast<std::uint64_t>(field) << 3);
    add_varint(static_cast<std::uint64_t>(value));
  }
  void add_double(int field, double value) {
    add_varint(static_cast<std::uint64_t>(field) << 3 | 1);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void add_float(int field, float value) {
    add_varint(static_cast<std::uint64_t>(field) << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void add_bytes(int field, std::string_view value) {
    add_varint(static_cast<std::uint64_t>(field) << 3 | 2);
    add_varint(value.size());
    bytes_.append(value);
  }
  const std::string& bytes() const {
    return bytes_;
  }

 private:
  void add_varint(std::uint64_t value) {
    while (value >= 0x80) {
      bytes_.push_back(static_cast<char>(value | 0x80));
      value >>= 7;
    }
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

// Field numbers of tensorflow.Event, SessionLog, Summary and Summary.Value.
enum EventField { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7 };
constexpr int kSessionStatus = 1, kSessionStart = 1;
constexpr int kSummaryValue = 1, kValueTag = 1, kValueSimple = 2;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

Message event(std::int64_t step) {
  Message message;
  message.add_double(kWallTime, seconds_now());
  message.add_int(kStep, step);
  return message;
}

} // namespace

std::uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<std::uint32_t, 256> kTable = make_crc_table();
  std::uint32_t value = 0xFFFFFFFFU;
  for (const char byte : bytes) {
    value = kTable[(value ^ static_cast<unsigned char>(byte)) & 0xFFU] ^ (value >> 8);
  }
  return ~value;
}

std::uint32_t masked_crc32c(std::string_view bytes) {
  // A CRC stored beside its data would make the CRC of both degenerate; hence TFRecord's mask.
  return std::rotr(crc32c(bytes), 15) + 0xA282EAD8U;
}

EventFile::EventFile(const std::filesystem::path& directory, std::int64_t last_step) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    throw IoError(directory.string(), "cannot be created", error.message());
  }
  const bool goes_on = last_step > 0 || !std::filesystem::is_empty(directory);
  // Several runs may start in one second (a resumed run that was killed at once).
  const auto milliseconds = static_cast<std::int64_t>(seconds_now() * 1000);
  const auto path = directory / ("events.out.tfevents." + std::to_string(milliseconds / 1000) +
                                 "." + host_name() + "." + std::to_string(milliseconds % 1000));
  file_ = std::make_unique<AppendBuffer>(path);
  Message version = event(0);
  version.add_bytes(kFileVersion, "brain.Event:2");
  write_record(version.bytes());
  if (goes_on) {
    // TensorBoard drops every point from the marked step on: that of the next step, or the last
    // step's own points and validation would go too.
    Message log;
    log.add_int(kSessionStatus, kSessionStart);
    Message start = event(last_step + 1);
    start.add_bytes(kSessionLog, log.bytes());
    write_record(start.bytes());
  }
}

void EventFile::add(std::int64_t step, std::span<const Scalar> scalars) {
  Message summary;
  for (const Scalar& scalar : scalars) {
    Message value;
    value.add_bytes(kValueTag, scalar.tag);
    value.add_float(kValueSimple, static_cast<float>(scalar.value));
    summary.add_bytes(kSummaryValue, value.bytes());
  }
  Message message = event(step);
  message.add_bytes(kSummary, summary.bytes());
  write_record(message.bytes());
}

EventFile::~EventFile() = default;

void EventFile::flush() {
  file_->flush();
}

void EventFile::sync() {
  file_->sync();
}

void EventFile::write_record(std::string_view data) {
  const auto put = [&](auto number) {
    file_->add({reinterpret_cast<const char*>(&number), sizeof number});
  };
  const std::uint64_t length = data.size();
  put(length);
  put(masked_crc32c({reinterpret_cast<const char*>(&length), sizeof length}));
  file_->add(data);
  put(masked_crc32c(data));
}

} // namespace fcc
