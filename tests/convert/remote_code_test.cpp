// fcc-convert convert --remote-code: what is written beside a model, and that transformers then
// compute what libfcc does.

#include <cstdlib>

#include <gtest/gtest.h>

#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "generate/program_helpers.h"
#include "support/places.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using namespace fcc::test;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class RemoteCode : public ::testing::Test {
 protected:
  ProgramResult convert(const std::string& from, const std::string& to, const std::string& more) {
    return run_fcc(folder_, "fcc-convert", "convert " + from + " " + (folder_ / to) + " " + more);
  }

  ProgramFolder folder_;
};

TEST_F(RemoteCode, IsWrittenBesideTheWeightsAndLeavesTheModelWhatItIsToLibfcc) {
  const std::string model =
      save_tiny_model(folder_, "model", tiny_config(Architecture::kCondensation));
  ASSERT_EQ(convert(model, "remote", "--remote-code").exit_code, 0);
  const std::string remote = folder_ / "remote";
  verify_manifest(remote);
  for (const char* name : {"configuration_fcc.py", "modeling_fcc.py", "state_fcc.py"}) {
    EXPECT_EQ(
        content_of(remote + "/" + name),
        content_of(source_dir() + "/tools/fcc_convert/transformers/" + name));
  }
  const std::string config = content_of(remote + "/config.json");
  EXPECT_TRUE(contains(config, "\"model_type\": \"fcc\"")) << config;
  EXPECT_TRUE(contains(config, "\"AutoModelForCausalLM\": \"modeling_fcc.FccForCausalLM\""));
  // A state of the one continues in the other: they are one model.
  const std::string state = folder_ / "state", more = " --max-tokens 9 --ignore-eos -q";
  const std::string save = " --prompt ab --save-state " + state + more;
  EXPECT_EQ(run_fcc(folder_, "fcc-generate", "--model " + model + save).exit_code, 0);
  const std::string load = " --load-state " + state + more;
  EXPECT_EQ(run_fcc(folder_, "fcc-generate", "--model " + remote + load).exit_code, 0);

  ASSERT_EQ(convert(remote, "again", "").exit_code, 0);
  EXPECT_EQ(content_of(folder_ / "again/config.json"), content_of(model + "/config.json"));
  EXPECT_FALSE(fs::exists(folder_ / "again/modeling_fcc.py"));
  EXPECT_EQ(convert(model, "remote", "--remote-code --overwrite").exit_code, 0);
}

TEST_F(RemoteCode, OfAPlainLlamaIsRefused) {
  const std::string llama = save_tiny_model(folder_, "llama", tiny_config(Architecture::kLlama));
  const ProgramResult result = convert(llama, "remote", "--remote-code");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(contains(result.err, "plain Llama")) << result.err;
  EXPECT_FALSE(fs::exists(folder_ / "remote"));
  EXPECT_EQ(convert(llama, "b", "--remote-code --fcc '{\"segment_length\": 5}'").exit_code, 0);
}

TEST_F(RemoteCode, OfAMemoryThatItDoesNotKnowIsRefusedByName) {
  ModelConfig config = tiny_config(Architecture::kRmt);
  config.fcc->num_memory_tokens = 3;
  const std::string model = save_tiny_model(folder_, "rmt", config);
  const ProgramResult result = convert(model, "remote", "--remote-code");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(contains(result.err, "rmt")) << result.err;
  EXPECT_FALSE(fs::exists(folder_ / "remote"));
}

/// FCC_PYTHON, or the Python that scripts/setup.sh --transformers has made, or python3.
std::string python_with_transformers() {
  if (const char* chosen = std::getenv("FCC_PYTHON")) {
    return chosen;
  }
  const char* cache = std::getenv("FCC_CACHE");
  const char* home = std::getenv("HOME");
  const fs::path made =
      (cache != nullptr ? fs::path(cache)
                        : fs::path(home != nullptr ? home : "") / ".cache/libfcc") /
      "transformers-1/python";
  return fs::exists(made) ? made.string() : "python3";
}

class InTransformers : public RemoteCode {
 protected:
  void SetUp() override {
    python_ = python_with_transformers();
    const std::string probe =
        python_ + " -c 'import torch, transformers, safetensors' > /dev/null 2>&1";
    if (std::system(probe.c_str()) != 0) {
      GTEST_SKIP() << python_
                   << " lacks torch or transformers: scripts/setup.sh --cuda --transformers, or "
                   << "set FCC_PYTHON to a Python that has them";
    }
  }
  void expect_equal(const std::string& arguments) {
    const std::string compare =
        "OMP_NUM_THREADS=1 HF_MODULES_CACHE=" + (folder_ / "modules") + " " + python_ + " " +
        source_dir() + "/scripts/compare_with_transformers.py --build " + build_dir() +
        " --lengths 1,23 " + arguments + " > " + (folder_ / "log") + " 2>&1";
    EXPECT_EQ(std::system(compare.c_str()), 0) << content_of(folder_ / "log");
  }

  std::string python_;
};

TEST_F(InTransformers, ComputesWhatLibfccComputes) {
  // Without a norm, random weights amplify rounding from segment to segment until nothing can be
  // compared, not even transformers with itself in another batch: a few segments of it, then.
  std::string models, unstable;
  for (const NamedConfig& named : all_tiny_configs()) {
    const Architecture arch = named.config.arch();
    if (arch == Architecture::kCondensation || arch == Architecture::kLocalGlobal) {
      (named.name == "norm_none" ? unstable : models) +=
          " " + save_tiny_model(folder_, named.name, named.config);
    }
  }
  expect_equal("--tokens 13" + models);
  expect_equal("--tokens 0" + unstable);
}

TEST_F(InTransformers, StopsAndAnswersInAChatAsInLibfcc) {
  TokenizerConfig tokenizer;
  tokenizer.path = source_dir() + "/tests/text/data/bpe/smollm2";
  std::string models;
  for (const Architecture arch :
       {Architecture::kCondensation, Architecture::kLocalGlobal, Architecture::kLlama}) {
    const std::string model = save_tiny_model(
        folder_,
        "family" + std::to_string(static_cast<int>(arch)),
        tiny_config(arch),
        make_tokenizer(tokenizer));
    std::ofstream(model + "/tokenizer_config.json")
        << R"({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"})";
    std::ofstream(model + "/chat_template.jinja") << "{% for m in messages %}<|im_start|>{{ m.role "
                                                     "}}\n{{ m.content }}<|im_end|>\n{% endfor %}"
                                                     "<|im_start|>assistant\n";
    models += " " + model;
  }
  expect_equal("--tokens 60" + models);
  const std::string log = content_of(folder_ / "log");
  for (const std::string compared : {"stops after", "answer of a chat", "60 greedy tokens"}) {
    std::size_t count = 0;
    for (std::size_t at = log.find(compared); at != std::string::npos;
         at = log.find(compared, at + 1)) {
      ++count;
    }
    EXPECT_EQ(count, 3U) << compared << "\n" << log;
  }
}

} // namespace
} // namespace fcc
