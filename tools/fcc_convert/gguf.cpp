// `convert` of a GGUF file: numbers are dequantized, rotary rows put back, the tokenizer rewritten.

#include <algorithm>
#include <cmath>
#include <system_error>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/io/gguf.h"
#include "fcc/model/gguf_model.h"
#include "fcc/model/hugging_face.h"
#include "fcc/text/gguf_tokenizer.h"
#include "fcc_convert/commands.h"

namespace fcc::tools {
namespace fs = std::filesystem;
namespace {

/// Numbers that are dequantized at once.
constexpr std::int64_t kBlockElements = std::int64_t{1} << 20;

void write_tensor(
    const GgufFile& file,
    const ModelConfig& config,
    const TensorHeader& header,
    const AppendBytes& append) {
  const std::int64_t columns = header.shape.back();
  const std::int64_t rows = header.shape.size() == 1 ? 1 : header.shape[0];
  const std::int64_t step = std::max<std::int64_t>(1, kBlockElements / columns);
  std::vector<float> block;
  for (std::int64_t row = 0; row < rows; row += step) {
    block.resize(static_cast<std::size_t>(std::min(step, rows - row) * columns));
    read_gguf_rows(file, config, header.name, row, block);
    if (!std::all_of(block.begin(), block.end(), [](float x) { return std::isfinite(x); })) {
      throw FormatError(
          file.path().string(), header.name + " must hold finite numbers", "NaN or infinity");
    }
    append_as(header.name, DType::kF32, std::as_bytes(std::span(block)), header.dtype, append);
  }
}

/// The ids that generation begins and ends with, as Hugging Face's files name them.
JsonValue::Object token_ids(const GgufFile& file) {
  constexpr std::pair<const char*, const char*> kKeys[] = {
      {"tokenizer.ggml.bos_token_id", "bos_token_id"},
      {"tokenizer.ggml.eos_token_id", "eos_token_id"},
      {"tokenizer.ggml.padding_token_id", "pad_token_id"}};
  JsonValue::Object ids;
  for (const auto& [key, name] : kKeys) {
    if (const auto* id = file.find<std::int64_t>(key)) {
      ids.emplace_back(name, JsonValue(JsonValue::Variant(*id)));
    }
  }
  return ids;
}

std::string config_text(const GgufFile& file, const ModelConfig& config, DType dtype) {
  JsonValue root = parse_json_without_duplicates(model_config_json(config, dtype), "config.json");
  for (JsonMember& member : token_ids(file)) {
    root.as<JsonValue::Object>()->push_back(std::move(member));
  }
  return json_text(root) + "\n";
}

} // namespace

bool is_gguf(const fs::path& path) {
  return path.extension() == ".gguf" && !fs::is_directory(path);
}

ModelConfig convert_gguf(const GgufArguments& arguments) {
  const GgufFile file(arguments.input);
  const ModelConfig plain = gguf_model_config(file);
  check_gguf_weights(file, plain);
  std::vector<std::pair<std::string, std::string>> tokenizer;
  if (arguments.with_tokenizer) {
    tokenizer = gguf_tokenizer_files(file);
  }
  ModelConfig config = plain;
  config.fcc = arguments.fcc;

  std::vector<TensorHeader> headers;
  for (const WeightShape& weight : weight_shapes(config)) {
    headers.push_back({weight.name, arguments.dtype, weight.shape});
  }
  std::vector<std::string> known;
  for (const WeightShape& weight : weight_shapes(plain)) {
    known.push_back(weight.name);
  }
  std::sort(known.begin(), known.end());
  std::error_code error;
  fs::create_directories(arguments.output.parent_path(), error);
  if (error) {
    throw IoError(
        arguments.output.parent_path().string(), "the directory cannot be made", error.message());
  }
  AtomicDirectory output(arguments.output);
  write_safetensors_directory(
      output.path(),
      headers,
      arguments.max_shard_bytes,
      [&](std::size_t i, const AppendBytes& append) {
        if (std::binary_search(known.begin(), known.end(), headers[i].name)) {
          write_tensor(file, plain, headers[i], append);
        } else {
          write_new_weight(headers[i], append);
        }
      });
  write_file_atomic(output.path() / "config.json", config_text(file, config, arguments.dtype));
  write_file_atomic(
      output.path() / "generation_config.json",
      json_text(JsonValue(JsonValue::Variant(token_ids(file)))) + "\n");
  for (const auto& [name, content] : tokenizer) {
    write_file_atomic(output.path() / name, content);
  }
  if (arguments.remote_code) {
    add_remote_code(output.path());
  }
  output.commit();
  return config;
}

} // namespace fcc::tools
