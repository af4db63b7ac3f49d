// fcc-convert as a user meets it: exit codes, messages, files.

#include <algorithm>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"
#include "generate/program_helpers.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using namespace fcc::test;

class Convert : public ::testing::Test {
 protected:
  ProgramResult run(const std::string& arguments) {
    return run_fcc(folder_, "fcc-convert", arguments);
  }

  /// Runs `convert`, which must go well.
  std::string convert(const std::string& from, const std::string& to, const std::string& options) {
    const std::string target = folder_ / to;
    const ProgramResult result = run("convert " + from + " " + target + " " + options);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    verify_manifest(target);
    EXPECT_EQ(run("check " + target).exit_code, 0);
    return target;
  }

  void expect_error(const std::string& arguments, int exit_code, const std::string& text) {
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, exit_code) << arguments << "\n" << result.err;
    EXPECT_NE(result.err.find(text), std::string::npos) << arguments << "\n" << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  }

  ProgramFolder folder_;
};

void expect_equal_weights(const std::string& a, const std::string& b) {
  const SafetensorsDirectory left(a), right(b);
  ASSERT_EQ(left.tensors().size(), right.tensors().size());
  for (const TensorView& tensor : left.tensors()) {
    const TensorView& other = right.at(tensor.name);
    EXPECT_EQ(tensor.dtype, other.dtype) << tensor.name;
    EXPECT_EQ(tensor.shape, other.shape) << tensor.name;
    EXPECT_TRUE(std::equal(
        tensor.bytes.begin(), tensor.bytes.end(), other.bytes.begin(), other.bytes.end()))
        << tensor.name;
  }
}

std::size_t num_weight_files(const std::string& directory) {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    count += entry.path().extension() == ".safetensors" ? 1 : 0;
  }
  return count;
}

TEST_F(Convert, ShardsMergedAgainAreTheSameFileAndTheInputStaysAsItIs) {
  const std::string whole = save_tiny_model(folder_, "whole", tiny_config(Architecture::kLlama));
  const std::string before = content_of(whole + "/model.safetensors");
  const std::string shards = convert(whole, "shards", "--max-shard 4KB");
  EXPECT_GT(num_weight_files(shards), 3U);
  EXPECT_TRUE(fs::exists(shards + "/model.safetensors.index.json"));
  expect_equal_weights(whole, shards);
  const std::string merged = convert(shards, "merged", "");
  EXPECT_EQ(num_weight_files(merged), 1U);
  EXPECT_EQ(content_of(merged + "/model.safetensors"), before);
  EXPECT_EQ(content_of(merged + "/fcc_tokenizer.json"), content_of(whole + "/fcc_tokenizer.json"));
  EXPECT_EQ(content_of(whole + "/model.safetensors"), before);
  EXPECT_FALSE(fs::exists(whole + "/manifest.json"));
}

TEST_F(Convert, NarrowWeightsComeBackBitForBitFromAWiderType) {
  const std::string whole = save_tiny_model(folder_, "whole", tiny_config(Architecture::kLlama));
  for (const std::string narrow : {"bfloat16", "float16"}) {
    const std::string first = convert(whole, narrow, "--dtype " + narrow + " --max-shard 3000");
    const std::string wide = convert(first, narrow + "_wide", "--dtype float32");
    const std::string again = convert(wide, narrow + "_again", "--dtype " + narrow);
    expect_equal_weights(first, again);
    EXPECT_EQ(content_of(first + "/config.json"), content_of(again + "/config.json"));
    EXPECT_NE(content_of(first + "/config.json").find(narrow), std::string::npos);
  }
}

TEST_F(Convert, ALlamaBecomesACondensationModelAndAPlainLlamaAgain) {
  const std::string llama = save_tiny_model(folder_, "llama", tiny_config(Architecture::kLlama));
  const std::string folded = convert(llama, "fcc", "--fcc '{\"segment_length\": 7}'");
  EXPECT_NE(content_of(folded + "/config.json").find("\"segment_length\": 7"), std::string::npos);
  expect_equal_weights(llama, folded);
  const std::string plain = convert(folded, "plain", "--fcc none");
  expect_equal_weights(llama, plain);
  EXPECT_EQ(content_of(plain + "/config.json"), content_of(llama + "/config.json"));
}

TEST_F(Convert, AddedWeightsAreNewAndNeverDroppedInSilence) {
  const std::string llama = save_tiny_model(folder_, "llama", tiny_config(Architecture::kLlama));
  const std::string own = convert(
      llama,
      "own",
      "--fcc '{\"segment_length\": 5, \"memory_norm\": \"own\", \"first_memory\": \"learned\"}'");
  EXPECT_NE(content_of(own + "/config.json").find("\"model_type\": \"fcc\""), std::string::npos);
  const SafetensorsDirectory weights(own);
  EXPECT_EQ(weights.at("model.layers.2.initial_memory").shape, (std::vector<std::int64_t>{5, 12}));
  float norm = 0;
  std::memcpy(&norm, weights.at("model.layers.0.memory_layernorm.weight").bytes.data(), 4);
  EXPECT_EQ(norm, 1.0F);
  expect_error("convert " + own + " " + (folder_ / "x") + " --fcc none", 1, "has no place for");
  EXPECT_FALSE(fs::exists(folder_ / "x"));
  // No Llama has the local stack's weights.
  expect_error(
      "convert " + llama + " " + (folder_ / "x") +
          " --fcc '{\"arch\": \"local_global\", \"num_local_layers\": 1}'",
      1,
      "lacks the weight model.local_layers.0");
}

TEST_F(Convert, KeysThatAreNoPartOfTheModelStay) {
  const std::string llama = save_tiny_model(folder_, "llama", tiny_config(Architecture::kLlama));
  std::string text = content_of(llama + "/config.json");
  text.insert(1, "\"attention_dropout\": 0.25, \"dtype\": \"float32\",");
  write_file_atomic(llama + "/config.json", text);
  write_file_atomic(llama + "/generation_config.json", "{\"eos_token_id\": 3}");
  write_file_atomic(llama + "/optimizer.safetensors", "not the model's");
  const std::string copy = convert(llama, "copy", "--dtype bfloat16");
  const std::string config = content_of(copy + "/config.json");
  EXPECT_NE(config.find("\"attention_dropout\": 0.25"), std::string::npos);
  EXPECT_NE(config.find("\"eos_token_id\": 257"), std::string::npos);
  EXPECT_EQ(config.find("float32"), std::string::npos) << config;
  EXPECT_EQ(content_of(copy + "/generation_config.json"), "{\"eos_token_id\": 3}");
  EXPECT_FALSE(fs::exists(copy + "/optimizer.safetensors"));
}

TEST_F(Convert, NothingIsOverwrittenUnasked) {
  const std::string model = save_tiny_model(folder_, "a", tiny_config(Architecture::kLlama));
  const std::string other = convert(model, "b", "");
  expect_error("convert " + model + " " + other, 2, "must not exist yet");
  const std::string narrow = convert(model, "b", "--overwrite --dtype bfloat16");
  EXPECT_NE(content_of(narrow + "/config.json").find("bfloat16"), std::string::npos);
  fs::create_directories(folder_ / "home");
  write_file_atomic(folder_ / "home/letter.txt", "dear");
  const std::string overwrite = " --overwrite";
  expect_error("convert " + model + " " + (folder_ / "home") + overwrite, 2, "model's directory");
  expect_error("convert " + model + " " + model + overwrite, 2, "apart from IN");
  expect_error("convert " + model + " " + model + "/../a/" + overwrite, 2, "apart from IN");
  expect_error("convert " + model + " " + model + "/in" + overwrite, 2, "apart from IN");
  expect_error("convert " + model + " " + (folder_ / "") + overwrite, 2, "apart from IN");
  EXPECT_EQ(content_of(folder_ / "home/letter.txt"), "dear");
  // A model beside other things, such as the folder of a run.
  fs::create_directories(folder_ / "b/checkpoints");
  write_file_atomic(folder_ / "b/checkpoints/weights", "hours");
  expect_error("convert " + model + " " + narrow + overwrite, 2, "checkpoints/weights");
  EXPECT_EQ(content_of(folder_ / "b/checkpoints/weights"), "hours");
}

TEST_F(Convert, DamageAndMisfitsAreNamed) {
  const std::string model = save_tiny_model(folder_, "a", tiny_config(Architecture::kLlama));
  const std::string copy = convert(model, "b", "");
  std::string bytes = content_of(copy + "/model.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  std::ofstream(copy + "/model.safetensors", std::ios::binary) << bytes;
  expect_error("check " + copy, 1, "SHA-256");
  expect_error("convert " + copy + " " + (folder_ / "c"), 1, "SHA-256");
  bytes.pop_back();
  std::ofstream(copy + "/model.safetensors", std::ios::binary) << bytes;
  expect_error("check " + copy, 1, "model.safetensors");

  std::string config = content_of(model + "/config.json");
  const std::string key = "\"num_hidden_layers\": 3";
  config.replace(config.find(key), key.size(), "\"num_hidden_layers\": 4");
  write_file_atomic(model + "/config.json", config);
  expect_error("check " + model, 1, "lacks the weight model.layers.3.input_layernorm.weight");
  config.insert(1, "\"attention_bias\": true,");
  write_file_atomic(model + "/config.json", config);
  EXPECT_EQ(run("check " + model).exit_code, 2);
}

TEST_F(Convert, ValuesBeyondTheTypesRangeAreRefused) {
  const std::string model = save_tiny_model(folder_, "a", tiny_config(Architecture::kLlama));
  std::string bytes = content_of(model + "/model.safetensors");
  const float large = 1e6F; // float16 ends at 65504
  std::memcpy(bytes.data() + bytes.size() - sizeof large, &large, sizeof large);
  std::ofstream(model + "/model.safetensors", std::ios::binary) << bytes;
  const std::string arguments = "convert " + model + " " + (folder_ / "b") + " --dtype ";
  expect_error(arguments + "float16", 1, "range of float16");
  EXPECT_FALSE(fs::exists(folder_ / "b"));
  EXPECT_EQ(run(arguments + "bfloat16").exit_code, 0);
}

TEST_F(Convert, NaNWeightsAndAConfigurationWithoutModelTypeAreTold) {
  const std::string model = save_tiny_model(folder_, "a", tiny_config(Architecture::kLlama));
  const std::string convert_to_b = "convert " + model + " " + (folder_ / "b");
  const std::string whole = content_of(model + "/config.json");
  std::string text = whole;
  text.replace(text.find("model_type"), 10, "model_kind");
  write_file_atomic(model + "/config.json", text);
  expect_error("check " + model, 1, "model_type");
  expect_error(convert_to_b, 1, "model_type");
  write_file_atomic(model + "/config.json", whole);
  EXPECT_EQ(run("check " + model).exit_code, 0);

  std::string bytes = content_of(model + "/model.safetensors");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + bytes.size() - sizeof(nan), &nan, sizeof(nan));
  std::ofstream(model + "/model.safetensors", std::ios::binary) << bytes;
  expect_error("check " + model, 1, "NaN");
  expect_error(convert_to_b, 1, "NaN");
  expect_error(convert_to_b + " --dtype bfloat16", 1, "NaN");
  EXPECT_FALSE(fs::exists(folder_ / "b"));
}

TEST_F(Convert, AModelOfAnOlderRunLearnsWhereATextEnds) {
  const std::string model = save_tiny_model(folder_, "a", tiny_config(Architecture::kLlama));
  std::string text = content_of(model + "/config.json");
  for (const char* key : {"bos_token_id", "eos_token_id"}) {
    text.replace(text.find(key), 3, key[0] == 'b' ? "old" : "odd");
  }
  write_file_atomic(model + "/config.json", text);
  fs::remove(model + "/generation_config.json");
  const std::string copy = convert(model, "copy", "");
  for (const char* name : {"/config.json", "/generation_config.json"}) {
    EXPECT_NE(content_of(copy + name).find("\"eos_token_id\": 257"), std::string::npos) << name;
  }
}

TEST_F(Convert, BadUsageIsSaidWithExitCode2) {
  const std::string model = save_tiny_model(folder_, "a", tiny_config(Architecture::kLlama));
  const std::string arguments = "convert " + model + " " + (folder_ / "b");
  expect_error(arguments + " --dtype int8", 2, "--dtype");
  expect_error(arguments + " --fcc '{\"segment_lenght\": 5}'", 2, "segment_length");
  expect_error(arguments + " --fcc '{\"arch\": \"llama\"}'", 2, "condensation");
  expect_error("check " + (folder_ / "none"), 2, "got nothing there");
  expect_error(arguments + " --max-shard -1", 2, "must be a number of bytes");
  for (const std::string& usage :
       {std::string(), "convert " + model, arguments + " --max-shard 0"}) {
    EXPECT_EQ(run(usage).exit_code, 2) << usage;
  }
  for (const std::string help : {"--help", "check --help", "print --help", "convert --help"}) {
    EXPECT_EQ(run(help).exit_code, 0) << help;
  }
}

TEST_F(Convert, PrintsEveryTensorAndTheSum) {
  const std::string model = save_tiny_model(folder_, "a", tiny_config(Architecture::kCondensation));
  const ProgramResult result = run("print " + model);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* text :
       {"\"segment_length\": 5",
        "model.layers.2.mlp.down_proj.weight",
        "[12, 17]",
        "float32",
        "condensation, segments of 5",
        "parameters"}) {
    EXPECT_NE(result.out.find(text), std::string::npos) << text << "\n" << result.out;
  }
}

} // namespace
} // namespace fcc
