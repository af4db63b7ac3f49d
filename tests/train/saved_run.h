#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "fcc/core/error.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/train/trainer.h"

namespace fcc::test {

/// The folder of the checkpoint after `step` steps.
inline std::filesystem::path checkpoint(const RunConfig& config, std::int64_t step) {
  std::string digits = std::to_string(step);
  digits.insert(0, 8 - digits.size(), '0');
  return std::filesystem::path(config.output) / "checkpoints" / ("step-" + digits);
}

/// The manifest holds the hash of every file.
inline std::string hashes(const RunConfig& config, std::int64_t step) {
  verify_manifest(checkpoint(config, step));
  return read_file(checkpoint(config, step) / "manifest.json");
}

/// What the error of `action` says.
inline std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

} // namespace fcc::test
