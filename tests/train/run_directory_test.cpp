#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/train/resume.h"
#include "train/saved_run.h"
#include "train/tiny_run.h"
#include "train/train_run.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

TEST(RunDirectory, TakesNoFolderWhoseFilesItWouldWriteOver) {
  const TemporaryFolder folder;
  for (const char* name : {"config.json", "metrics.jsonl", "final", "model.safetensors"}) {
    const fs::path foreign = folder / (std::string("with_") + name);
    fs::create_directories(foreign);
    std::ofstream(foreign / name) << "another's";
    EXPECT_THROW(RunDirectory{foreign}, ConfigError) << name;
    EXPECT_EQ(std::distance(fs::directory_iterator(foreign), fs::directory_iterator()), 1);
  }
  fs::create_directories(folder / "notes");
  std::ofstream(folder / "notes/notes.txt") << "mine";
  EXPECT_NO_THROW(RunDirectory{folder / "notes"});
  EXPECT_NO_THROW(RunDirectory{folder / "notes"}); // its own now
  EXPECT_THROW(RunDirectory{"~/run"}, IoError);
}

TEST(RunDirectory, LeavesTheFilesOfOthersAmongTheEvents) {
  const TemporaryFolder folder;
  RunConfig config = tiny_run(folder / "run");
  config.log.tensorboard = true;
  fs::create_directories(folder / "run/events");
  std::ofstream(folder / "run/events/mine.txt") << "precious";
  run(config, {}, /*stop=*/true);
  EXPECT_TRUE(fs::exists(folder / "run/events/mine.txt"));
}

TEST(RunDirectory, AdmitsOneTrainerAtATime) {
  const TemporaryFolder folder;
  const RunDirectory first(folder / "run");
  EXPECT_THROW(RunDirectory(folder / "run"), Error);
}

TEST(RunDirectory, RemovesWhatKilledProcessesLeft) {
  const TemporaryFolder folder;
  const RunDirectory directory(folder / "run");
  fs::create_directories(directory.root() / "checkpoints" / ".step-00000010.tmp-1234");
  fs::create_directories(directory.root() / "checkpoints" / ".step-00000005.removed");
  fs::create_directories(directory.root() / "checkpoints" / "step-00000020");
  directory.remove_leftovers();
  EXPECT_FALSE(fs::exists(directory.root() / "checkpoints" / ".step-00000010.tmp-1234"));
  EXPECT_FALSE(fs::exists(directory.root() / "checkpoints" / ".step-00000005.removed"));
  EXPECT_EQ(directory.checkpoint_steps(), (std::vector<std::int64_t>{20}));
}

} // namespace
} // namespace fcc
