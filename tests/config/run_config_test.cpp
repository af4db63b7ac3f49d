#include "fcc/config/run_config.h"

#include <gtest/gtest.h>

#include "fcc/config/strict_json.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

const char* const kSmall = R"({
  "output": "runs/a",
  "model": {"preset": "table-1", "fcc": {"segment_length": 32}},
  "data": {"tokenizer": {"type": "bytes"}, "train": [{"type": "passkey"}]},
  "train": {"stages": [{"steps": 10, "segments": [2, 4]}]}
})";

std::string error_of(const std::vector<std::string>& overrides) {
  try {
    read_config<RunConfig>(kSmall, "run.json", overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(RunConfig, ASmallOneIsEnough) {
  const auto config = read_config<RunConfig>(kSmall, "run.json");
  EXPECT_EQ(config.model.fcc->segment_length, 32);
  EXPECT_EQ(config.train.stages[0].segments.kind, IntDistribution::Kind::kList);
  EXPECT_EQ(config.train.stages[0].prefix_segments.max(), 0);
}

TEST(RunConfig, WrittenOutReadsBackEqual) {
  const std::vector<std::string> overrides{
      "engine.bptt_segments=3",
      "optim.freeze=[\"model.embed*\"]",
      "optim.lr=0.1",
      "train.seed=9007199254740993",
      "train.stages.0.until={\"metric\": \"answer_loss\", \"below\": 0.1, \"window\": 5}",
      "train.stages.0.prefix_segments={\"log_uniform\": [1, 64], \"zero_share\": 0.2}",
      "train.stages.0.data=[{\"type\": \"pairs\", \"path\": \"x \\\"ä\\\".jsonl\", "
      "\"answer_weight\": 3}]",
      "data.validation=[{\"type\": \"tokens\", \"path\": \"t\", \"document_memory\": \"reset\"}]",
      "model.fcc.memory_norm=own"};
  const auto config = read_config<RunConfig>(kSmall, "run.json", overrides);
  const std::string written = write_config(config);
  const auto again = read_config<RunConfig>(written, "written.json");
  EXPECT_EQ(write_config(again), written);
  EXPECT_EQ(again.train.seed, 9007199254740993);
  EXPECT_EQ(again.optim.lr, 0.1);
  EXPECT_EQ(again.train.stages[0].prefix_segments.zero_share, 0.2);
  EXPECT_EQ(again.train.stages[0].data->at(0).path, "x \"ä\".jsonl");
  EXPECT_EQ(again.model.fcc->memory_norm, MemoryNorm::kOwn);
}

TEST(RunConfig, RequiredKeysAreNamed) {
  try {
    read_config<RunConfig>("{\"outptu\": \"a\"}", "run.json");
    FAIL();
  } catch (const ConfigError& error) {
    const std::string text = error.what();
    EXPECT_EQ(text.find("output: must be given"), std::string::npos) << "there, misspelt: " << text;
    EXPECT_NE(text.find("outptu: no such key (did you mean `output`?)"), std::string::npos);
    EXPECT_NE(text.find("train: must be given"), std::string::npos) << text;
  }
}

TEST(RunConfig, AKeyThatStandsElsewhereIsNamedWithItsPath) {
  const auto hint = [](const std::string& key) {
    const std::string error = error_of({key + "=1"});
    EXPECT_NE(error.find(key + ": no such key"), std::string::npos) << error;
    const std::size_t start = error.find('(');
    return start == std::string::npos ? "" : error.substr(start);
  };
  EXPECT_EQ(hint("train.steps"), "(did you mean `train.stages.N.steps`?)");
  EXPECT_EQ(hint("steps"), "(did you mean `train.stages.N.steps`?)");
  EXPECT_EQ(hint("lr"), "(did you mean `optim.lr`?)");
  EXPECT_EQ(hint("train.dtype"), "(did you mean `engine.dtype`?)");
  EXPECT_EQ(hint("model.segment_length"), "(did you mean `model.fcc.segment_length`?)");
  EXPECT_EQ(hint("train.stages.0.warmup_steps"), "(did you mean `optim.warmup_steps`?)");
  EXPECT_EQ(hint("train.stages.0.segments_x"), "(did you mean `segments`?)") << "as before";
  EXPECT_EQ(
      hint("data.path"),
      "(did you mean `data.tokenizer.path`, `data.train.N.path` or `data.validation.N.path`?)");
  EXPECT_EQ(hint("nowhere_at_all"), "");
}

TEST(RunConfig, AMisplacedKeyKeepsTheIndexOfItsList) {
  const std::string error =
      error_of({R"(train.stages.0.until={"below": 1, "window": 2, "steps": 3})"});
  EXPECT_NE(error.find("(did you mean `train.stages.0.steps`?)"), std::string::npos) << error;
}

TEST(RunConfig, AWrongNameIsToldWithAllThatThereAreAndNoGuess) {
  EXPECT_EQ(
      error_of({"engine.dtype=float16"}),
      "--set engine.dtype=float16: engine.dtype: must be one of `float64`, `float32`, `bfloat16`; "
      "got \"float16\" (libfcc does not compute in float16; instead bfloat16, or float32)");
}

TEST(RunConfig, DtypesMayBeSpeltAsOthersDo) {
  for (const auto& [name, dtype] :
       {std::pair("bf16", ComputeDType::kBFloat16),
        std::pair("torch.bfloat16", ComputeDType::kBFloat16),
        std::pair("fp32", ComputeDType::kFloat32),
        std::pair("double", ComputeDType::kFloat64)}) {
    const auto config =
        read_config<RunConfig>(kSmall, "run.json", {std::string("engine.dtype=") + name});
    EXPECT_EQ(config.engine.dtype, dtype) << name;
    EXPECT_NE(write_config(config).find(std::string(enum_name(dtype))), std::string::npos) << name;
  }
  EXPECT_NE(error_of({"engine.dtype=fp16"}).find("does not compute in float16"), std::string::npos);
}

TEST(RunConfig, IndicesInBracketsAreIndices) {
  const auto config = read_config<RunConfig>(
      kSmall, "run.json", {"train.stages[0].steps=7", "data.train[0].digits=5"});
  EXPECT_EQ(config.train.stages[0].steps, 7);
  EXPECT_EQ(config.data.train[0].digits, 5);
  EXPECT_NE(error_of({"train.stages[3].steps=7"}).find("must be an index"), std::string::npos);
  EXPECT_NE(error_of({"train.stages[x].steps=7"}).find("no such key"), std::string::npos);
}

struct Broken {
  const char* name;
  std::vector<std::string> overrides;
  const char* error; ///< part of it
};

class BrokenRule : public testing::TestWithParam<Broken> {};

TEST_P(BrokenRule, IsNamed) {
  const std::string error = error_of(GetParam().overrides);
  EXPECT_NE(error.find(GetParam().error), std::string::npos) << error;
}

INSTANTIATE_TEST_SUITE_P(
    Table,
    BrokenRule,
    testing::ValuesIn(std::vector<Broken>{
        {"two_models",
         {"model.path=a"},
         "model: must have exactly one of `path`, `preset`, `config`; got 2"},
        {"no_model", {"model.preset=null"}, "model: must have exactly one"},
        {"preset",
         {"model.preset=llama-3.2-1"},
         "model.preset: must be one of `llama-3.2-1b`, `llama-3.2-3b`, `table-1`; got "
         "`llama-3.2-1` (did you mean `llama-3.2-1b`?)"},
        {"llama_in_fcc",
         {"model.fcc.arch=llama"},
         "model.fcc.arch: must be one of `condensation`, `local_global`"},
        {"scaled_weights_of_a_model",
         {"model.preset=null", "model.path=a", "model.init.outputs=0.1"},
         "model.init: is for new weights"},
        {"chunks_of_the_reference",
         {"engine.execution=reference", "engine.chunk_segments=4"},
         "engine.chunk_segments: has no meaning for execution `reference`"},
        {"kernels_of_the_reference",
         {"engine.execution=reference", "engine.kernels=portable"},
         "engine.kernels: has no meaning for execution `reference`"},
        {"local_layers",
         {"model.fcc.num_local_layers=2"},
         "num_local_layers: has no meaning for arch `condensation`"},
        {"no_local_layers",
         {"model.fcc.arch=local_global"},
         "num_local_layers: must be at least 1"},
        {"local_global_options",
         {"model.fcc.arch=local_global",
          "model.fcc.num_local_layers=1",
          "model.fcc.memory_norm=none"},
         "model.fcc.memory_norm: has no meaning for arch `local_global`"},
        {"segment_length",
         {"model.fcc.segment_length=0"},
         "model.fcc.segment_length: must be at least 1 and at most 16777216; got 0"},
        {"no_stages", {"train.stages=[]"}, "train.stages: must hold at least one stage"},
        {"no_steps", {"train.stages=[{}]"}, "train.stages.0.steps: must be given"},
        {"zero_steps",
         {"train.stages.0.steps=0"},
         "train.stages.0.steps: must be at least 1; got 0"},
        {"zero_segments",
         {"train.stages.0.segments=[0, 2]"},
         "train.stages.0.segments: must be at least 1"},
        {"zero_share_of_segments",
         {"train.stages.0.segments={\"fixed\": 2, \"zero_share\": 0.1}"},
         "`zero_share` must be 0"},
        {"metric",
         {"train.stages.0.until={\"metric\": \"los\", \"below\": 1}"},
         "train.stages.0.until.metric: must be one of `loss`, `answer_loss`, `validation_loss`, "
         "`validation_answer_loss`; got `los` (did you mean `loss`?)"},
        {"window",
         {"train.stages.0.until={\"below\": 1}"},
         "train.stages.0.until.window: must not exceed the stage's steps = 10; got 20"},
        {"answer_loss",
         {"data.train=[{\"type\": \"tokens\", \"path\": \"a\"}]",
          "train.stages.0.until={\"metric\": \"answer_loss\", \"below\": 1, \"window\": 2}"},
         "needs a dataset of type `passkey`, `recall` or `pairs`"},
        {"no_data",
         {"data.train=[]"},
         "data.train: must hold a dataset for stages without data of their own"},
        {"no_data_of_a_stage",
         {"train.stages.0.data=[]"},
         "train.stages.0.data: must hold a dataset"},
        {"until_without_bound",
         {"train.stages.0.until={}"},
         "train.stages.0.until: must have `below`, or `patience`"},
        {"patience_of_steps",
         {"train.stages.0.until={\"below\": 1, \"window\": 2, \"patience\": 3}"},
         "train.stages.0.until.patience: is for metrics of validations"},
        {"until_without_validation",
         {"train.stages.0.until={\"metric\": \"validation_loss\", \"patience\": 3}"},
         "train.stages.0.until.metric: needs data.validation"},
        {"until_of_another_dataset",
         {"data.validation=[{\"type\": \"passkey\", \"name\": \"a\"}]",
          "train.validate_every=1",
          "train.stages.0.until={\"metric\": \"validation_loss\", \"patience\": 3, \"dataset\": "
          "\"b\"}"},
         "train.stages.0.until.dataset: must be the `name` of a dataset in data.validation; got b"},
        {"until_never_looks",
         {"data.validation=[{\"type\": \"passkey\"}]",
          "train.stages.0.until={\"metric\": \"validation_loss\", \"patience\": 3}"},
         "train.validate_every: must be above 0"},
        {"keep_best", {"checkpoint.keep_best=true"}, "checkpoint.keep_best: needs data.validation"},
        {"no_path", {"data.train.0.type=tokens"}, "data.train.0.path: must name the file"},
        {"passkey_path", {"data.train.0.path=a"}, "data.train.0.path: `passkey` samples are made"},
        {"depth",
         {"data.train.0.depth=1.5"},
         "data.train.0.depth: must be at least 0 and at most 1; got 1.5"},
        {"needle",
         {"data.train.0.needle=The key is 5."},
         "data.train.0.needle: must contain `{key}`"},
        {"digits_of_tokens",
         {"data.train.0={\"type\": \"tokens\", \"path\": \"a\", \"digits\": 5}"},
         "data.train.0.digits: is for datasets of type `passkey` only"},
        {"context_weight",
         {"data.train.0.loss_on=answer", "data.train.0.context_weight=0.5"},
         "has no effect with loss_on `answer`"},
        {"weight", {"data.train.0.weight=0"}, "data.train.0.weight: must be above 0"},
        {"bytes_path",
         {"data.tokenizer.path=a"},
         "data.tokenizer.path: the `bytes` tokenizer needs no file"},
        {"words_path", {"data.tokenizer.type=words"}, "data.tokenizer.path: must be given"},
        {"auto_path",
         {"data.tokenizer.type=auto"},
         "data.tokenizer.path: must be given where there is no model.path"},
        {"validation",
         {"train.validate_every=5"},
         "train.validate_every: must be 0 where data.validation is empty"},
        {"beta", {"optim.beta2=1"}, "optim.beta2: must be below 1"},
        {"momentum", {"optim.kind=muon", "optim.momentum=1"}, "optim.momentum: must be below 1"},
        {"ns_steps",
         {"optim.kind=muon", "optim.ns_steps=0"},
         "optim.ns_steps: must be at least 1 and at most 100; got 0"},
        {"muon_only", {"optim.momentum=0.9"}, "optim.momentum: is for kind `muon` only"},
        {"muon_only_too", {"optim.nesterov=false"}, "optim.nesterov: is for kind `muon` only"},
        {"decay_share",
         {"optim.decay_share=1.1"},
         "optim.decay_share: must be at least 0 and at most 1; got 1.1"},
        {"freeze",
         {"optim.freeze=[\"a*b\"]"},
         "optim.freeze.0: must be a Hugging Face name or a prefix"},
        {"device",
         {"engine.device=gpu"},
         "engine.device: must be `auto`, `cpu`, `cuda` or `cuda:N`; got `gpu`"},
        {"device_number", {"engine.device=cuda:x"}, "engine.device: must be"},
        {"bptt", {"engine.bptt_segments=0"}, "engine.bptt_segments: must be at least 1"},
        {"keep_last", {"checkpoint.keep_last=0"}, "checkpoint.keep_last: must be at least 1"}}),
    [](const testing::TestParamInfo<Broken>& row) { return std::string(row.param.name); });

TEST(RunConfig, RulesAreNamedWithTheLineOfTheirKey) {
  try {
    read_config<RunConfig>(
        "{\"output\": \"a\", \"model\": {\"preset\": \"table-1\"},\n"
        "\"data\": {\"tokenizer\": {\"type\": \"bytes\"},\n"
        "\"train\": [{\"type\": \"passkey\",\n"
        "\"path\": \"x\"}]}, \"train\": {\n"
        "\"stages\": [{\"steps\": 5}]}}",
        "run.json");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(
        std::string(error.what()),
        "run.json:4: data.train.0.path: `passkey` samples are made, not read: leave it out");
  }
}

} // namespace
} // namespace fcc
