// A checkpoint of an older version is read, and its run goes on as it did then.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fcc/config/run_config.h"
#include "fcc/config/strict_json.h"
#include "fcc/io/files.h"
#include "support/places.h"
#include "train/tiny_run.h"
#include "train/train_run.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

TEST(OlderCheckpoint, GoesOnWithTheLossesThatItsOwnVersionHad) {
  const fs::path data = source_dir() + "/tests/train/older_checkpoint";
  const TemporaryFolder folder;
  RunConfig config = read_config<RunConfig>(read_file(data / "config.json"), "config.json");
  config.output = (folder / "run").string();
  fs::create_directories(folder / "run" / "checkpoints");
  fs::copy(
      data / "step-00000003",
      folder / "run" / "checkpoints" / "step-00000003",
      fs::copy_options::recursive);

  ASSERT_EQ(run(config, "auto"), Trainer::End::kFinished);

  std::ifstream expected(data / "later_steps.jsonl"), actual(folder / "run" / "metrics.jsonl");
  std::string want, got;
  while (std::getline(expected, want)) {
    ASSERT_TRUE(std::getline(actual, got)) << "no line like " << want;
    const auto then = nlohmann::json::parse(want), now = nlohmann::json::parse(got);
    for (const char* const key : {"step", "stage", "segments", "prefix_segments", "tokens_seen"}) {
      EXPECT_EQ(now.at(key), then.at(key)) << key;
    }
    // Libraries of another version or vector unit may add in another order.
    for (const char* const key : {"loss", "mean_loss", "answer_loss", "grad_norm", "lr"}) {
      const double value = then.at(key);
      EXPECT_NEAR(now.at(key).get<double>(), value, 1e-9 * std::abs(value)) << key;
    }
  }
}

} // namespace
} // namespace fcc
