#include "eval/sweep_log.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

using nlohmann::json;

class SweepLogTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("fcc_sweep_log_" + std::to_string(::getpid()) + "_" +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    path_ = folder_ / "deep" / "cells.jsonl";
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
  }
  std::string content() const {
    std::ostringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }

  std::filesystem::path folder_, path_;
  json settings_ = {{"trials", 20}, {"seed", 7}};
};

TEST_F(SweepLogTest, EntriesAreThereWhenItIsOpenedAgain) {
  {
    SweepLog log(path_, settings_);
    log.append({{"cell", 1}});
    log.append({{"cell", 2}});
  }
  SweepLog log(path_, settings_);
  ASSERT_EQ(log.entries().size(), 2u);
  EXPECT_EQ(log.entries()[1].at("cell"), 2);
}

TEST_F(SweepLogTest, AFileCutAtAnyByteGoesOnWithItsWholeLines) {
  {
    SweepLog log(path_, settings_);
    log.append({{"cell", 1}});
    log.append({{"cell", 2}});
  }
  const std::string whole = content();
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    std::ofstream(path_, std::ios::trunc) << whole.substr(0, size);
    SweepLog log(path_, settings_);
    const auto lines = static_cast<std::size_t>(
        std::count(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size), '\n'));
    ASSERT_EQ(log.entries().size(), lines == 0 ? 0 : lines - 1);
    for (int cell = static_cast<int>(log.entries().size()) + 1; cell <= 2; ++cell) {
      log.append({{"cell", cell}});
    }
    EXPECT_EQ(content(), whole);
  }
}

TEST_F(SweepLogTest, WithoutAResultOtherSettingsTakeItsPlace) {
  { SweepLog log(path_, {{"a longer line of settings than the next one's", 1}, {"seed", 1}}); }
  { SweepLog log(path_, settings_); }
  EXPECT_EQ(content(), settings_.dump() + "\n");
}

TEST_F(SweepLogTest, OtherSettingsAreRefusedByName) {
  { SweepLog(path_, settings_).append({{"cell", 1}}); }
  try {
    SweepLog(path_, {{"trials", 20}, {"seed", 8}, {"extra", true}});
    FAIL() << "must be refused";
  } catch (const ConfigError& error) {
    const std::string what = error.what();
    EXPECT_NE(what.find("`seed` was 7, now 8"), std::string::npos) << what;
    EXPECT_NE(what.find("`extra`"), std::string::npos) << what;
    EXPECT_EQ(what.find("`trials`"), std::string::npos) << what;
  }
}

TEST_F(SweepLogTest, ABrokenLineIsNamed) {
  { SweepLog log(path_, settings_); }
  std::ofstream(path_, std::ios::app) << "{\"cell\": 1}\nnonsense\n{\"cell\": 3}\n";
  try {
    SweepLog(path_, settings_);
    FAIL() << "must be refused";
  } catch (const FormatError& error) {
    EXPECT_NE(std::string(error.what()).find("cells.jsonl:3"), std::string::npos) << error.what();
  }
}

TEST_F(SweepLogTest, TwoWritersAtOnceAreRefused) {
  SweepLog log(path_, settings_);
  EXPECT_THROW(SweepLog(path_, settings_), IoError);
}

} // namespace
} // namespace fcc
