#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "data/corpus_format.h"
#include "fcc/core/error.h"
#include "fcc/data/corpus.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

/// What tools leave beside the data: version control, editors' copies, archives of other systems.
bool is_hidden(const fs::path& path) {
  const std::string name = path.filename().string();
  return name.starts_with('.') || name == "__MACOSX" || name == "__pycache__";
}

bool is_wanted(const fs::path& path, CorpusFormat format) {
  const CorpusFormat named = format_by_name(path);
  if (named != CorpusFormat::kAuto) {
    return format == CorpusFormat::kAuto || format == named;
  }
  if (!is_named_json(path) || (format != CorpusFormat::kAuto && format != CorpusFormat::kJsonl)) {
    return false;
  }
  return format == CorpusFormat::kJsonl || holds_json_lines(path);
}

/// All files below a folder. Folders that are reached by links come last, so that a folder that is
/// both there and linked is listed by its own path.
class Walk {
 public:
  Walk(CorpusFormat format, PassedOver& passed_over) : format_(format), passed_over_(passed_over) {}

  std::vector<fs::path> files_below(const fs::path& folder) {
    visit(folder);
    while (!linked_.empty()) {
      const std::vector<fs::path> linked = std::exchange(linked_, {});
      for (const fs::path& link : linked) {
        visit(link);
      }
    }
    std::sort(files_.begin(), files_.end());
    return std::move(files_);
  }

 private:
  void visit(const fs::path& folder) {
    struct stat status {};
    if (::stat(folder.c_str(), &status) != 0) {
      throw IoError(folder.string(), "cannot be looked at", std::strerror(errno));
    }
    if (!seen_.emplace(status.st_dev, status.st_ino).second) {
      ++passed_over_.num_repeated; // a link back, or a second one to the same folder
      return;
    }
    std::vector<fs::path> entries;
    std::error_code error;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      entries.push_back(at->path());
    }
    if (error) {
      throw IoError(folder.string(), "cannot list the folder", error.message());
    }
    std::sort(entries.begin(), entries.end());
    for (const fs::path& entry : entries) {
      take(entry);
    }
  }

  void take(const fs::path& entry) {
    if (is_hidden(entry)) {
      ++passed_over_.num_hidden;
      return;
    }
    std::error_code error;
    const bool linked = fs::is_symlink(entry, error);
    const fs::file_status target = fs::status(entry, error);
    if (fs::is_directory(target)) {
      linked ? linked_.push_back(entry) : visit(entry);
    } else if (linked && !fs::exists(target)) {
      throw ConfigError(
          entry.string(),
          "a link in a folder of texts must lead somewhere",
          fs::read_symlink(entry, error).string() + ", " +
              (error ? error.message() : std::string("absent or a circle")),
          "mend or remove it");
    } else if (fs::is_regular_file(target) && is_wanted(entry, format_)) {
      files_.push_back(entry);
    } else {
      ++passed_over_.num_other;
    }
  }

  CorpusFormat format_;
  PassedOver& passed_over_;
  std::vector<fs::path> files_, linked_;
  std::set<std::pair<dev_t, ino_t>> seen_;
};

const char* endings_of(CorpusFormat format) {
  switch (format) {
    case CorpusFormat::kText:
      return ".txt, .text or .md";
    case CorpusFormat::kJsonl:
      return ".jsonl, .ndjson or .json";
    case CorpusFormat::kParquet:
      return ".parquet";
    default:
      return ".txt, .text, .md, .jsonl, .ndjson or .parquet";
  }
}

} // namespace

std::vector<fs::path>
corpus_files(const std::vector<fs::path>& inputs, CorpusFormat format, PassedOver* passed_over) {
  PassedOver uncounted;
  PassedOver& counts = passed_over != nullptr ? *passed_over : uncounted;
  std::vector<fs::path> files;
  for (const fs::path& input : inputs) {
    std::error_code error;
    if (!fs::is_directory(input, error)) {
      if (!fs::exists(input, error)) {
        throw ConfigError(
            "corpus", "an input must be a file or a folder", input.string() + ", absent");
      }
      files.push_back(input);
      continue;
    }
    const std::vector<fs::path> found = Walk(format, counts).files_below(input);
    if (found.empty()) {
      throw ConfigError(
          input.string(),
          std::string("a folder must hold ") + endings_of(format) + " files",
          "none");
    }
    files.insert(files.end(), found.begin(), found.end());
  }
  if (files.empty()) {
    throw ConfigError("corpus", "at least one input is needed", "none");
  }
  return files;
}

} // namespace fcc
