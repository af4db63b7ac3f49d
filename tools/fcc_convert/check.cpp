#include <algorithm>
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include "fcc/core/error.h"
#include "fcc/model/hugging_face.h"
#include "fcc/model/parameters.h"
#include "fcc/text/tokenizer.h"
#include "fcc_convert/commands.h"

namespace fcc::tools {
namespace fs = std::filesystem;
namespace {

/// What the tokenizer is; its ids must have a row in the embedding.
std::string check_tokenizer(const ModelFiles& model) {
  if (!has_tokenizer(model.directory)) {
    return "no tokenizer";
  }
  TokenizerConfig config;
  config.path = model.directory.string();
  const auto tokenizer = make_tokenizer(config);
  if (tokenizer->vocab_size() > model.config.vocab_size) {
    throw FormatError(
        model.directory.string(),
        "the tokenizer must have at most vocab_size = " + std::to_string(model.config.vocab_size) +
            " tokens",
        std::to_string(tokenizer->vocab_size()));
  }
  return tokenizer->kind() + " tokenizer of " + with_commas(tokenizer->vocab_size());
}

int run_check(const fs::path& directory) {
  const ModelFiles model = open_model(directory);
  const auto absent = check_weights(model.config, model.weights, directory.string());
  if (!absent.empty()) {
    throw FormatError(directory.string(), "lacks the weight " + absent.front());
  }
  require_model_type(directory);
  const std::string tokenizer = check_tokenizer(model);
  const bool has_manifest = verify_if_manifest(directory);
  for (const WeightShape& weight : weight_shapes(model.config)) {
    require_finite(model.weights.at(weight.name));
  }
  std::printf(
      "%s: good: %s; %s parameters in %zu tensors, %s; %s; %s\n",
      directory.c_str(),
      architecture_text(model.config).c_str(),
      with_commas(count_parameters(model.config)).c_str(),
      model.weights.tensors().size(),
      dtype_text(main_dtype(model)).c_str(),
      tokenizer.c_str(),
      has_manifest ? "every file as its manifest says" : "no manifest");
  return 0;
}

} // namespace

void add_check(CLI::App& app, std::function<int()>& run) {
  auto directory = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "check",
      "Whether a model is whole: configuration, every weight with its shape and type and no NaN, "
      "tokenizer, "
      "and size and SHA-256 of every file where there is a manifest.json.\n"
      "Exit code 0: it is; 1: a file is damaged or does not fit; 2: the configuration is refused.");
  command->add_option("directory", *directory, "Hugging Face directory")->required();
  command->callback([directory, &run] { run = [directory] { return run_check(*directory); }; });
}

} // namespace fcc::tools
