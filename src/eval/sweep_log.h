#pragma once

#include <filesystem>
#include <vector>

#include <nlohmann/json.hpp>

namespace fcc {

/// The finished pieces of a long evaluation: a file of JSON lines, the settings first, then one
/// object a piece, each on the disk before the next begins. Opening it again with equal settings
/// goes on where a killed process stopped; a half-written last line is dropped.
///
/// Errors: `ConfigError` naming the settings that differ; `FormatError` naming the line;
/// `IoError`, also where another process holds the file.
class SweepLog {
 public:
  SweepLog(const std::filesystem::path& path, const nlohmann::json& settings);
  ~SweepLog();
  SweepLog(const SweepLog&) = delete;
  SweepLog& operator=(const SweepLog&) = delete;

  const std::vector<nlohmann::json>& entries() const {
    return entries_;
  }
  void append(const nlohmann::json& entry);

 private:
  void write_line(const nlohmann::json& line);

  std::filesystem::path path_;
  int file_ = -1;
  std::vector<nlohmann::json> entries_;
};

} // namespace fcc
