#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "fcc_convert/commands.h"

namespace fcc::tools {
namespace {

/// Name and content of each file of tools/fcc_convert/transformers.
struct EmbeddedFile {
  std::string_view name, content;
};
constexpr EmbeddedFile kFiles[] = {
#include "remote_code_files.inc"
};

JsonValue text(const char* value) {
  return JsonValue(JsonValue::Variant(std::string(value)));
}

void set_member(JsonValue& object, const std::string& key, JsonValue value) {
  if (JsonValue* member = object.find(key)) {
    *member = std::move(value);
  } else {
    object.as<JsonValue::Object>()->emplace_back(key, std::move(value));
  }
}

} // namespace

void require_memory(const ModelConfig& config) {
  if (!config.fcc) {
    throw ConfigError(
        "--remote-code",
        "is for models with segments and memory",
        "a plain Llama",
        "transformers know it without; --fcc makes it fold its context");
  }
  if (config.arch() != Architecture::kCondensation && config.arch() != Architecture::kLocalGlobal) {
    throw ConfigError(
        "--remote-code",
        "is for the architectures condensation and local_global",
        std::string(enum_name(config.arch())),
        "leave it out: fcc-generate and fcc-eval run this model");
  }
}

void add_remote_code(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "config.json";
  JsonValue config = parse_json_without_duplicates(read_file(file), file.string());
  JsonValue::Array architectures;
  architectures.push_back(text("FccForCausalLM"));
  JsonValue::Object classes;
  classes.emplace_back("AutoConfig", text("configuration_fcc.FccConfig"));
  classes.emplace_back("AutoModelForCausalLM", text("modeling_fcc.FccForCausalLM"));
  // Never "llama": who does not run this code would get full attention in silence.
  set_member(config, "model_type", text("fcc"));
  set_member(config, "architectures", JsonValue(JsonValue::Variant(std::move(architectures))));
  set_member(config, "auto_map", JsonValue(JsonValue::Variant(std::move(classes))));
  write_file_atomic(file, json_text(config) + "\n");
  for (const EmbeddedFile& embedded : kFiles) {
    write_file_atomic(directory / embedded.name, std::string(embedded.content));
  }
}

} // namespace fcc::tools
