// Layers split over ranks: the same sums in the same order as in one process.

#include <cstdlib>
#include <functional>
#include <map>
#include <sstream>

#include <ATen/TensorOperators.h>

#include "dist/rank_processes.h"
#include "fcc/core/error.h"
#include "fcc/train/trainer.h"

namespace fcc {
namespace {

std::shared_ptr<Communicator> ranks_of(const RankSettings& settings) {
  return settings.size == 1 ? single_process() : meet_ranks(settings, at::kCPU);
}

RunConfig run_of(const std::filesystem::path& output, ComputeDType dtype) {
  RunConfig config = tiny_run(output);
  config.model.config->num_hidden_layers = 5;
  config.model.config->initializer_range = 0.2;
  config.train.batch_size = 4;
  config.engine.dtype = dtype;
  config.engine.execution = Execution::kFused;
  config.optim.clip = 0.05;
  config.data.validation = config.data.train;
  config.train.stages[0].steps = 4;
  config.train.stages[0].segments.values = {5, 3};
  config.train.stages[1].steps = 3;
  return config;
}

/// With so many ranks a copy of the model.
RunConfig split(RunConfig config, std::int64_t layer_ranks) {
  config.engine.layer_ranks = layer_ranks;
  return config;
}

std::string exact(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%a", value);
  return text;
}

/// `what value value …` lines: figures of every step, of validation, then the weights by name.
std::string rest_of_course(Trainer& trainer) {
  std::ostringstream out;
  while (!trainer.finished()) {
    const StepReport report = trainer.step();
    out << "step" << report.step;
    for (const double value :
         {report.loss,
          report.mean_loss,
          report.answer_loss.value_or(-1),
          report.grad_norm,
          report.padded_share,
          static_cast<double>(report.tokens_seen)}) {
      out << ' ' << exact(value);
    }
    out << '\n';
  }
  for (const ValidationReport& report : trainer.validate()) {
    out << "validation " << exact(report.mean_loss) << ' ' << exact(report.answer_loss.value_or(-1))
        << '\n';
  }
  const FlatParameters& parameters = trainer.parameters();
  for (const NamedTensor& weight : parameters.named(parameters.compute())) {
    const at::Tensor values = weight.tensor.to(at::kDouble).contiguous();
    out << weight.name;
    for (std::int64_t i = 0; i < values.numel(); ++i) {
      out << ' ' << exact(values.const_data_ptr<double>()[i]);
    }
    out << '\n';
  }
  return out.str();
}

std::map<std::string, std::string> by_name(const std::string& text) {
  std::map<std::string, std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    const std::size_t space = line.find(' ');
    lines[line.substr(0, space)] = line.substr(space + 1);
  }
  return lines;
}

double worst_difference(const std::string& text, const std::string& expected) {
  std::istringstream words(text), expected_words(expected);
  std::string word, expected_word;
  double worst = 0;
  while (words >> word && expected_words >> expected_word) {
    const double wanted = std::strtod(expected_word.c_str(), nullptr);
    worst = std::max(
        worst,
        std::abs(std::strtod(word.c_str(), nullptr) - wanted) / std::max(1.0, std::abs(wanted)));
  }
  return worst;
}

/// Every line of every rank is one of `whole`, and all of `whole` are there.
void expect_parts_of(
    const std::vector<std::string>& parts,
    const std::string& whole,
    const std::string& how,
    double tolerance = 0) {
  const auto expected = by_name(whole);
  std::map<std::string, int> seen;
  for (const std::string& part : parts) {
    for (const auto& [name, values] : by_name(part)) {
      ++seen[name];
      const auto found = expected.find(name);
      ASSERT_NE(found, expected.end()) << how << ": " << name;
      if (tolerance == 0) {
        EXPECT_EQ(values, found->second) << how << ": " << name;
      } else {
        EXPECT_LE(worst_difference(values, found->second), tolerance) << how << ": " << name;
      }
    }
  }
  EXPECT_EQ(seen.size(), expected.size()) << how;
}

std::string course_of(const RankSettings& settings, const RunConfig& config) {
  Trainer trainer(config, make_trainer_parts(config, {}, ranks_of(settings)));
  return rest_of_course(trainer);
}

struct Case {
  const char* name;
  std::function<void(RunConfig&)> change;
};

const Case kCases[] = {
    {"plain", [](RunConfig&) {}},
    {"float32", [](RunConfig& config) { config.engine.dtype = ComputeDType::kFloat32; }},
    {"tied", [](RunConfig& config) { config.model.config->tie_word_embeddings = true; }},
    {"tied_in_chunks",
     [](RunConfig& config) {
       config.model.config->tie_word_embeddings = true;
       config.engine.chunk_segments = 2;
     }},
    {"chunks_of_one", [](RunConfig& config) { config.engine.chunk_segments = 1; }},
    {"truncated", [](RunConfig& config) { config.engine.bptt_segments = 2; }},
    {"input_memory",
     [](RunConfig& config) {
       config.model.config->fcc->memory_source = MemorySource::kInput;
       config.model.config->fcc->first_memory = FirstMemory::kLearned;
     }},
    {"llama",
     [](RunConfig& config) {
       config.model.config->fcc.reset();
       config.train.stages.resize(1);
       config.train.stages[0].segment_length = 13; // else of 512 tokens
     }},
    {"frozen", [](RunConfig& config) { config.optim.freeze = {"model.embed_tokens.weight"}; }}};

class LayerSplit : public ::testing::TestWithParam<Case> {};

TEST_P(LayerSplit, TrainsBitForBitAsOneProcessDoes) {
  const TemporaryFolder folder;
  RunConfig config = run_of(folder / "run", ComputeDType::kFloat64);
  GetParam().change(config);
  const std::string expected =
      RankProcesses(1, [&](const RankSettings& settings) { return course_of(settings, config); })
          .texts()
          .front();
  for (const std::int64_t size : {2, 3}) {
    const RunConfig over = split(config, size);
    const auto parts = RankProcesses(size, [&](const RankSettings& settings) {
                         return course_of(settings, over);
                       }).texts();
    expect_parts_of(parts, expected, std::to_string(size) + " stages");
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases,
    LayerSplit,
    ::testing::ValuesIn(kCases),
    [](const ::testing::TestParamInfo<Case>& each) { return each.param.name; });

TEST(LayerSplitRuns, ShareTheRowsOfABatchWithOtherCopies) {
  const TemporaryFolder folder;
  RunConfig config = run_of(folder / "run", ComputeDType::kFloat64);
  config.model.config->tie_word_embeddings = true;
  const std::string expected =
      RankProcesses(1, [&](const RankSettings& settings) { return course_of(settings, config); })
          .texts()
          .front();
  const RunConfig over = split(config, 2);
  const auto parts = RankProcesses(4, [&](const RankSettings& settings) {
                       return course_of(settings, over);
                     }).texts();
  expect_parts_of(parts, expected, "2 copies of 2 stages", 1e-12);
}

/// Losses of a run on GPUs in bfloat16, long enough for launches to be recorded and replayed.
std::string losses_on_gpus(RankSettings settings, RunConfig config) {
  const bool alone = settings.size == 1;
  config.engine.device = alone ? "cuda:0" : "cuda:" + std::to_string(settings.rank);
  const at::Device device(at::kCUDA, static_cast<at::DeviceIndex>(settings.rank));
  const auto ranks = alone ? single_process() : meet_ranks(settings, device);
  Trainer trainer(config, make_trainer_parts(config, {}, ranks));
  std::ostringstream out;
  out << "losses";
  while (!trainer.finished()) {
    out << ' ' << exact(trainer.step().loss);
  }
  out << '\n';
  return out.str();
}

TEST(RanksOnGpus, TrainInBfloat16AsOneGpuDoesHoweverTheyAreUsed) {
  if (!std::filesystem::exists("/dev/nvidia1")) {
    GTEST_SKIP() << "needs two GPUs";
  }
  const TemporaryFolder folder;
  RunConfig config = run_of(folder / "run", ComputeDType::kBFloat16);
  ModelConfig& model = *config.model.config;
  model.hidden_size = 128;
  model.intermediate_size = 256;
  model.head_dim = 64;
  model.initializer_range = 0.02;
  model.tie_word_embeddings = true;
  config.optim.clip = 1;
  config.optim.lr = 1e-3;
  config.train.stages.resize(1);
  config.train.stages[0].steps = 12;
  config.train.stages[0].segments = IntDistribution::fixed(6);
  const auto run = [&](std::int64_t size, std::int64_t layer_ranks) {
    const RunConfig over = split(config, layer_ranks);
    return RankProcesses(
               size, [&](const RankSettings& settings) { return losses_on_gpus(settings, over); })
        .texts();
  };
  const std::string one = run(1, 1).front();
  const auto copies = run(2, 1), stages = run(2, 2);
  EXPECT_EQ(copies, run(2, 1)) << "two runs";
  EXPECT_EQ(stages, run(2, 2)) << "two runs";
  for (const auto* texts : {&copies, &stages}) {
    EXPECT_EQ((*texts)[0], (*texts)[1]);
    EXPECT_LE(worst_difference(by_name((*texts)[0])["losses"], by_name(one)["losses"]), 1e-2);
  }
}

/// Goes on from a checkpoint, saves at once, trains to the end: the manifest, then the course.
std::string go_on(
    const RankSettings& settings,
    const RunConfig& config,
    const std::filesystem::path& checkpoint) {
  const auto ranks = ranks_of(settings);
  Trainer trainer(config, make_trainer_parts(config, checkpoint, ranks));
  trainer.restore(checkpoint);
  const std::filesystem::path again =
      std::filesystem::path(config.output) /
      ("again-" + std::to_string(settings.size) + "-" + std::to_string(config.engine.layer_ranks));
  const CheckpointData data = trainer.checkpoint_data();
  if (ranks->is_first()) {
    std::filesystem::remove_all(again);
    trainer.save(again, data);
  }
  const std::string course = rest_of_course(trainer);
  ranks->barrier();
  return read_file(again / "manifest.json") + "|" + course;
}

TEST(LayerSplitCheckpoints, KnowNothingOfIt) {
  const TemporaryFolder folder;
  for (const std::int64_t saved_at : {1, 2}) {
    RunConfig config = run_of(folder / std::to_string(saved_at), ComputeDType::kFloat64);
    config.model.config->tie_word_embeddings = true;
    config.checkpoint.every = 3;
    config.checkpoint.keep_last = 10;
    config.train.stages[1].steps = 2;
    RankProcesses(saved_at, [&](const RankSettings& settings) {
      const RunConfig over = split(config, saved_at);
      const auto ranks = ranks_of(settings);
      Trainer trainer(over, make_trainer_parts(over, {}, ranks));
      const std::atomic<bool> stop{false};
      if (ranks->is_first()) {
        trainer.run(RunDirectory(over.output), {}, stop);
      } else {
        trainer.run_beside({}, stop);
      }
      return std::string();
    }).texts();
    EXPECT_TRUE(std::filesystem::exists(folder / std::to_string(saved_at) / "final"));
    const auto checkpoint = RunFiles(config.output).checkpoint(3);
    const std::string manifest = read_file(checkpoint / "manifest.json");
    std::string expected;
    for (const std::int64_t size : {1, 2, 3}) {
      const auto texts = RankProcesses(size, [&](const RankSettings& settings) {
                           return go_on(settings, split(config, size), checkpoint);
                         }).texts();
      std::vector<std::string> courses;
      for (const std::string& text : texts) {
        EXPECT_EQ(text.substr(0, text.find('|')), manifest) << size;
        courses.push_back(text.substr(text.find('|') + 1));
      }
      expected = size == 1 ? courses.front() : expected;
      expect_parts_of(courses, expected, "resumed on " + std::to_string(size));
    }
  }
}

TEST(LayerStages, HoldWhatTheWholeModelHas) {
  for (const bool tied : {false, true}) {
    ModelConfig model = *tiny_run("run").model.config;
    model.num_hidden_layers = 5;
    model.tie_word_embeddings = tied;
    const FlatParameters whole(model, ComputeDType::kFloat64, at::kCPU, 3);
    std::map<std::string, at::Tensor> expected;
    for (const NamedTensor& weight : whole.named(whole.master())) {
      expected.emplace(weight.name, weight.tensor);
    }
    std::map<std::string, int> trained;
    for (const LayerStage& stage : split_layers(model, 3)) {
      const FlatParameters part(model, ComputeDType::kFloat64, at::kCPU, 3, {}, {}, stage);
      for (const NamedTensor& weight : part.named(part.master())) {
        EXPECT_TRUE(weight.tensor.equal(expected.at(weight.name))) << weight.name;
        trained[weight.name] += weight.tensor.storage_offset() < part.regions().no_decay ? 1 : 0;
      }
    }
    EXPECT_EQ(trained.size(), expected.size());
    for (const auto& [name, count] : trained) {
      EXPECT_EQ(count, 1) << name; // who trains a weight is alone with it
    }
  }
}

TEST(LayerStages, HaveFewerLayersWhereTheHeadIs) {
  ModelConfig model;
  model.hidden_size = 2048;
  model.intermediate_size = 8192;
  model.num_hidden_layers = 16;
  model.num_attention_heads = 32;
  model.num_key_value_heads = 8;
  model.head_dim = 64;
  model.vocab_size = 128256; // worth four layers
  model.fcc = FccConfig{};
  const auto counts = [&](std::int64_t stages) {
    std::vector<std::int64_t> result;
    for (const LayerStage& stage : split_layers(model, stages)) {
      result.push_back(stage.num_layers());
    }
    return result;
  };
  EXPECT_EQ(counts(1), (std::vector<std::int64_t>{16}));
  EXPECT_EQ(counts(2), (std::vector<std::int64_t>{10, 6}));
  EXPECT_EQ(counts(4), (std::vector<std::int64_t>{5, 5, 5, 1}));
  EXPECT_EQ(counts(16), std::vector<std::int64_t>(16, 1));
}

std::string message_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "nothing";
}

TEST(WrongSplits, AreRefusedByName) {
  RunConfig config = run_of("run", ComputeDType::kFloat64);
  EXPECT_EQ(
      message_of([&] { RankGrid::of(4, split(config, 3).engine); }),
      "engine.layer_ranks: must divide the number of ranks, 4; got 3");
  EXPECT_EQ(
      message_of([&] { make_trainer_parts(split(config, 2)); }),
      "engine.layer_ranks: must divide the number of ranks, 1; got 2");
  EXPECT_EQ(
      message_of([&] { split_layers(*config.model.config, 6); }),
      "engine.layer_ranks: must be at most the number of layers, 5; got 6");
  config.engine.schedule = Schedule::kSequential;
  EXPECT_NE(
      message_of([&] {
        resolve_run_engine(split(config, 2), *config.model.config, 2);
      }).find("engine.schedule: must be wavefront"),
      std::string::npos);
  config.engine.schedule = Schedule::kWavefront;
  config.engine.execution = Execution::kReference;
  EXPECT_NE(
      message_of([&] {
        resolve_run_engine(split(config, 2), *config.model.config, 2);
      }).find("engine.layer_ranks: is for execution `fused`"),
      std::string::npos);
}

} // namespace
} // namespace fcc
