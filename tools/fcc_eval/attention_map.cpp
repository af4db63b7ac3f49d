#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "common/torch/model_options.h"
#include "eval/pictures.h"
#include "fcc/core/error.h"
#include "fcc/eval/attention_map.h"
#include "fcc/eval/report.h"
#include "fcc/io/files.h"
#include "fcc_eval/commands.h"

namespace fcc::tools {
namespace {

struct Options {
  ModelOptions model;
  std::string text, output = "attention.svg";
  AttentionMapOptions maps;
};

void add_options(CLI::App& app, Options& options) {
  add_model_options(app, options.model);
  app.add_option("--text", options.text, "Text file to read")
      ->required()
      ->type_name("FILE")
      ->group("Picture");
  app.add_option(
         "-l,--layers",
         options.maps.layers,
         "Layers, counted from 1 (default: first, middle, last)")
      ->delimiter(',')
      ->group("Picture");
  app.add_option(
         "-s,--segments",
         options.maps.segments,
         "Segments, counted from 1, each shown over the one before it (default: 3, 5, 7 as far as "
         "the text goes)")
      ->delimiter(',')
      ->group("Picture");
  app.add_option("--head", options.maps.head, "One head, counted from 1 (default: their mean)")
      ->group("Picture");
  app.add_flag(
         "--softmax",
         options.maps.after_softmax,
         "Weights after the softmax (default: scores before it)")
      ->group("Picture");
  app.add_option("-o,--output", options.output, "The picture")
      ->capture_default_str()
      ->type_name("FILE.svg")
      ->group("Picture");
}

// What the paper's figure 10 shows, as far as the model and the text go.
void fill_defaults(AttentionMapOptions& maps, std::int64_t num_layers, std::int64_t num_segments) {
  if (maps.layers.empty()) {
    for (const std::int64_t layer : {std::int64_t{1}, (num_layers + 1) / 2, num_layers}) {
      if (maps.layers.empty() || layer > maps.layers.back()) {
        maps.layers.push_back(layer);
      }
    }
  }
  if (maps.segments.empty()) {
    for (const std::int64_t segment : {3, 5, 7}) {
      if (segment <= num_segments) {
        maps.segments.push_back(segment);
      }
    }
    if (maps.segments.empty()) {
      maps.segments.push_back(num_segments);
    }
  }
}

int run(Options options) {
  prepare_report(options.output);
  const LoadedModel model = load_model(options.model);
  const std::vector<std::int32_t> ids = encode_prompt(model, read_file(options.text));
  if (model.config().fcc) {
    fill_defaults(
        options.maps,
        model.config().num_hidden_layers,
        static_cast<std::int64_t>(ids.size()) / model.config().fcc->segment_length);
  }
  const std::vector<AttentionMap> maps =
      attention_maps(model.config(), model.weights, ids, options.maps);
  Table table{{"segment", "layer", "least", "largest", "on memory"}, {}};
  for (const AttentionMap& map : maps) {
    table.rows.push_back(
        {std::to_string(map.segment),
         std::to_string(map.layer),
         format_number(map.least, 4),
         format_number(map.largest, 4),
         format_number(100 * map.memory_share, 1) + " %"});
  }
  std::fputs(table_text(table).c_str(), stdout);
  write_report(
      options.output,
      raster_grid_svg(attention_grid(maps, options.maps, model_name(options.model))));
  return 0;
}

} // namespace

std::function<int()> add_attention_map_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "attention-map",
      "Draws where a segment's tokens look: at the memory of the segment before (left of the "
      "dashed line) and at themselves; purple is least, yellow most. The table has the share of "
      "their weight, after the softmax, that goes to the memory");
  const auto options = std::make_shared<Options>();
  add_options(*command, *options);
  return [options] { return run(*options); };
}

} // namespace fcc::tools
