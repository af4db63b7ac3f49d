#pragma once

#include <functional>
#include <string>

namespace CLI {
class App;
}

namespace fcc::tools {

/// Each adds its subcommand to `app` and returns what to do when it was chosen (the exit code). The
/// returned function owns the options that the command line was read into.
std::function<int()> add_passkey_command(CLI::App& app);
std::function<int()> add_capacity_command(CLI::App& app);
std::function<int()> add_perplexity_command(CLI::App& app);
std::function<int()> add_attention_map_command(CLI::App& app);
std::function<int()> add_summarize_command(CLI::App& app);
std::function<int()> add_rouge_command(CLI::App& app);
std::function<int()> add_report_command(CLI::App& app);

/// Makes a report's folder and refuses what `write_report` could not write, before the work for it.
void prepare_report(const std::string& path);

/// Writes a report and tells its path on standard error; makes the folder.
void write_report(const std::string& path, const std::string& content);

} // namespace fcc::tools
