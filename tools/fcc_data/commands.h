#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fcc/text/tokenizer.h"

namespace CLI {
class App;
}

namespace fcc::tools {

/// Each adds one subcommand to `app`; when it is chosen, `run` becomes its work.
void add_tokenize(CLI::App& app, std::function<int()>& run);
void add_inspect(CLI::App& app, std::function<int()>& run);
void add_words(CLI::App& app, std::function<int()>& run);
void add_passkey(CLI::App& app, std::function<int()>& run);

/// What `--tokenizer` means: `bytes`; `words`, the passkey task's own vocabulary; or the path of a
/// tokenizer file or a model directory.
std::shared_ptr<const Tokenizer> tokenizer_of(const std::string& argument);
extern const char* const kTokenizerHelp;

/// 1234567 → 1,234,567
std::string with_commas(std::int64_t number);

/// A table of lengths, a line for each power of two from the first to the last that occurs.
std::string histogram_text(const std::vector<std::int64_t>& counts);

/// The power of two below or at `length`.
std::size_t histogram_bucket(std::int64_t length);

} // namespace fcc::tools
