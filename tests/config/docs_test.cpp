// The pages of docs/ against the keys that a configuration has.

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "fcc/config/describe_config.h"
#include "fcc/config/run_config.h"
#include "fcc/io/files.h"
#include "support/places.h"

namespace fcc {
namespace {

std::string page(const std::string& name) {
  return read_file(source_dir() + "/" + name);
}

/// What docs/configuration.md calls a key: sections that stand in several places have one table.
std::string name_on_page(const std::string& path) {
  constexpr std::array<std::string_view, 7> kSharedTables{
      "model.config.fcc.",
      "model.config.",
      "model.fcc.",
      "data.train.N.",
      "data.validation.N.",
      "train.stages.N.data.N.",
      "train.stages.N."};
  for (const std::string_view prefix : kSharedTables) {
    if (path.starts_with(prefix)) {
      return path.substr(prefix.size());
    }
  }
  return path;
}

TEST(ConfigurationPage, HasARowWithTheMeaningOfEveryKey) {
  const std::string text = page("docs/configuration.md");
  const std::set<std::string> sections{
      "output", "model", "data", "train", "loss", "optim", "engine", "checkpoint", "log"};
  for (const ConfigKey& key : list_keys<RunConfig>()) {
    if (sections.contains(key.path)) {
      continue; // told in words
    }
    const std::string name = name_on_page(key.path), row = "\n| `" + name + "` | ";
    bool is_told = false;
    for (std::size_t at = text.find(row); at != std::string::npos; at = text.find(row, at + 1)) {
      const std::string line = text.substr(at + 1, text.find('\n', at + 1) - at - 1);
      is_told = is_told || (line.find("| " + key.doc) != std::string::npos &&
                            line.find("| " + (key.range.empty() ? "–" : key.range) + " |") !=
                                std::string::npos);
    }
    EXPECT_TRUE(is_told) << key.path << ": no row `" << name << "` with “" << key.doc << "”";
  }
}

/// `train.stages.0.steps` → `train.stages.N.steps`.
std::string without_indices(const std::string& path) {
  std::string out;
  for (std::size_t start = 0; start <= path.size();) {
    const std::size_t end = std::min(path.find('.', start), path.size());
    const std::string part = path.substr(start, end - start);
    const bool is_index = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
      return std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
    out += (out.empty() ? "" : ".") + (is_index ? "N" : part);
    start = end + 1;
  }
  return out;
}

TEST(Pages, NameOnlyKeysThatExist) {
  std::set<std::string> known{
      "train.stages.N", "optim.lrr", "train.steps" /* examples of mistakes */};
  for (const ConfigKey& key : list_keys<RunConfig>()) {
    known.insert(key.path);
  }
  constexpr std::array<std::string_view, 8> kSections{
      "model.", "data.", "train.", "loss.", "optim.", "engine.", "checkpoint.", "log."};
  for (const char* name :
       {"README.md", "docs/training.md", "docs/configuration.md", "docs/method.md"}) {
    const std::string text = page(name);
    int num_keys = 0;
    for (const std::string_view section : kSections) {
      for (std::size_t at = text.find(section); at != std::string::npos;
           at = text.find(section, at + 1)) {
        const char before = at == 0 ? ' ' : text[at - 1];
        if (before != '`' && before != ' ' && before != '\'') {
          continue; // a file's name, or the middle of a word
        }
        std::size_t end = at;
        while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 ||
                                     text[end] == '_' || text[end] == '.')) {
          ++end;
        }
        std::string path = text.substr(at, end - at);
        if (path.ends_with('.')) {
          path.pop_back(); // the end of a sentence
        }
        const bool is_file = path.ends_with(".safetensors") || path.ends_with(".json") ||
                             path == "log.txt" || path.starts_with("model.layers") ||
                             (end < text.size() && text[end] == '*');
        if (!is_file && path.find('.') != std::string::npos) {
          EXPECT_TRUE(known.contains(without_indices(path))) << name << ": " << path;
          ++num_keys;
        }
      }
    }
    EXPECT_GT(num_keys, 0) << name;
  }
}

} // namespace
} // namespace fcc
