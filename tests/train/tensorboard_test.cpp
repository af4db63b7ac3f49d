#include "train/tensorboard.h"

#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include <gtest/gtest.h>

namespace fcc {
namespace {

namespace fs = std::filesystem;

/// Fields of a protobuf message by number; nested messages stay bytes.
struct Fields {
  std::map<std::uint64_t, std::uint64_t> ints;
  std::map<std::uint64_t, double> numbers;
  std::multimap<std::uint64_t, std::string> bytes;
};

std::uint64_t read_varint(std::string_view& text) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<unsigned char>(text.at(0));
    text.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7FU} << shift;
    if ((byte & 0x80U) == 0) {
      return value;
    }
  }
}

template <typename T>
T read_raw(std::string_view& text) {
  T value;
  EXPECT_GE(text.size(), sizeof value);
  std::memcpy(&value, text.data(), sizeof value);
  text.remove_prefix(sizeof value);
  return value;
}

Fields parse(std::string_view text) {
  Fields fields;
  while (!text.empty()) {
    const std::uint64_t key = read_varint(text);
    switch (key & 7U) {
      case 0:
        fields.ints[key >> 3] = read_varint(text);
        break;
      case 1:
        fields.numbers[key >> 3] = read_raw<double>(text);
        break;
      case 5:
        fields.numbers[key >> 3] = static_cast<double>(read_raw<float>(text));
        break;
      default: {
        const std::uint64_t size = read_varint(text);
        fields.bytes.emplace(key >> 3, text.substr(0, size));
        text.remove_prefix(size);
      }
    }
  }
  return fields;
}

std::vector<Fields> read_events(const fs::path& directory) {
  std::vector<Fields> events;
  for (const auto& entry : fs::directory_iterator(directory)) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(file)), {});
    std::string_view rest = content;
    while (!rest.empty()) {
      const std::string_view length_bytes = rest.substr(0, 8);
      const auto length = read_raw<std::uint64_t>(rest);
      EXPECT_EQ(read_raw<std::uint32_t>(rest), masked_crc32c(length_bytes));
      const std::string_view data = rest.substr(0, length);
      rest.remove_prefix(length);
      EXPECT_EQ(read_raw<std::uint32_t>(rest), masked_crc32c(data));
      events.push_back(parse(data));
    }
  }
  return events;
}

class EventFiles : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "fcc_events_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    fs::remove_all(directory_);
  }
  fs::path directory_;
};

TEST(Crc32c, GivesTheCheckValuesOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
}

TEST_F(EventFiles, HoldTheVersionAndEveryScalar) {
  {
    EventFile file(directory_, 0);
    const Scalar scalars[] = {{"loss", 2.5}, {"lr", 0.125}};
    file.add(300, scalars);
  }
  const std::vector<Fields> events = read_events(directory_);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].bytes.find(3)->second, "brain.Event:2");
  EXPECT_EQ(events[1].ints.at(2), 300u);
  EXPECT_GT(events[1].numbers.at(1), 1.6e9);
  const Fields summary = parse(events[1].bytes.find(5)->second);
  std::map<std::string, double> read;
  for (const auto& [field, bytes] : summary.bytes) {
    const Fields value = parse(bytes);
    read[value.bytes.find(1)->second] = value.numbers.at(2);
  }
  EXPECT_EQ(read, (std::map<std::string, double>{{"loss", 2.5}, {"lr", 0.125}}));
}

// TensorBoard drops the points of the marked step and later ones.
TEST_F(EventFiles, MarkTheStepAfterTheLastThatAResumedRunKeeps) {
  { EventFile file(directory_, 113); }
  const std::vector<Fields> events = read_events(directory_);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[1].ints.at(2), 114u);
  EXPECT_EQ(parse(events[1].bytes.find(7)->second).ints.at(1), 1u);
}

} // namespace
} // namespace fcc
