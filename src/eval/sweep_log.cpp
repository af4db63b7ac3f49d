#include "eval/sweep_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "io/posix.h"

namespace fcc {
namespace {

using nlohmann::json;

std::string read_all(int file, const std::string& name) {
  std::string content;
  std::array<char, 65536> buffer{};
  for (;;) {
    const ssize_t count = ::read(file, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count < 0) {
      throw IoError(name, "must be readable", std::strerror(errno));
    }
    if (count == 0) {
      return content;
    }
    content.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

json parse_line(const std::string& text, const std::string& name, std::size_t number) {
  refuse_nul(text, name + ":" + std::to_string(number));
  json line = json::parse(text, nullptr, false);
  if (!line.is_object()) {
    throw FormatError(
        name + ":" + std::to_string(number), "must be a JSON object", text.substr(0, 60));
  }
  return line;
}

void check_settings(const json& found, const json& wanted, const std::string& name) {
  std::string rules;
  json all = found;
  all.update(wanted);
  for (const auto& [key, unused] : all.items()) {
    const json before = found.value(key, json()), now = wanted.value(key, json());
    if (before != now) {
      rules +=
          (rules.empty() ? "`" : "; `") + key + "` was " + before.dump() + ", now " + now.dump();
    }
  }
  if (!rules.empty()) {
    throw ConfigError(
        name,
        "holds results made with other settings: " + rules,
        {},
        "use the same settings, or another output directory");
  }
}

} // namespace

SweepLog::SweepLog(const std::filesystem::path& path, const json& settings) : path_(path) {
  if (path.has_parent_path()) {
    std::error_code failure;
    std::filesystem::create_directories(path.parent_path(), failure);
    if (failure) {
      throw IoError(path.parent_path().string(), "must be a directory", failure.message());
    }
  }
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) {
    throw IoError(path.string(), "must be writable", std::strerror(errno));
  }
  try {
    if (!try_lock(file_, path)) {
      throw IoError(path.string(), "is being written by another process");
    }
    std::string content = read_all(file_, path.string());
    // What follows the last line end was cut off in the middle of a write.
    content.resize(content.rfind('\n') + 1); // npos + 1 is 0
    json found;                              // the settings of the run before
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < content.size();) {
      const std::size_t end = content.find('\n', begin);
      json line = parse_line(content.substr(begin, end - begin), path.string(), ++number);
      begin = end + 1;
      if (number > 1) {
        entries_.push_back(std::move(line));
      } else {
        found = std::move(line);
      }
    }
    if (!entries_.empty()) {
      check_settings(found, settings, path.string());
    }
    // Only now it is known to be such a log: a file of another kind is left as it was.
    if (::ftruncate(file_, static_cast<off_t>(content.size())) != 0 ||
        ::lseek(file_, 0, SEEK_END) < 0) {
      throw IoError(path.string(), "must be writable", std::strerror(errno));
    }
    if (entries_.empty() && found != settings) {
      // A run that ended before its first result binds nobody to its settings.
      if (::ftruncate(file_, 0) != 0 || ::lseek(file_, 0, SEEK_SET) < 0) {
        throw IoError(path.string(), "must be writable", std::strerror(errno));
      }
      write_line(settings);
    }
  } catch (...) {
    ::close(file_); // the destructor of an object that was never made does not run
    throw;
  }
}

SweepLog::~SweepLog() {
  ::close(file_); // releases the lock too
}

void SweepLog::append(const json& entry) {
  write_line(entry);
  entries_.push_back(entry);
}

void SweepLog::write_line(const json& line) {
  const std::string text = line.dump() + "\n";
  for (std::size_t written = 0; written < text.size();) {
    const ssize_t count = ::write(file_, text.data() + written, text.size() - written);
    if (count < 0 && errno != EINTR) {
      throw IoError(path_.string(), "must be writable", std::strerror(errno));
    }
    written += count > 0 ? static_cast<std::size_t>(count) : 0;
  }
  if (::fdatasync(file_) != 0) {
    throw IoError(path_.string(), "must reach the disk", std::strerror(errno));
  }
}

} // namespace fcc
