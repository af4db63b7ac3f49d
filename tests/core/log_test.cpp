#include "fcc/core/log.h"

#include <gtest/gtest.h>

#include "support/temporary_directory.h"

namespace fcc {
namespace {

TEST(Log, AFileGetsLinesUntilItIsClosed) {
  const TemporaryDirectory folder;
  const std::string first = folder / "first.txt", second = folder / "second.txt";
  log_to_file(first.c_str());
  log(LogLevel::kInfo, "one");
  close_log_files();
  log_to_file(second.c_str());
  log(LogLevel::kInfo, "two");
  close_log_files();
  log(LogLevel::kInfo, "three");
  EXPECT_NE(read_plain(first).find("one"), std::string::npos);
  EXPECT_EQ(read_plain(first).find("two"), std::string::npos);
  EXPECT_NE(read_plain(second).find("two"), std::string::npos);
  EXPECT_EQ(read_plain(second).find("three"), std::string::npos);
}

TEST(Log, StandardErrorMayGetLessThanTheFile) {
  const TemporaryDirectory folder;
  const std::string path = folder / "log.txt";
  log_to_file(path.c_str());
  set_standard_error_level(LogLevel::kWarning);
  testing::internal::CaptureStderr();
  log(LogLevel::kInfo, "a detail");
  log(LogLevel::kWarning, "a warning");
  const std::string shown = testing::internal::GetCapturedStderr();
  set_standard_error_level(LogLevel::kDebug);
  close_log_files();
  EXPECT_EQ(shown.find("a detail"), std::string::npos);
  EXPECT_NE(shown.find("a warning"), std::string::npos);
  EXPECT_NE(read_plain(path).find("a detail"), std::string::npos);
}

} // namespace
} // namespace fcc
