#include <filesystem>
#include <fstream>
#include <limits>

#include <gtest/gtest.h>

#include <ATen/ops/equal.h>

#include "fcc/core/error.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"
#include "fcc/model/hugging_face.h"
#include "fcc/model/tensor_io.h"
#include "model/tiny_model.h"

namespace fcc {
namespace {

using namespace fcc::testing;

class HuggingFace : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() /
                 (std::string("fcc_hugging_face_test_") +
                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
  }
  void TearDown() override {
    std::filesystem::remove_all(directory_);
  }
  std::filesystem::path directory_;
};

std::string llama_json(const std::string& more) {
  return R"({"model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24,
    "num_hidden_layers": 2, "num_attention_heads": 4)" +
         (more.empty() ? "" : ", " + more) + "}";
}

std::string refusal(const std::string& more) {
  try {
    parse_model_config(llama_json(more), "config.json");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(ModelConfigFile, KeysLeftOutMeanWhatLlamaTakesThemFor) {
  const ModelConfig config = parse_model_config(llama_json(""), "config.json");
  EXPECT_EQ(config.num_key_value_heads, 4);
  EXPECT_EQ(config.head_dim, 4);
  EXPECT_EQ(config.rope_theta, 10000.0);
  EXPECT_EQ(config.rms_norm_eps, 1e-6);
  EXPECT_EQ(config.max_position_embeddings, 2048);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(config.arch(), Architecture::kLlama);
}

TEST(ModelConfigFile, OtherMathematicsIsRefusedByName) {
  EXPECT_NE(refusal(R"("attention_bias": true)").find("attention_bias"), std::string::npos);
  EXPECT_NE(refusal(R"("mlp_bias": true)").find("mlp_bias"), std::string::npos);
  EXPECT_NE(refusal(R"("hidden_act": "gelu")").find("hidden_act"), std::string::npos);
  EXPECT_NE(
      refusal(R"("quantization_config": {"bits": 4})").find("quantization_config"),
      std::string::npos);
  EXPECT_NE(
      refusal(R"("rope_scaling": {"rope_type": "yarn", "factor": 4.0})").find("rope_type"),
      std::string::npos);
  EXPECT_NE(refusal(R"("fcc": {"segment_lenght": 4})").find("segment_lenght"), std::string::npos);
  EXPECT_NE(
      refusal(R"("partial_rotary_factor": 0.5)").find("partial_rotary_factor"), std::string::npos);
  EXPECT_EQ(refusal(R"("hidden_act": "swish", "partial_rotary_factor": 1.0)"), "");
  EXPECT_EQ(refusal(R"("use_cache": true, "attention_bias": false, "rope_scaling": null)"), "");
}

TEST(ModelConfigFile, TheNewerFormOfRopeIsUnderstood) {
  const ModelConfig plain = parse_model_config(
      llama_json(R"("rope_parameters": {"rope_type": "default", "rope_theta": 5000.0})"), "c");
  EXPECT_EQ(plain.rope_theta, 5000.0);
  EXPECT_FALSE(plain.rope_scaling.has_value());
  const ModelConfig scaled = parse_model_config(
      llama_json(
          R"("rope_parameters": {"rope_type": "llama3", "rope_theta": 7.0, "factor": 32.0,
          "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 4096})"),
      "c");
  EXPECT_EQ(scaled.rope_theta, 7.0);
  ASSERT_TRUE(scaled.rope_scaling.has_value());
  EXPECT_EQ(scaled.rope_scaling->factor, 32.0);
  EXPECT_EQ(scaled.rope_scaling->original_max_position_embeddings, 4096);
}

TEST(ModelConfigFile, RopeKeysLeftOutMeanWhatTransformersTakeThemFor) {
  const std::string llama3 =
      R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0)";
  const auto length = [](const std::string& more) {
    const auto rope = parse_model_config(llama_json(more), "c").rope_scaling;
    return rope ? rope->original_max_position_embeddings : 0;
  };
  EXPECT_EQ(length(R"("rope_scaling": )" + llama3 + "}"), 2048); // Llama's max_position_embeddings
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const std::string rope = "\"" + std::string(key) + "\": " + llama3;
    const std::string own = rope + R"(, "original_max_position_embeddings": 512})";
    EXPECT_EQ(length(R"("max_position_embeddings": 4096, )" + rope + "}"), 4096);
    EXPECT_EQ(length(R"("max_position_embeddings": 4096, )" + own), 512);
    EXPECT_EQ(length(R"("original_max_position_embeddings": 1024, )" + own), 1024);
    EXPECT_EQ(length("\"" + std::string(key) + "\": {}"), 0);
    EXPECT_EQ(length("\"" + std::string(key) + R"(": {"rope_theta": 5000.0})"), 0);
    EXPECT_EQ(length("\"" + std::string(key) + R"(": {"type": "default"})"), 0);
  }
  for (const char* key : {"factor", "low_freq_factor", "high_freq_factor"}) {
    std::string rope = llama3 + "}";
    rope.replace(rope.find('"' + std::string(key) + '"') + 1, 1, "no_"); // another key
    EXPECT_NE(refusal("\"rope_scaling\": " + rope).find(key), std::string::npos) << key;
  }
  const std::string theta = R"("rope_parameters": {"rope_theta": 5000.0}, "rope_scaling": {})";
  EXPECT_EQ(parse_model_config(llama_json(theta), "c").rope_theta, 5000.0);
}

TEST(ModelConfigFile, AShapeThatTransformersRefuseOfALlamaIsNotWrittenAsOne) {
  ModelConfig config = tiny_config(std::nullopt);
  config.hidden_size = 2 * config.num_attention_heads * config.head_dim;
  EXPECT_NE(
      model_config_json(config, DType::kF32).find(R"("model_type": "llama")"), std::string::npos);
  ++config.hidden_size; // the heads have a width of their own, so that only transformers mind
  const std::string text = model_config_json(config, DType::kF32);
  EXPECT_NE(text.find(R"("model_type": "fcc")"), std::string::npos);
  EXPECT_EQ(model_config_json(parse_model_config(text, "c"), DType::kF32), text);
}

TEST(ModelConfigFile, IsWrittenSoThatNoAddedWeightIsDroppedInSilence) {
  FccConfig fcc = condensation(4);
  EXPECT_NE(
      model_config_json(tiny_config(fcc), DType::kBF16).find(R"("model_type": "llama")"),
      std::string::npos);
  fcc.first_memory = FirstMemory::kLearned;
  EXPECT_NE(
      model_config_json(tiny_config(fcc), DType::kBF16).find(R"("model_type": "fcc")"),
      std::string::npos);
  for (const auto& section :
       {std::optional<FccConfig>(), std::optional(fcc), std::optional(local_global(4, 2))}) {
    const std::string text = model_config_json(tiny_config(section), DType::kF32);
    EXPECT_EQ(model_config_json(parse_model_config(text, "c"), DType::kF32), text);
  }
}

TEST_F(HuggingFace, AModelReadsBackBitForBitShardedOrNot) {
  for (const std::int64_t shard_bytes : {std::int64_t{1} << 30, std::int64_t{2000}}) {
    std::filesystem::remove_all(directory_);
    FccConfig fcc = condensation(4);
    fcc.memory_norm = MemoryNorm::kOwn;
    ModelConfig config = tiny_config(fcc);
    config.tie_word_embeddings = false;
    const auto saved = tiny_parameters(config, ComputeDType::kFloat32);
    save_model(*saved, saved->compute(), DType::kF32, directory_, shard_bytes);
    FlatParameters loaded(load_model_config(directory_), ComputeDType::kFloat32, at::kCPU, 99);
    EXPECT_TRUE(load_weights(loaded, directory_).empty());
    EXPECT_TRUE(at::equal(loaded.master(), saved->master()));
    EXPECT_EQ(model_hash(loaded), model_hash(*saved));
    EXPECT_EQ(std::filesystem::exists(directory_ / "model.safetensors"), shard_bytes > 2000);
  }
}

TEST_F(HuggingFace, ADamagedFileOfARunIsRefused) {
  const ModelConfig config = tiny_config(condensation(4));
  const auto saved = tiny_parameters(config, ComputeDType::kFloat32);
  AtomicDirectory writer(directory_);
  save_model(*saved, saved->compute(), DType::kF32, writer.path());
  writer.commit();
  FlatParameters loaded(config, ComputeDType::kFloat32, at::kCPU, 99);
  EXPECT_NO_THROW(load_weights(loaded, directory_));
  std::fstream file(directory_ / "model.safetensors", std::ios::in | std::ios::out);
  file.seekp(-5, std::ios::end); // one byte of the last weight
  file.put('\x41');
  file.close();
  EXPECT_THROW(load_weights(loaded, directory_), FormatError);
}

TEST_F(HuggingFace, AWeightThatIsNoNumberIsRefusedByName) {
  const ModelConfig config = tiny_config(condensation(4));
  const auto saved = tiny_parameters(config, ComputeDType::kFloat32);
  saved->named(saved->master())[1].tensor.view(-1)[3] = std::numeric_limits<double>::quiet_NaN();
  save_model(*saved, saved->compute(), DType::kBF16, directory_);
  FlatParameters loaded(config, ComputeDType::kFloat32, at::kCPU, 99);
  try {
    load_weights(loaded, directory_);
    FAIL() << "must be refused";
  } catch (const FormatError& error) {
    const std::string name = saved->named(saved->master())[1].name;
    EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
  }
}

TEST_F(HuggingFace, ACountOfLayersBeyondTheFileIsRefusedAtOnce) {
  ModelConfig config = tiny_config(condensation(4));
  const auto saved = tiny_parameters(config, ComputeDType::kFloat32);
  save_model(*saved, saved->compute(), DType::kF32, directory_);
  config.num_hidden_layers = std::int64_t{1} << 40;
  EXPECT_THROW(check_weights(config, SafetensorsDirectory(directory_), "it"), FormatError);
  config.num_hidden_layers = std::int64_t{1} << 55;
  EXPECT_THROW(count_parameters(config), ConfigError);
}

TEST_F(HuggingFace, NarrowTypesAreReadAndWritten) {
  const ModelConfig config = tiny_config(condensation(4));
  const auto saved = tiny_parameters(config, ComputeDType::kBFloat16);
  for (const DType dtype : {DType::kBF16, DType::kF16}) {
    save_model(*saved, saved->compute(), dtype, directory_);
    FlatParameters loaded(config, ComputeDType::kFloat32, at::kCPU, 99);
    load_weights(loaded, directory_);
    EXPECT_LT(
        max_difference(loaded.master(), saved->compute()), dtype == DType::kBF16 ? 1e-30 : 1e-3);
    FlatParameters narrow(config, ComputeDType::kBFloat16, at::kCPU, std::nullopt);
    load_weights(narrow, directory_);
    EXPECT_EQ(model_hash(narrow), model_hash(loaded)) << "its states go with it in either dtype";
  }
}

TEST_F(HuggingFace, AModelForInferenceDoesWithoutTheBuffersOfTraining) {
  FccConfig fcc = condensation(4);
  fcc.first_memory = FirstMemory::kLearned;
  fcc.memory_norm = MemoryNorm::kOwn; // absent in the file: ones
  const ModelConfig config = tiny_config(fcc);
  const auto plain = tiny_parameters(tiny_config(std::nullopt), ComputeDType::kFloat32);
  save_model(*plain, plain->compute(), DType::kF32, directory_);
  for (const ComputeDType dtype : {ComputeDType::kFloat32, ComputeDType::kBFloat16}) {
    FlatParameters trained(config, dtype, at::kCPU, std::nullopt);
    FlatParameters loaded = FlatParameters::for_inference(config, dtype, at::kCPU);
    EXPECT_EQ(load_weights(trained, directory_), load_weights(loaded, directory_));
    EXPECT_FALSE(loaded.grad().defined());
    EXPECT_EQ(loaded.master().defined(), dtype == ComputeDType::kFloat32);
    EXPECT_TRUE(at::equal(loaded.compute(), trained.compute()));
    EXPECT_EQ(model_hash(loaded), model_hash(trained));
    for (const Execution execution : {Execution::kReference, Execution::kFused}) {
      EngineSection engine;
      engine.dtype = dtype;
      engine.execution = execution;
      const MicroBatch batch = random_batch(config, 2, 11);
      const auto executor = make_executor(loaded, engine);
      const PassResult expected = make_executor(trained, engine)->evaluate(batch, nullptr);
      EXPECT_TRUE(
          at::equal(executor->evaluate(batch, nullptr).token_losses, expected.token_losses));
      EXPECT_THROW(executor->clear_gradients(), Error);
      EXPECT_THROW(executor->train(batch), Error);
    }
  }
}

TEST_F(HuggingFace, OnlyMemoryWeightsMayBeAbsent) {
  const auto llama = tiny_parameters(tiny_config(std::nullopt), ComputeDType::kFloat32);
  save_model(*llama, llama->compute(), DType::kF32, directory_);
  FccConfig fcc = condensation(4);
  fcc.memory_norm = MemoryNorm::kOwn;
  fcc.first_memory = FirstMemory::kLearned;
  FlatParameters folded(tiny_config(fcc), ComputeDType::kFloat32, at::kCPU, 1);
  EXPECT_EQ(load_weights(folded, directory_).size(), 4U);
  ModelConfig deeper = tiny_config(std::nullopt);
  deeper.num_hidden_layers = 3;
  FlatParameters missing(deeper, ComputeDType::kFloat32, at::kCPU, 1);
  EXPECT_THROW(load_weights(missing, directory_), FormatError);
  deeper.num_hidden_layers = 1;
  FlatParameters surplus(deeper, ComputeDType::kFloat32, at::kCPU, 1);
  EXPECT_THROW(load_weights(surplus, directory_), FormatError);
  ModelConfig wider = tiny_config(std::nullopt);
  wider.intermediate_size = 23;
  FlatParameters misshapen(wider, ComputeDType::kFloat32, at::kCPU, 1);
  EXPECT_THROW(load_weights(misshapen, directory_), FormatError);
}

TEST_F(HuggingFace, ATiedHeadMayStandInTheFileIfItIsTheEmbedding) {
  const auto saved = tiny_parameters(tiny_config(std::nullopt), ComputeDType::kFloat32);
  std::filesystem::create_directories(directory_);
  std::vector<TensorView> views;
  const auto tensors = saved->named(saved->master());
  for (const NamedTensor& weight : tensors) {
    views.push_back(file_view(weight.name, weight.tensor));
  }
  at::Tensor head = tensors[0].tensor.clone();
  views.push_back(file_view("lm_head.weight", head));
  write_safetensors_directory(directory_, views, std::int64_t{1} << 30);
  FlatParameters loaded(saved->config(), ComputeDType::kFloat32, at::kCPU, 1);
  EXPECT_NO_THROW(load_weights(loaded, directory_));
  head.add_(1);
  write_safetensors_directory(directory_, views, std::int64_t{1} << 30);
  EXPECT_THROW(load_weights(loaded, directory_), FormatError);
}

} // namespace
} // namespace fcc
