#include "fcc/core/log.h"

#include <memory>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace fcc {
namespace {

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>(
        "fcc", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern("%H:%M:%S %^%L%$ %v");
    made->flush_on(spdlog::level::info);
    return made;
  }();
  return *instance;
}

} // namespace

void log(LogLevel level, std::string_view message) {
  logger().log(to_spdlog(level), message);
}

void log_to_file(const char* path) {
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
  sink->set_pattern("%Y-%m-%dT%H:%M:%S %L %v");
  logger().sinks().push_back(std::move(sink));
}

void close_log_files() {
  logger().sinks().resize(1); // standard error
}

void log_to_file_only(LogLevel level, std::string_view message) {
  const auto& standard_error = logger().sinks().front();
  const auto before = standard_error->level();
  standard_error->set_level(spdlog::level::off);
  log(level, message);
  standard_error->set_level(before);
}

void set_log_level(LogLevel level) {
  logger().set_level(to_spdlog(level));
}

void set_standard_error_level(LogLevel level) {
  logger().sinks().front()->set_level(to_spdlog(level));
}

} // namespace fcc
