// fcc-convert to a GGUF file, read back by this project's own reader.

#include <algorithm>

#include <gtest/gtest.h>

#include "fcc/io/gguf.h"
#include "fcc/io/safetensors.h"
#include "fcc/model/hugging_face.h"
#include "generate/program_helpers.h"
#include "support/places.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using namespace fcc::test;

std::shared_ptr<const Tokenizer> tokenizer_at(const std::string& place) {
  TokenizerConfig config;
  config.path = source_dir() + "/tests/text/data/" + place;
  return make_tokenizer(config);
}

class GgufExport : public ::testing::Test {
 protected:
  ProgramResult run(const std::string& arguments) {
    return run_fcc(folder_, "fcc-convert", "convert " + arguments);
  }
  std::string exported(const std::string& model, const std::string& options = {}) {
    const std::string file = model + ".gguf";
    const ProgramResult result = run(model + " " + file + " --overwrite " + options);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    told_ = result.err;
    return file;
  }
  void expect_refused(const std::string& arguments, const std::string& text) {
    const ProgramResult result = run(arguments);
    EXPECT_NE(result.exit_code, 0);
    EXPECT_NE(result.err.find(text), std::string::npos) << result.err;
    EXPECT_FALSE(fs::exists(folder_ / "refused.gguf"));
  }

  ProgramFolder folder_;
  std::string told_; ///< on standard error
};

void expect_equal_weights(const std::string& a, const std::string& b) {
  const SafetensorsDirectory left(a), right(b);
  ASSERT_EQ(left.tensors().size(), right.tensors().size());
  for (const TensorView& tensor : left.tensors()) {
    const TensorView& other = right.at(tensor.name);
    EXPECT_EQ(tensor.shape, other.shape) << tensor.name;
    EXPECT_TRUE(std::ranges::equal(tensor.bytes, other.bytes)) << tensor.name;
  }
}

TEST_F(GgufExport, ComesBackBitForBitWithItsTokenizer) {
  ModelConfig config = tiny_config(Architecture::kLlama);
  config.rope_theta = 10000; // slow enough pairs that the scaling shows its whole factor
  config.rope_scaling = RopeScaling{.factor = 4.0, .original_max_position_embeddings = 256};
  for (const std::string name : {"llama3", "smollm2", "gpt2"}) {
    const auto tokenizer = tokenizer_at("bpe/" + name);
    const std::string model = save_tiny_model(folder_, name, config, tokenizer);
    const std::string file = exported(model);
    EXPECT_EQ(told_, "") << "a plain Llama loses nothing";
    const std::string back = folder_ / (name + "-back");
    ASSERT_EQ(run(file + " " + back + " --dtype float32").exit_code, 0);
    expect_equal_weights(model, back);
    const ModelConfig read = load_model_config(back);
    EXPECT_EQ(read.head_dim, config.head_dim);
    EXPECT_EQ(read.rope_theta, config.rope_theta);
    ASSERT_TRUE(read.rope_scaling.has_value());
    EXPECT_EQ(read.rope_scaling->factor, 4.0);
    EXPECT_EQ(read.rope_scaling->original_max_position_embeddings, 256);
    TokenizerConfig again;
    again.path = back;
    const auto same = make_tokenizer(again);
    std::vector<std::int32_t> ids, expected;
    const std::string text = "It's 1984, \xC3\xA4 text<|im_end|> of <|eot_id|>many  kinds\n\n.";
    same->encode_with_special(text, ids);
    tokenizer->encode_with_special(text, expected);
    EXPECT_EQ(ids, expected) << name;
    EXPECT_EQ(same->eos_id(), tokenizer->eos_id());
  }
}

TEST_F(GgufExport, SaysThatMemoryIsLostAndKeepsVectorsInFloat32) {
  ModelConfig config = tiny_config(Architecture::kCondensation);
  config.tie_word_embeddings = true;
  const std::string model = save_tiny_model(folder_, "fcc", config, tokenizer_at("bpe/smollm2"));
  std::ofstream(model + "/chat_template.jinja") << "{{ messages }}";
  const GgufFile file(exported(model, "--dtype bfloat16"));
  EXPECT_NE(told_.find("memory from segment to segment is lost"), std::string::npos) << told_;
  EXPECT_EQ(file.find_tensor("blk.0.attn_q.weight")->type, GgufType::kBF16);
  EXPECT_EQ(file.find_tensor("output_norm.weight")->type, GgufType::kF32);
  EXPECT_EQ(file.find_tensor("output.weight"), nullptr) << "the head is tied";
  EXPECT_EQ(*file.find<std::string>("tokenizer.chat_template"), "{{ messages }}");
  EXPECT_EQ(*file.find<std::int64_t>("general.file_type"), 32);
}

TEST_F(GgufExport, WritesSentencePiecesWithScoresAndPadsTheVocabulary) {
  const auto tokenizer = tokenizer_at("llama_style.model");
  ModelConfig config = tiny_config(Architecture::kLlama);
  config.vocab_size = tokenizer->vocab_size() + 3;
  FlatParameters parameters = tiny_parameters(config, ComputeDType::kFloat32);
  const std::string model = folder_ / "pieces";
  fs::create_directories(model);
  save_model(parameters, parameters.compute(), DType::kF32, model);
  save_tokenizer(*tokenizer, TokenizerConfig(), model);
  const GgufFile file(exported(model));
  EXPECT_EQ(*file.find<std::string>("tokenizer.ggml.model"), "llama");
  const auto& tokens = *file.find<std::vector<std::string>>("tokenizer.ggml.tokens");
  const auto& types = *file.find<std::vector<std::int64_t>>("tokenizer.ggml.token_type");
  const auto& scores = *file.find<std::vector<double>>("tokenizer.ggml.scores");
  ASSERT_EQ(static_cast<std::int64_t>(tokens.size()), config.vocab_size);
  EXPECT_EQ(types.size(), tokens.size());
  EXPECT_EQ(scores.size(), tokens.size());
  EXPECT_EQ(tokens[0], "<unk>");
  EXPECT_EQ(types[0], 2);
  EXPECT_EQ(tokens[1], "<s>");
  EXPECT_EQ(types[1], 3);
  EXPECT_EQ(types.back(), 5) << "unused";
  EXPECT_EQ(*file.find<std::int64_t>("tokenizer.ggml.bos_token_id"), *tokenizer->bos_id());
  EXPECT_GT(std::count(types.begin(), types.end(), 6), 0) << "bytes";
}

TEST_F(GgufExport, RefusesWhatLlamaCppHasNoPlaceFor) {
  const std::string target = " " + (folder_ / "refused.gguf");
  const std::string bytes = save_tiny_model(folder_, "bytes", tiny_config(Architecture::kLlama));
  expect_refused(bytes + target, "no tokenizer of this kind; got bytes");
  EXPECT_EQ(
      GgufFile(exported(bytes, "--no-tokenizer")).find<std::string>("tokenizer.ggml.model"),
      nullptr);
  ModelConfig own = tiny_config(Architecture::kCondensation);
  own.fcc->memory_norm = MemoryNorm::kOwn;
  expect_refused(save_tiny_model(folder_, "own", own) + target + " --no-tokenizer", "memory");
  const std::string local =
      save_tiny_model(folder_, "local", tiny_config(Architecture::kLocalGlobal));
  expect_refused(local + target + " --no-tokenizer", "local layers");
  expect_refused(bytes + target + " --dtype float64", "float32, float16 or bfloat16");
  expect_refused(bytes + " " + bytes + ".gguf --no-tokenizer", "must not exist yet");
  const std::string prefix = save_tiny_model(
      folder_, "prefix", tiny_config(Architecture::kLlama), tokenizer_at("bpe/prefix"));
  expect_refused(prefix + target, "llama.cpp knows by a name");
}

} // namespace
} // namespace fcc
