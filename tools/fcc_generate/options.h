#pragma once

#include <cstdint>
#include <string>

#include "common/torch/model_options.h"
#include "fcc/generate/sampler.h"

namespace fcc::tools {

/// The command line of fcc-generate.
struct GenerateOptions {
  ModelOptions model;
  std::string prompt, prompt_file, prompts, output, system, load_state, save_state;
  bool has_prompt = false;
  std::int64_t max_tokens = 256, batch_size = 16;
  SamplerOptions sampler;
  bool special = false, ignore_eos = false, hide_prompt = false, quiet = false;
  bool interactive = false, chat = false, plain = false;
};

void add_generate_options(CLI::App& app, GenerateOptions& options);

/// After the command line was read: defaults that depend on others. Errors: `ConfigError` where
/// options do not go together.
void complete_options(const CLI::App& app, GenerateOptions& options);

} // namespace fcc::tools
