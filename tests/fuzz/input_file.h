#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

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

/// An empty folder of this process, made anew for each input.
class InputFolder {
 public:
  InputFolder()
      : path_(std::filesystem::temp_directory_path() / ("fcc_fuzz_" + std::to_string(::getpid()))) {
    std::filesystem::create_directory(path_);
  }
  ~InputFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  InputFolder(const InputFolder&) = delete;
  InputFolder& operator=(const InputFolder&) = delete;

  const std::filesystem::path& path() const {
    return path_;
  }
  void write(const std::string& name, std::string_view content) const {
    std::FILE* const file = std::fopen((path_ / name).c_str(), "wb");
    if (file == nullptr || std::fwrite(content.data(), 1, content.size(), file) != content.size() ||
        std::fclose(file) != 0) {
      std::abort(); // no finding: there is no room
    }
  }

 private:
  std::filesystem::path path_;
};

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

} // namespace fcc::fuzz
