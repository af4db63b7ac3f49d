// fcc-eval report: a page about one run or several, made of what a run's directory holds.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc_eval/commands.h"
#include "fcc_eval/report_curves.h"

namespace fcc::tools {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kPage =
#include "report_page.inc"
    ;
constexpr std::string_view kDataMark = "__FCC_DATA__";
/// Of a long run every so many steps are shown: a page stays below a megabyte.
constexpr std::size_t kMostSteps = 1200, kMostValidations = 200;
constexpr std::uintmax_t kMostPictureBytes = 100'000, kMostPictures = 4;

struct Options {
  std::vector<std::string> runs;
  std::string output, svg; ///< empty: not asked for
};

/// Keeps every n-th of `lines` and the last, as few as `most` or fewer; what is left out is counted
/// in `first_step` of the next one kept.
Json thinned(const std::vector<Json>& lines, std::size_t most) {
  const std::size_t every = (lines.size() + most - 1) / most;
  Json kept = Json::array();
  Json first_step;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (first_step.is_null()) {
      first_step = lines[i].value("step", Json());
    }
    const bool ends_stage =
        i + 1 == lines.size() || lines[i].value("stage", "") != lines[i + 1].value("stage", "");
    if ((i + 1) % every == 0 || ends_stage) {
      Json line = lines[i];
      line["first_step"] = first_step;
      kept.push_back(std::move(line));
      first_step = nullptr;
    }
  }
  return kept;
}

Json parsed(const std::string& text, const std::string& where) {
  Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) {
    throw FormatError(where, "must be JSON");
  }
  return value;
}

Json pictures_of(const fs::path& run) {
  std::vector<fs::path> files;
  for (fs::recursive_directory_iterator it(run), end; it != end; ++it) {
    if (it.depth() == 1 && it->is_directory()) {
      it.disable_recursion_pending(); // RUN/picture.svg and RUN/FOLDER/picture.svg
    }
    if (it->is_regular_file() && it->path().extension() == ".svg" &&
        it->file_size() <= kMostPictureBytes) {
      files.push_back(it->path());
    }
  }
  std::sort(files.begin(), files.end());
  Json pictures = Json::array();
  for (const fs::path& file : files) {
    if (pictures.size() < kMostPictures) {
      pictures.push_back(
          {{"name", file.lexically_relative(run).string()}, {"svg", read_file(file)}});
    }
  }
  return pictures;
}

Json read_run(const std::string& directory) {
  const fs::path run = directory, metrics = run / "metrics.jsonl", config = run / "config.json";
  if (!fs::exists(metrics)) {
    throw ConfigError(
        directory,
        "must be a run's directory, with metrics.jsonl",
        fs::exists(run) ? "none" : "nothing there");
  }
  std::vector<Json> steps, validations;
  std::istringstream lines(read_file(metrics));
  std::int64_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (lines.eof()) {
      break; // without its line end: a run is writing it
    }
    Json value = parsed(line, metrics.string() + ", line " + std::to_string(number));
    if (!value.is_object() || !value.contains("step")) {
      throw FormatError(
          metrics.string() + ", line " + std::to_string(number), "must be an object with `step`");
    }
    (value.contains("validation") ? validations : steps).push_back(std::move(value));
  }
  fs::path name = run.lexically_normal();
  if (name.filename().empty()) {
    name = name.parent_path();
  }
  return {
      {"name", name.filename().string()},
      {"config", fs::exists(config) ? parsed(read_file(config), config.string()) : Json()},
      {"steps", thinned(steps, kMostSteps)},
      {"validations", thinned(validations, kMostValidations)},
      {"pictures", pictures_of(run)}};
}

/// Runs of one name are told apart by their paths.
void name_apart(Json& runs, const std::vector<std::string>& paths) {
  const auto count = [&](const Json& name) {
    return std::count_if(
        runs.begin(), runs.end(), [&](const Json& run) { return run["name"] == name; });
  };
  std::vector<Json> names;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    names.push_back(count(runs[i]["name"]) > 1 ? Json(paths[i]) : runs[i]["name"]);
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    runs[i]["name"] = names[i];
  }
}

std::string page_of(const Json& runs) {
  // Bytes that are no UTF-8 (a stage's name) are shown as such; no `<` may end the script.
  std::string data = Json{{"runs", runs}}.dump(-1, ' ', true, Json::error_handler_t::replace);
  for (std::size_t at = data.find('<'); at != std::string::npos; at = data.find('<', at)) {
    data.replace(at, 1, "\\u003c");
  }
  std::string page = kPage;
  page.replace(page.find(kDataMark), kDataMark.size(), data);
  return page;
}

int run(const Options& options) {
  Json runs = Json::array();
  for (const std::string& directory : options.runs) {
    runs.push_back(read_run(directory));
  }
  name_apart(runs, options.runs);
  if (!options.svg.empty()) {
    write_report(options.svg, report_curves(runs));
  }
  if (!options.output.empty()) {
    write_report(options.output, page_of(runs));
  }
  return 0;
}

} // namespace

std::function<int()> add_report_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "report",
      "A page about one training run or several: losses, validation, norm, learning rate, speed "
      "and "
      "memory over steps, tokens or hours; stages; settings and where they differ; the pictures "
      "that "
      "lie in the runs. One file, which needs no network");
  auto options = std::make_shared<Options>();
  command->add_option("runs", options->runs, "Directories that fcc-train wrote")
      ->required()
      ->type_name("RUN");
  CLI::Option_group* outputs = command->add_option_group("outputs");
  outputs->add_option("-o,--output", options->output, "The page, an HTML file")->type_name("FILE");
  outputs->add_option("--svg", options->svg, "Its curves over steps as one picture")
      ->type_name("FILE");
  outputs->require_option(1, 2);
  return [options] { return run(*options); };
}

} // namespace fcc::tools
