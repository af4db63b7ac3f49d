#include "fcc/config/model_config.h"

#include <gtest/gtest.h>

#include "fcc/config/strict_json.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

std::int64_t num_parameters(const ModelConfig& c) {
  const std::int64_t embedding = c.vocab_size * c.hidden_size;
  const std::int64_t attention = 2 * c.hidden_size * c.num_attention_heads * c.head_dim +
                                 2 * c.hidden_size * c.num_key_value_heads * c.head_dim;
  const std::int64_t mlp = 3 * c.hidden_size * c.intermediate_size;
  const std::int64_t layer = attention + mlp + 2 * c.hidden_size;
  return embedding * (c.tie_word_embeddings ? 1 : 2) + c.num_hidden_layers * layer + c.hidden_size;
}

std::string error_of(const std::string& text) {
  try {
    read_config<ModelConfig>(text, "config.json");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(ModelPreset, HaveTheirNumbersOfParameters) {
  EXPECT_EQ(num_parameters(model_preset("table-1")), 126489088);
  EXPECT_EQ(num_parameters(model_preset("llama-3.2-1b")), 1235814400);
  EXPECT_EQ(num_parameters(model_preset("llama-3.2-3b")), 3212749824);
}

TEST(ModelPreset, AreValidPlainLlamasThatReadBack) {
  for (const char* name : {"table-1", "llama-3.2-1b", "llama-3.2-3b"}) {
    const ModelConfig preset = model_preset(name);
    EXPECT_EQ(preset.arch(), Architecture::kLlama);
    EXPECT_EQ(preset.rope_scaling->factor, 32.0);
    const std::string written = write_config(preset);
    EXPECT_EQ(write_config(read_config<ModelConfig>(written, "written.json")), written);
  }
}

TEST(ModelPreset, AnUnknownNameListsTheKnown) {
  EXPECT_THROW(model_preset("table-2"), ConfigError);
}

const char* const kShape =
    R"("vocab_size": 11, "hidden_size": 6, "intermediate_size": 5, "num_hidden_layers": 1, )";

TEST(ModelConfig, RefusesHeadsThatDoNotFit) {
  const std::string error = error_of(
      "{" + std::string(kShape) +
      "\"num_attention_heads\": 4, \"num_key_value_heads\": 3, \"head_dim\": 5}");
  EXPECT_NE(
      error.find("num_key_value_heads: must divide num_attention_heads = 4; got 3"),
      std::string::npos)
      << error;
  EXPECT_NE(error.find("head_dim: must be even"), std::string::npos) << error;
}

TEST(ModelConfig, RefusesOtherRopeScalings) {
  const std::string error = error_of(
      "{" + std::string(kShape) +
      "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"head_dim\": 4, "
      "\"rope_scaling\": {\"rope_type\": \"yarn\"}}");
  EXPECT_NE(error.find("rope_scaling.rope_type: must be `llama3`; got `yarn`"), std::string::npos)
      << error;
}

TEST(ModelConfig, EveryKeyOfTheShapeMustBeGiven) {
  const std::string error = error_of("{}");
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "head_dim"}) {
    EXPECT_NE(error.find(std::string(key) + ": must be given"), std::string::npos) << error;
  }
}

} // namespace
} // namespace fcc
