#pragma once

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include <unistd.h>

namespace fcc::fuzz {

/// A file of this process that holds the input: the readers take paths.
class InputFile {
 public:
  /// `ending`: of the name, `.jsonl` say.
  InputFile(std::span<const unsigned char> content, const std::string& ending)
      : path_(
            std::filesystem::temp_directory_path() /
            ("fcc_fuzz_" + std::to_string(::getpid()) + ending)) {
    FILE* const file = std::fopen(path_.c_str(), "wb");
    if (file == nullptr || std::fwrite(content.data(), 1, content.size(), file) != content.size() ||
        std::fclose(file) != 0) {
      std::abort(); // no finding: there is no room
    }
  }
  ~InputFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::filesystem::path& path() const {
    return path_;
  }

 private:
  std::filesystem::path path_;
};

} // namespace fcc::fuzz
