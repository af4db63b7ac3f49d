// One letter wrong in any key of a whole configuration file.

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "config/edits.h"
#include "fcc/config/run_config.h"
#include "fcc/config/strict_json.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

std::string error_of(const std::string& text) {
  try {
    read_config<RunConfig>(text, "run.json");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// All keys that there are, with their values.
std::string whole_config() {
  return write_config(read_config<RunConfig>(
      R"({
        "output": "runs/a",
        "model": {"preset": "table-1", "fcc": {"segment_length": 32}},
        "data": {"tokenizer": {"type": "bytes"}, "train": [{"type": "passkey"}],
                 "validation": [{"type": "passkey"}]},
        "train": {"stages": [{"steps": 10, "segments": 2,
                              "until": {"metric": "answer_loss", "below": 0.1, "window": 4}}]},
        "optim": {"lr": 0.1}
      })",
      "run.json"));
}

TEST(Edits, OfEveryKeyOfAWholeFileAreAnsweredByTheKeyAndNothingElse) {
  const std::string whole = whole_config();
  ASSERT_EQ(error_of(whole), "");
  constexpr std::size_t kEvery = 41; // all of them take minutes
  std::size_t seen = 0, tried = 0, accepted = 0, right = 0, single = 0, num_keys = 0;
  std::string wrong;
  for (std::size_t open = whole.find('"'); open != std::string::npos;) {
    const std::size_t close = whole.find('"', open + 1);
    const std::string word = whole.substr(open + 1, close - open - 1);
    if (whole[close + 1] == ':') {
      ++num_keys;
      for (const std::string& edit :
           test::edits_of(word, "abcdefghijklmnopqrstuvwxyz0123456789_-ABCXYZ")) {
        if (++seen % kEvery != 0) {
          continue;
        }
        const std::string error = error_of(whole.substr(0, open + 1) + edit + whole.substr(close));
        ++tried;
        accepted += error.empty() ? 1U : 0U;
        const bool is_right = has(error, "`" + word + "`") || has(error, "." + word + "`");
        right += is_right ? 1U : 0U;
        single += has(error, " problems\n") ? 0U : 1U;
        if (!is_right && wrong.size() < 2000) {
          wrong += word + " as " + edit + ": " + error + "\n";
        }
      }
    }
    open = whole.find('"', close + 1);
  }
  RecordProperty("keys", static_cast<int>(num_keys));
  RecordProperty("edits", static_cast<int>(tried));
  RecordProperty("right", static_cast<int>(right));
  RecordProperty("single", static_cast<int>(single));
  EXPECT_GT(num_keys, 100U);
  EXPECT_EQ(accepted, 0U) << wrong;
  EXPECT_GE(static_cast<double>(right), 0.99 * static_cast<double>(tried)) << wrong;
  EXPECT_GE(static_cast<double>(single), 0.95 * static_cast<double>(tried));
}

} // namespace
} // namespace fcc
