#include <algorithm>
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include "fcc/model/hugging_face.h"
#include "fcc/model/parameters.h"
#include "fcc_convert/commands.h"

namespace fcc::tools {
namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) {
    text += (text.empty() ? "[" : ", ") + std::to_string(size);
  }
  return text.empty() ? "[]" : text + "]";
}

int run_print(const std::string& directory) {
  const ModelFiles model = open_model(directory);
  std::size_t width = 6;
  for (const TensorView& tensor : model.weights.tensors()) {
    width = std::max(width, tensor.name.size());
  }
  const int columns = static_cast<int>(width);
  std::printf("%s", model_config_json(model.config, main_dtype(model)).c_str());
  std::printf(
      "\n%-*s  %-8s  %16s  %15s  %15s\n", columns, "tensor", "type", "shape", "elements", "bytes");
  for (const TensorView& tensor : model.weights.tensors()) {
    const auto num_bytes = static_cast<std::int64_t>(tensor.bytes.size());
    std::printf(
        "%-*s  %-8s  %16s  %15s  %15s\n",
        columns,
        tensor.name.c_str(),
        dtype_text(tensor.dtype).c_str(),
        shape_text(tensor.shape).c_str(),
        with_commas(num_bytes / dtype_bytes(tensor.dtype)).c_str(),
        with_commas(num_bytes).c_str());
  }
  const TensorTotals totals = total_of(model.weights);
  std::printf(
      "%-*s  %-8s  %16s  %15s  %15s\n\n%s: %s parameters\n",
      columns,
      "sum",
      "",
      "",
      with_commas(totals.num_elements).c_str(),
      with_commas(totals.num_bytes).c_str(),
      architecture_text(model.config).c_str(),
      with_commas(count_parameters(model.config)).c_str());
  return 0;
}

} // namespace

void add_print(CLI::App& app, std::function<int()>& run) {
  auto directory = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "print", "The configuration as it is understood, and a table of the tensors.");
  command->add_option("directory", *directory, "Hugging Face directory")->required();
  command->callback([directory, &run] { run = [directory] { return run_print(*directory); }; });
}

} // namespace fcc::tools
