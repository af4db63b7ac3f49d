#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <CLI/CLI.hpp>

#include "common/checks.h"
#include "fcc/config/dtype_names.h"
#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/model/hugging_face.h"
#include "fcc/model/tensor_io.h"
#include "fcc/text/tokenizer.h"
#include "fcc_convert/commands.h"

namespace fcc::tools {
namespace fs = std::filesystem;
namespace {

struct Arguments {
  std::string input, output, dtype, fcc;
  std::uint64_t max_shard_bytes = std::uint64_t{5} << 30;
  bool overwrite = false, no_tokenizer = false, remote_code = false;
};

std::optional<DType> dtype_of(const std::string& name) {
  if (name.empty()) {
    return std::nullopt;
  }
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kBF16, DType::kF16}) {
    if (dtype_text(dtype) == dtype_by_other_name(name)) {
      return dtype;
    }
  }
  throw ConfigError("--dtype", "must be float64, float32, bfloat16 or float16", name);
}

/// The model's configuration with the section `fcc` that the command line asks for.
ModelConfig target_config(ModelConfig config, const std::string& fcc) {
  if (fcc == "none") {
    config.fcc.reset();
  } else if (!fcc.empty()) {
    config.fcc = read_config<FccConfig>(fcc, "--fcc");
  }
  return config;
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first ==
         folder.end();
}

fs::path without_end_slash(const fs::path& path) {
  const fs::path whole = fs::weakly_canonical(fs::absolute(path));
  return whole.has_filename() ? whole : whole.parent_path();
}

/// Refuses a place where something would be lost.
void check_output(const Arguments& arguments) {
  const fs::path input = without_end_slash(arguments.input);
  const fs::path output = without_end_slash(arguments.output);
  if (lies_in(input, output) || lies_in(output, input)) {
    throw ConfigError("OUT", "must lie apart from IN, which stays as it is", arguments.output);
  }
  if (!fs::exists(fs::symlink_status(output))) {
    return;
  }
  if (!arguments.overwrite) {
    throw ConfigError("OUT", "must not exist yet", arguments.output, "or give --overwrite");
  }
  try {
    require_replaceable(output);
  } catch (const IoError& error) {
    throw ConfigError(
        "OUT",
        "--overwrite replaces a model's directory that was written here, with nothing else in it, "
        "or an empty one only",
        error.value(),
        "move it away, or name another OUT");
  }
}

/// The new `config.json`; keys of IN that are no part of the model (token ids, dropout …) stay.
std::string config_text(const ModelFiles& model, const ModelConfig& config, DType dtype) {
  JsonValue root = parse_json_without_duplicates(model_config_json(config, dtype), "config.json");
  const fs::path path = model.directory / "config.json";
  const JsonValue old = parse_json_without_duplicates(read_file(path), path.string());
  // Other spellings of what the new text says under its own keys, and code that is not copied.
  constexpr std::array<std::string_view, 4> kReplaced{
      "fcc", "dtype", "rope_parameters", "auto_map"};
  for (const JsonMember& member : *old.as<JsonValue::Object>()) {
    const bool is_replaced =
        std::find(kReplaced.begin(), kReplaced.end(), member.key) != kReplaced.end();
    if (!is_replaced && root.find(member.key) == nullptr) {
      root.as<JsonValue::Object>()->emplace_back(member.key, member.value);
    }
  }
  return json_text(root) + "\n";
}

/// Casts block by block; the bytes themselves where the type stays.
void write_weight(const TensorView& source, DType dtype, const AppendBytes& append) {
  require_finite(source);
  append_as(source.name, source.dtype, source.bytes, dtype, append);
}

bool belongs_to_model(const std::string& name) {
  constexpr std::array<std::string_view, 7> kNames{
      "special_tokens_map.json",
      "added_tokens.json",
      "vocab.json",
      "merges.txt",
      "vocabulary.txt",
      "fcc_tokenizer.json",
      "generation_config.json"};
  constexpr std::array<std::string_view, 5> kPrefixes{
      "tokenizer", "chat_template", "LICENSE", "USE_POLICY", "NOTICE"};
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end() ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(), [&](std::string_view prefix) {
           return name.starts_with(prefix);
         });
}

/// Tokenizer, generation settings and licence.
void copy_companions(const fs::path& from, const fs::path& to) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && belongs_to_model(name) &&
        !fs::copy_file(entry.path(), to / name, error)) {
      throw IoError(entry.path().string(), "must be copyable", error.message());
    }
  }
}

/// An older run's model says nowhere but in its tokenizer where a text ends.
void add_token_ids(const fs::path& directory) {
  const fs::path file = directory / "config.json";
  const JsonValue config = parse_json_without_duplicates(read_file(file), file.string());
  if (config.find("eos_token_id") == nullptr && has_tokenizer(directory)) {
    save_token_ids(*make_tokenizer({.path = directory.string()}), directory);
  }
}

/// `OUT: llama; 134,515,008 parameters, bfloat16, 269,030,016 bytes`
void print_result(const Arguments& arguments, const ModelConfig& config, DType dtype) {
  const TensorTotals totals = total_of(SafetensorsDirectory(without_end_slash(arguments.output)));
  std::printf(
      "%s: %s; %s parameters, %s, %s bytes",
      arguments.output.c_str(),
      architecture_text(config).c_str(),
      with_commas(totals.num_elements).c_str(),
      dtype_text(dtype).c_str(),
      with_commas(totals.num_bytes).c_str());
}

int run_convert_gguf(const Arguments& arguments) {
  GgufArguments gguf;
  gguf.input = arguments.input;
  gguf.output = without_end_slash(arguments.output);
  gguf.dtype = dtype_of(arguments.dtype).value_or(DType::kBF16);
  gguf.fcc = target_config({}, arguments.fcc).fcc;
  gguf.max_shard_bytes = static_cast<std::int64_t>(arguments.max_shard_bytes);
  gguf.with_tokenizer = !arguments.no_tokenizer;
  gguf.remote_code = arguments.remote_code;
  if (gguf.remote_code) {
    ModelConfig config;
    config.fcc = gguf.fcc;
    require_memory(config);
  }
  print_result(arguments, convert_gguf(gguf), gguf.dtype);
  std::printf("\n");
  return 0;
}

int run_export_gguf(const Arguments& arguments, std::optional<DType> dtype) {
  if (is_gguf(arguments.input) || arguments.remote_code ||
      !(arguments.fcc.empty() || arguments.fcc == "none")) {
    throw ConfigError(
        "OUT",
        "a GGUF file is written from a model's directory, as a plain Llama",
        arguments.output);
  }
  const fs::file_status there = fs::symlink_status(arguments.output);
  if (fs::exists(there) && !(arguments.overwrite && fs::is_regular_file(there))) {
    throw ConfigError("OUT", "must not exist yet", arguments.output, "--overwrite replaces a file");
  }
  export_gguf({arguments.input, arguments.output, dtype, !arguments.no_tokenizer});
  return 0;
}

int run_convert(const Arguments& arguments) {
  const at::NoGradGuard no_grad;
  const std::optional<DType> dtype = dtype_of(arguments.dtype);
  if (fs::path(arguments.output).extension() == ".gguf") {
    return run_export_gguf(arguments, dtype);
  }
  check_output(arguments);
  if (is_gguf(arguments.input)) {
    return run_convert_gguf(arguments);
  }
  if (arguments.no_tokenizer) {
    throw ConfigError("--no-tokenizer", "is for GGUF files", arguments.input);
  }
  const ModelFiles model = open_model(arguments.input);
  require_model_type(arguments.input);
  const ModelConfig config = target_config(model.config, arguments.fcc);
  if (arguments.remote_code) {
    require_memory(config);
  }
  const auto fresh = check_weights(config, model.weights, arguments.input);
  verify_if_manifest(arguments.input); // the copy's own manifest must not vouch for damage

  const DType config_dtype = dtype.value_or(main_dtype(model));
  std::vector<TensorHeader> headers;
  for (const WeightShape& weight : weight_shapes(config)) {
    const bool has = model.weights.contains(weight.name);
    const DType old = has ? model.weights.at(weight.name).dtype : config_dtype;
    headers.push_back({weight.name, dtype.value_or(old), weight.shape});
  }
  const fs::path target = without_end_slash(arguments.output);
  std::error_code error;
  fs::create_directories(target.parent_path(), error);
  if (error) {
    throw IoError(target.parent_path().string(), "the directory cannot be made", error.message());
  }
  AtomicDirectory output(target);
  write_safetensors_directory(
      output.path(),
      headers,
      static_cast<std::int64_t>(arguments.max_shard_bytes),
      [&](std::size_t i, const AppendBytes& append) {
        if (model.weights.contains(headers[i].name)) {
          write_weight(model.weights.at(headers[i].name), headers[i].dtype, append);
        } else {
          write_new_weight(headers[i], append);
        }
      });
  write_file_atomic(output.path() / "config.json", config_text(model, config, config_dtype));
  copy_companions(model.directory, output.path());
  add_token_ids(output.path());
  if (arguments.remote_code) {
    add_remote_code(output.path());
  }
  output.commit();

  print_result(arguments, config, config_dtype);
  if (!fresh.empty()) {
    std::printf("; %zu new weights, %s the first", fresh.size(), fresh.front().c_str());
  }
  std::printf("\n");
  return 0;
}

} // namespace

void add_convert(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand(
      "convert",
      "Casts, shards or merges a model, makes a Llama fold its context, or exports it as a plain "
      "Llama again. IN may be a GGUF file of a Llama: its numbers are dequantized, its tokenizer "
      "written as tokenizer.json. OUT may be one (NAME.gguf): a plain Llama for llama.cpp, memory "
      "is lost.\n"
      "OUT appears whole, with a manifest, or not at all; tokenizer, generation settings and "
      "licence are copied. Tensors go through one by one: memory does not grow with the model.");
  command
      ->add_option("IN", arguments->input, "Hugging Face directory or GGUF file; it stays as it is")
      ->required();
  command->add_option("OUT", arguments->output, "Directory to write, or a file NAME.gguf")
      ->required();
  command
      ->add_option(
          "--dtype",
          arguments->dtype,
          "float64, float32, bfloat16 or float16; left out: every tensor keeps its type, and a "
          "GGUF "
          "file becomes bfloat16")
      ->type_name("NAME");
  command
      ->add_option(
          "--max-shard",
          arguments->max_shard_bytes,
          "Largest weight file, as 500MB or 2GiB; one file if all fits (5GiB)")
      ->transform(size_in_bytes(true))
      ->check([](const std::string& bytes) {
        return bytes == "0" ? std::string("must be at least 1 byte; got 0") : std::string();
      })
      ->type_name("SIZE");
  command
      ->add_option(
          "--fcc",
          arguments->fcc,
          "The section `fcc` of config.json in place of the old one, as {\"segment_length\": 512}; "
          "none: a plain Llama, which must have no weights for memory. Left out: it stays")
      ->type_name("JSON|none");
  command->add_flag(
      "--no-tokenizer",
      arguments->no_tokenizer,
      "Leave the tokenizer of a GGUF file out, IN or OUT");
  command->add_flag(
      "--remote-code",
      arguments->remote_code,
      "Write the model's Python code beside it: transformers then run its segments and memory, "
      "with "
      "trust_remote_code=True (docs/transformers.md)");
  command->add_flag(
      "--overwrite",
      arguments->overwrite,
      "Replace the model in OUT, if a program of this library wrote it and nothing else lies "
      "there");
  command->callback([arguments, &run] { run = [arguments] { return run_convert(*arguments); }; });
}

} // namespace fcc::tools
