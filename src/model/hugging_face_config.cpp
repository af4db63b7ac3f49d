#include <optional>
#include <string>

#include "fcc/config/strict_json.h"
#include "fcc/config/write_config.h"
#include "fcc/io/files.h"
#include "fcc/model/hugging_face.h"
#include "model/hashed_config.h"
#include "model/model_directory.h"

namespace fcc {
namespace {

// `max_position_embeddings` of Hugging Face's Llama, where a file leaves it out.
constexpr std::int64_t kLlamaPositions = 2048;

void set_member(JsonValue& object, const std::string& key, JsonValue value) {
  if (JsonValue* member = object.find(key)) {
    *member = std::move(value);
  } else {
    object.as<JsonValue::Object>()->emplace_back(key, std::move(value));
  }
}

void remove_member(JsonValue& object, const std::string& key) {
  std::erase_if(
      *object.as<JsonValue::Object>(), [&](const JsonMember& member) { return member.key == key; });
}

bool is_object(const JsonValue* value) {
  return value != nullptr && value->as<JsonValue::Object>() != nullptr;
}

bool is_set(const JsonValue& root, const std::string& key) {
  const JsonValue* value = root.find(key);
  return value != nullptr && !value->is_null();
}

bool is_empty_object(const JsonValue* value) {
  return is_object(value) && value->as<JsonValue::Object>()->empty();
}

// Notes a problem unless the key is absent, null or equal to `only`.
void allow_only(
    const JsonValue& root,
    const std::string& key,
    const JsonValue& only,
    const std::string& rule,
    Problems& problems) {
  if (is_set(root, key) && json_text(*root.find(key), 0) != json_text(only, 0)) {
    problems.add_at(root.find(key)->line, key, rule, json_text(*root.find(key), 0));
  }
}

void refuse_other_mathematics(const JsonValue& root, Problems& problems) {
  const std::string* type =
      is_set(root, "model_type") ? root.find("model_type")->as<std::string>() : nullptr;
  if (is_set(root, "model_type") && (type == nullptr || (*type != "llama" && *type != "fcc"))) {
    problems.add_at(
        root.find("model_type")->line,
        "model_type",
        "must be \"llama\" or \"fcc\"",
        json_text(*root.find("model_type"), 0));
  }
  const JsonValue no(JsonValue::Variant(false)), null;
  allow_only(root, "attention_bias", no, "biases are not supported", problems);
  allow_only(root, "mlp_bias", no, "biases are not supported", problems);
  const JsonValue* act = root.find("hidden_act");
  if (act == nullptr || act->as<std::string>() == nullptr || *act->as<std::string>() != "swish") {
    allow_only( // SiLU's other name
        root,
        "hidden_act",
        JsonValue(JsonValue::Variant(std::string("silu"))),
        "must be \"silu\"",
        problems);
  }
  allow_only(root, "quantization_config", null, "quantized weights are not supported", problems);
  allow_only(root, "sliding_window", null, "sliding windows are not supported", problems);
}

// A shape that Hugging Face's Llama gives to keys that a file leaves out.
void add_llama_defaults(JsonValue& root) {
  const auto number = [&](const char* key) -> std::optional<std::int64_t> {
    const JsonValue* value = root.find(key);
    const auto* whole = value != nullptr ? value->as<std::int64_t>() : nullptr;
    return whole != nullptr ? std::optional(*whole) : std::nullopt;
  };
  const auto heads = number("num_attention_heads"), width = number("hidden_size");
  if (heads && !is_set(root, "num_key_value_heads")) {
    set_member(root, "num_key_value_heads", JsonValue(JsonValue::Variant(*heads)));
  }
  if (heads && width && *heads > 0 && *width % *heads == 0 && !is_set(root, "head_dim")) {
    set_member(root, "head_dim", JsonValue(JsonValue::Variant(*width / *heads)));
  }
  const auto real = [&](const char* key, double value) {
    if (!is_set(root, key)) {
      set_member(root, key, JsonValue(JsonValue::Variant(JsonValue::Number{value, ""})));
    }
  };
  real("rms_norm_eps", 1e-6);
  real("rope_theta", 10000.0);
  if (!is_set(root, "max_position_embeddings")) {
    set_member(root, "max_position_embeddings", JsonValue(JsonValue::Variant(kLlamaPositions)));
  }
  if (!is_set(root, "tie_word_embeddings")) {
    set_member(root, "tie_word_embeddings", JsonValue(JsonValue::Variant(false)));
  }
}

// RoPE that turns a part of each head only is none of Llama's.
void refuse_partial_rotation(const JsonValue& object, const std::string& path, Problems& problems) {
  if (!is_set(object, "partial_rotary_factor")) {
    return;
  }
  const JsonValue& value = *object.find("partial_rotary_factor");
  const auto* whole = value.as<std::int64_t>();
  const auto* real = value.as<JsonValue::Number>();
  if (!(whole != nullptr && *whole == 1) && !(real != nullptr && real->value == 1.0)) {
    problems.add_at(
        value.line,
        path + "partial_rotary_factor",
        "must be 1: a head is rotated as a whole",
        json_text(value, 0));
  }
}

// The keys of `rope_type: llama3`. None is invented where it is left out, for transformers do not
// either: but for the length, which is `max_position_embeddings` there; one beside the section goes
// before the one in it.
void complete_llama3(
    const JsonValue& root,
    const std::string& key,
    JsonValue& rope,
    Problems& problems) {
  constexpr const char* kLength = "original_max_position_embeddings";
  for (const char* name : {"factor", "low_freq_factor", "high_freq_factor"}) {
    if (!is_set(rope, name)) {
      problems.add_at(rope.line, key + "." + name, "must be there for rope_type llama3");
    }
  }
  if (is_set(root, kLength)) {
    set_member(rope, kLength, *root.find(kLength));
  } else if (!is_set(rope, kLength)) {
    constexpr const char* kPositions = "max_position_embeddings";
    const JsonValue length = is_set(root, kPositions)
                                 ? *root.find(kPositions)
                                 : JsonValue(JsonValue::Variant(kLlamaPositions));
    set_member(rope, kLength, length);
  }
}

// Brings `rope_parameters` (transformers 5) and the older forms of `rope_scaling` to one shape.
void unify_rope(JsonValue& root, Problems& problems) {
  for (const char* name : {"rope_parameters", "rope_scaling"}) {
    if (is_empty_object(root.find(name))) { // says nothing
      remove_member(root, name);
    }
  }
  refuse_partial_rotation(root, "", problems);
  const bool newer = is_set(root, "rope_parameters");
  const std::string key = newer ? "rope_parameters" : "rope_scaling";
  if (newer && is_set(root, "rope_scaling") &&
      json_text(*root.find("rope_scaling"), 0) != json_text(*root.find(key), 0)) {
    problems.add_at(root.find(key)->line, key, "must not stand beside a different rope_scaling");
  }
  if (!is_set(root, key)) {
    return;
  }
  JsonValue rope = *root.find(key);
  if (!is_object(&rope)) {
    problems.add_at(rope.line, key, "must be an object", json_text(rope, 0));
    remove_member(root, key);
    return;
  }
  if (is_set(rope, "rope_theta")) {
    const JsonValue theta = *rope.find("rope_theta");
    const auto value_of = [](const JsonValue& v) {
      const auto* whole = v.as<std::int64_t>();
      const auto* real = v.as<JsonValue::Number>();
      return whole != nullptr ? static_cast<double>(*whole) : real != nullptr ? real->value : 0.0;
    };
    if (!is_set(root, "rope_theta")) {
      set_member(root, "rope_theta", theta);
    } else if (value_of(*root.find("rope_theta")) != value_of(theta)) {
      problems.add_at(
          theta.line, key + ".rope_theta", "must equal rope_theta", json_text(theta, 0));
    }
    remove_member(rope, "rope_theta");
  }
  refuse_partial_rotation(rope, key + ".", problems);
  if (!is_set(rope, "rope_type")) {
    const JsonValue plain(JsonValue::Variant(std::string("default")), rope.line);
    set_member(rope, "rope_type", is_set(rope, "type") ? *rope.find("type") : plain);
  }
  const JsonValue* type = rope.find("rope_type");
  const auto* name = type->as<std::string>();
  if (name == nullptr || (*name != "default" && *name != "llama3")) {
    problems.add_at(
        rope.line, key + ".rope_type", "must be \"default\" or \"llama3\"", json_text(*type, 0));
    rope = JsonValue();
  } else if (*name == "default") {
    rope = JsonValue();
  } else {
    complete_llama3(root, key, rope, problems);
  }
  set_member(root, "rope_scaling", rope);
}

} // namespace

ModelConfig parse_model_config(const std::string& text, const std::string& source) {
  Problems problems(source);
  JsonValue root = parse_config(text, source, {}, problems);
  ModelConfig config;
  if (!is_object(&root)) {
    problems.add_at(root.line, "", "must be an object");
    problems.throw_if_any();
  }
  refuse_other_mathematics(root, problems);
  unify_rope(root, problems);
  add_llama_defaults(root);
  // Hugging Face's own keys are many and change; those of the section `fcc` are ours.
  std::optional<FccConfig> fcc;
  if (const JsonValue* section = root.find("fcc")) {
    read_value({*section, "fcc", problems, UnknownKeys::kRefuse}, Field{}, fcc);
    remove_member(root, "fcc");
  }
  read_value({root, "", problems, UnknownKeys::kIgnore}, Field{}, config);
  config.fcc = fcc;
  if (problems.empty()) {
    check_rules(config, problems);
  }
  problems.throw_if_any();
  return config;
}

ModelConfig load_model_config(const std::filesystem::path& directory) {
  require_model_directory(directory);
  const std::filesystem::path path = directory / "config.json";
  return parse_model_config(read_file(path), path.string());
}

bool adds_weights(const ModelConfig& config) {
  const bool folds = config.arch() == Architecture::kLlama || // one stack of a Llama's layers
                     config.arch() == Architecture::kCondensation;
  return !folds || !MemoryPolicy(config).weights().empty();
}

namespace {

// `own`: a model that Hugging Face's Llama is not.
std::string config_text(const ModelConfig& config, DType dtype, bool own) {
  const auto text = [](const char* value) {
    return JsonValue(JsonValue::Variant(std::string(value)));
  };
  const JsonValue no(JsonValue::Variant(false));
  JsonValue::Array architectures;
  architectures.push_back(text(own ? "FccForCausalLM" : "LlamaForCausalLM"));
  JsonValue root = config_to_json(config);
  if (!config.fcc) {
    remove_member(root, "fcc");
  } else {
    const std::vector<std::string> kept = keys_of(config.arch());
    const bool flows = config.fcc->memory_gradient == MemoryGradient::kFlow;
    std::erase_if(*root.find("fcc")->as<JsonValue::Object>(), [&](const JsonMember& member) {
      return std::find(kept.begin(), kept.end(), member.key) == kept.end() ||
             (flows && member.key == "memory_gradient");
    });
  }
  set_member(root, "architectures", JsonValue(JsonValue::Variant(std::move(architectures))));
  set_member(root, "model_type", text(own ? "fcc" : "llama"));
  set_member(root, "hidden_act", text("silu"));
  set_member(root, "attention_bias", no);
  set_member(root, "mlp_bias", no);
  const char* name = dtype == DType::kBF16  ? "bfloat16"
                     : dtype == DType::kF16 ? "float16"
                     : dtype == DType::kF64 ? "float64"
                                            : "float32";
  set_member(root, "torch_dtype", text(name));
  return json_text(root) + "\n";
}

} // namespace

std::string model_config_json(const ModelConfig& config, DType dtype) {
  const bool is_refused =
      config.num_attention_heads > 0 && config.hidden_size % config.num_attention_heads != 0;
  return config_text(config, dtype, adds_weights(config) || is_refused);
}

std::string hashed_config_text(const ModelConfig& config) {
  return config_text(config, DType::kBF16, adds_weights(config));
}

} // namespace fcc
