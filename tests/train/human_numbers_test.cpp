#include "fcc/train/human_numbers.h"

#include <gtest/gtest.h>

namespace fcc {
namespace {

TEST(HumanNumbers, HaveTheUnitThatTellsMost) {
  EXPECT_EQ(bytes_text(0), "0 bytes");
  EXPECT_EQ(bytes_text(1023), "1023 bytes");
  EXPECT_EQ(bytes_text(3 << 19), "1.50 MiB");
  EXPECT_EQ(bytes_text(std::int64_t{5} << 30), "5.00 GiB");
  EXPECT_EQ(bytes_text((std::int64_t{1} << 30) - 1), "1.00 GiB");
  EXPECT_EQ(duration_text(90), "90 s");
  EXPECT_EQ(duration_text(45 * 60), "45 min");
  EXPECT_EQ(duration_text(2 * 86400), "48.0 h");
  EXPECT_EQ(duration_text(40.0 * 86400), "40 days");
  EXPECT_EQ(duration_text(1242.0 * 86400), "3.4 years");
  EXPECT_EQ(duration_text(1e6 * 86400), "2,738 years");
  EXPECT_EQ(times_text(4130.4), "4,130 times");
  EXPECT_EQ(times_text(1.5), "1.5 times");
  EXPECT_EQ(times_text(0.25), "25 % of it");
  EXPECT_EQ(times_text(0.003), "0.3 % of it");
  EXPECT_EQ(times_text(1e-7), "less than 0.1 % of it");
  EXPECT_EQ(grouped_text(-1234567), "-1,234,567");
  EXPECT_EQ(grouped_text(-123), "-123");
}

} // namespace
} // namespace fcc
