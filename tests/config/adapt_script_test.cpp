// scripts/adapt_smollm2.sh as far as it goes without a GPU.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "fcc/io/files.h"
#include "support/places.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

struct Result {
  int exit_code = 0;
  std::string output;
};

Result run_script(const std::string& arguments) {
  const fs::path output = fs::temp_directory_path() / ("fcc_adapt_" + std::to_string(::getpid()));
  const std::string command = "env -i PATH=/nonexistent /bin/bash " + source_dir() +
                              "/scripts/adapt_smollm2.sh " + arguments + " >" + output.string() +
                              " 2>&1";
  const int status = std::system(command.c_str());
  Result result{WEXITSTATUS(status), read_file(output)};
  fs::remove(output);
  return result;
}

TEST(AdaptScript, NamesEverythingThatTheMachineLacksBeforeItBegins) {
  const Result result = run_script("/nonexistent/run");
  EXPECT_EQ(result.exit_code, 2) << result.output;
  EXPECT_NE(result.output.find("a GPU: nvidia-smi lists none"), std::string::npos) << result.output;
  EXPECT_FALSE(fs::exists("/nonexistent"));
  EXPECT_EQ(run_script("--help").exit_code, 0);
  EXPECT_EQ(run_script("--nonsense").exit_code, 2);
}

TEST(AdaptScript, UsesThePathsOfItsRecipe) {
  const std::string script = read_file(fs::path(source_dir()) / "scripts/adapt_smollm2.sh");
  const std::string recipe = read_file(fs::path(source_dir()) / "configs/adapt/smollm2_135m.json");
  for (const char* path : {"models/smollm2-135m", "data/kernel"}) {
    EXPECT_NE(script.find(path), std::string::npos) << path;
    EXPECT_NE(recipe.find(path), std::string::npos) << path;
  }
}

} // namespace
} // namespace fcc
