#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "fcc/model/hugging_face.h"
#include "fcc/text/tokenizer.h"
#include "generate/tiny_model.h"
#include "support/places.h"

namespace fcc::test {

/// A folder of its own, removed at the end.
class ProgramFolder {
 public:
  ProgramFolder() {
    static std::atomic<int> counter{0};
    path_ = std::filesystem::temp_directory_path() /
            ("fcc_program_" + std::to_string(::getpid()) + "_" + std::to_string(counter++));
    std::filesystem::create_directories(path_);
  }
  ~ProgramFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ProgramFolder(const ProgramFolder&) = delete;
  ProgramFolder& operator=(const ProgramFolder&) = delete;

  std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

struct ProgramResult {
  int exit_code = -1;
  std::string out, err;
};

inline std::string content_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

/// Runs `fcc-NAME arguments` with `input` on standard input.
inline ProgramResult run_fcc(
    const ProgramFolder& folder,
    const std::string& name,
    const std::string& arguments,
    const std::string& input = {}) {
  std::ofstream(folder / "in", std::ios::binary) << input;
  const std::string command = build_dir() + "/bin/" + name + " " + arguments + " < " +
                              (folder / "in") + " > " + (folder / "out") + " 2> " +
                              (folder / "err");
  const int status = std::system(command.c_str());
  return {
      .exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
      .out = content_of(folder / "out"),
      .err = content_of(folder / "err")};
}

/// Saves a tiny random model and its tokenizer, bytes if none is given, as a trainer would; returns
/// its directory.
inline std::string save_tiny_model(
    const ProgramFolder& folder,
    const std::string& name,
    ModelConfig config,
    const std::shared_ptr<const Tokenizer>& tokenizer = make_tokenizer(TokenizerConfig())) {
  config.vocab_size = tokenizer->vocab_size();
  FlatParameters parameters = tiny_parameters(config, ComputeDType::kFloat32);
  const std::string directory = folder / name;
  std::filesystem::create_directories(directory);
  save_model(parameters, parameters.compute(), DType::kF32, directory);
  save_tokenizer(*tokenizer, TokenizerConfig(), directory);
  return directory;
}

} // namespace fcc::test
