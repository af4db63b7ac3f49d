#include "fcc/config/model_config.h"

#include <algorithm>
#include <vector>

#include "fcc/config/problems.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/core/nearest.h"

namespace fcc {
namespace {

void refuse_meaningless_keys(const FccConfig& fcc, Problems& problems) {
  const std::vector<std::string> wanted = keys_of(fcc.arch);
  FccConfig defaults;
  const JsonValue given = config_to_json(fcc), plain = config_to_json(defaults);
  for (const JsonMember& member : *given.as<JsonValue::Object>()) {
    if (std::find(wanted.begin(), wanted.end(), member.key) == wanted.end() &&
        json_text(member.value) != json_text(*plain.find(member.key))) {
      problems.add(
          member.key,
          "has no meaning for arch `" + std::string(enum_name(fcc.arch)) + "`: leave it out");
    }
  }
}

/// What all Llama-3.2 models share.
ModelConfig llama_3_2() {
  ModelConfig config;
  config.vocab_size = 128256;
  config.num_key_value_heads = 8;
  config.intermediate_size = 8192;
  config.rope_scaling.emplace().factor = 32.0;
  return config;
}

ModelConfig llama_3_2_1b() {
  ModelConfig config = llama_3_2();
  config.hidden_size = 2048;
  config.num_hidden_layers = 16;
  config.num_attention_heads = 32;
  config.head_dim = 64;
  return config;
}

ModelConfig llama_3_2_3b() {
  ModelConfig config = llama_3_2();
  config.hidden_size = 3072;
  config.num_hidden_layers = 28;
  config.num_attention_heads = 24;
  config.head_dim = 128;
  return config;
}

/// Table I of arXiv 2405.04620: heads wider than D/H.
ModelConfig table_1() {
  ModelConfig config = llama_3_2();
  config.hidden_size = 512;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 32;
  config.head_dim = 64;
  return config;
}

struct Preset {
  const char* name;
  ModelConfig (*make)();
};

constexpr Preset kPresets[] = {
    {"llama-3.2-1b", llama_3_2_1b},
    {"llama-3.2-3b", llama_3_2_3b},
    {"table-1", table_1}};

} // namespace

std::vector<std::string> keys_of(Architecture arch) {
  switch (arch) {
    case Architecture::kCondensation:
      return {
          "arch",
          "segment_length",
          "memory_norm",
          "memory_positions",
          "memory_source",
          "first_memory",
          "memory_gradient"};
    case Architecture::kLocalGlobal:
      return {"arch", "segment_length", "num_local_layers"};
    case Architecture::kRmt:
      return {"arch", "segment_length", "num_memory_tokens"};
    case Architecture::kLlama:
    case Architecture::kInfiniAttention:
    case Architecture::kTitansMag:
      break;
  }
  return {"arch", "segment_length"};
}

void check_rules(const FccConfig& fcc, Problems& problems) {
  if (fcc.arch == Architecture::kLlama) {
    problems.add(
        "arch",
        "must be an architecture with a memory",
        "`llama`",
        "a plain Llama has no `fcc` section");
    return;
  }
  const auto need = [&](const char* key, std::int64_t value) {
    if (value < 1) {
      problems.add(
          key,
          "must be at least 1 for arch `" + std::string(enum_name(fcc.arch)) + "`",
          std::to_string(value));
    }
  };
  if (fcc.arch == Architecture::kLocalGlobal) {
    need("num_local_layers", fcc.num_local_layers);
  }
  if (fcc.arch == Architecture::kRmt) {
    need("num_memory_tokens", fcc.num_memory_tokens);
  }
  refuse_meaningless_keys(fcc, problems);
}

void check_rules(const ModelConfig& config, Problems& problems) {
  if (config.num_key_value_heads > 0 &&
      config.num_attention_heads % config.num_key_value_heads != 0) {
    problems.add(
        "num_key_value_heads",
        "must divide num_attention_heads = " + std::to_string(config.num_attention_heads),
        std::to_string(config.num_key_value_heads));
  }
  if (config.head_dim % 2 != 0) {
    problems.add("head_dim", "must be even: RoPE turns pairs", std::to_string(config.head_dim));
  }
  if (config.rope_scaling) {
    const Problems::Scope scope(problems, "rope_scaling");
    const RopeScaling& scaling = *config.rope_scaling;
    if (scaling.rope_type != "llama3") {
      problems.add("rope_type", "must be `llama3`", "`" + scaling.rope_type + "`");
    }
    if (!(scaling.high_freq_factor > scaling.low_freq_factor)) {
      problems.add("high_freq_factor", "must be above low_freq_factor");
    }
  }
  if (config.fcc) {
    const Problems::Scope scope(problems, "fcc");
    check_rules(*config.fcc, problems);
  }
}

ModelConfig model_preset(const std::string& name) {
  std::vector<std::string> names;
  std::string list;
  for (const Preset& preset : kPresets) {
    if (preset.name == name) {
      return preset.make();
    }
    names.emplace_back(preset.name);
    list += (list.empty() ? "`" : ", `") + names.back() + "`";
  }
  throw ConfigError(
      "model preset", "must be one of " + list, "`" + name + "`", nearest_hint(name, names));
}

} // namespace fcc
