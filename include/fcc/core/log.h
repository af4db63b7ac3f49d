#pragma once

#include <string_view>

namespace fcc {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

/// Writes one line to the process's log (standard error, and the file of `log_to_file`).
/// Plain strings only: the logging library stays out of every header that meets torch's fmt.
void log(LogLevel level, std::string_view message);

/// Sends every later line to `path` as well (appended, created if absent).
void log_to_file(const char* path);

/// Ends every `log_to_file` so far.
void close_log_files();

/// One line for the file of `log_to_file` alone.
void log_to_file_only(LogLevel level, std::string_view message);

/// Leaves out lines below `level` (default `kInfo`).
void set_log_level(LogLevel level);

/// The same for standard error alone: files get what `set_log_level` lets through.
void set_standard_error_level(LogLevel level);

} // namespace fcc
