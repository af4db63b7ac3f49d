// Data parallel runs: what one process trains, several ranks train as well.

#include <cmath>
#include <cstdlib>
#include <functional>
#include <sstream>

#include <ATen/Parallel.h>

#include "data/helpers.h"
#include "dist/rank_processes.h"
#include "fcc/core/error.h"
#include "fcc/train/ranks.h"
#include "fcc/train/trainer.h"

namespace fcc {
namespace {

std::shared_ptr<Communicator> ranks_of(const RankSettings& settings) {
  return settings.size == 1 ? single_process() : meet_ranks(settings, at::kCPU);
}

/// Numbers so that they are read back as they were.
void write_number(std::ostream& out, double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%a ", value);
  out << text;
}

void write_weights(std::ostream& out, const FlatParameters& parameters) {
  const at::Tensor weights = parameters.compute().to(at::kDouble).contiguous();
  for (std::int64_t i = 0; i < weights.numel(); ++i) {
    write_number(out, weights.const_data_ptr<double>()[i]);
  }
}

void expect_near(const std::string& text, const std::string& expected, const std::string& what) {
  std::istringstream words(text), expected_words(expected);
  std::string word, expected_word;
  double worst = 0;
  std::size_t count = 0;
  for (; expected_words >> expected_word; ++count) {
    ASSERT_TRUE(words >> word) << what;
    const double value = std::strtod(word.c_str(), nullptr);
    const double wanted = std::strtod(expected_word.c_str(), nullptr);
    worst = std::max(worst, std::abs(value - wanted) / std::max(1.0, std::abs(wanted)));
  }
  EXPECT_FALSE(words >> word) << what;
  EXPECT_GT(count, 100U);
  EXPECT_LE(worst, 1e-12) << what;
}

RunConfig run_of(const std::filesystem::path& output) {
  RunConfig config = tiny_run(output);
  config.train.batch_size = 4;
  config.engine.dtype = ComputeDType::kFloat64;
  config.optim.clip = 0.05;
  config.data.validation = config.data.train;
  config.train.validate_every = 0;
  config.train.stages[0].steps = 6;
  config.train.stages[1].steps = 6;
  return config;
}

/// All losses, norms and validation figures of a run, then its weights.
std::string course_of(const RankSettings& settings, const RunConfig& config) {
  Trainer trainer(config, make_trainer_parts(config, {}, ranks_of(settings)));
  std::ostringstream out;
  std::int64_t num_clipped = 0;
  while (!trainer.finished()) {
    const StepReport report = trainer.step();
    num_clipped += report.grad_norm > config.optim.clip ? 1 : 0;
    for (const double value :
         {report.loss,
          report.mean_loss,
          report.answer_loss.value_or(-1),
          report.grad_norm,
          report.padded_share,
          static_cast<double>(report.tokens_seen)}) {
      write_number(out, value);
    }
  }
  check(num_clipped > 0, "test", "clipping must be at work");
  for (const ValidationReport& report : trainer.validate()) {
    write_number(out, report.mean_loss);
    write_number(out, report.answer_loss.value_or(-1));
    write_number(out, report.answers_certain.value_or(-1));
  }
  write_weights(out, trainer.parameters());
  return out.str();
}

struct Case {
  const char* name;
  std::function<void(RunConfig&, const std::filesystem::path& tokens)> change;
};

/// Documents one a row, of lengths from 3 to 60 tokens: counted targets differ from row to row.
void read_documents(RunConfig& config, const std::filesystem::path& tokens) {
  DatasetConfig documents;
  documents.type = DatasetKind::kDocuments;
  documents.path = tokens.string();
  config.data.train = config.data.validation = {documents};
  config.train.stages.resize(1);
}

const Case kCases[] = {
    {"passkeys", [](RunConfig&, const std::filesystem::path&) {}},
    {"fused",
     [](RunConfig& config, const std::filesystem::path&) {
       config.engine.execution = Execution::kFused;
       config.engine.chunk_segments = 2;
     }},
    {"truncated",
     [](RunConfig& config, const std::filesystem::path&) {
       config.engine.execution = Execution::kFused;
       config.engine.bptt_segments = 1;
     }},
    {"ragged", read_documents},
    {"ragged_token_mean",
     [](RunConfig& config, const std::filesystem::path& tokens) {
       read_documents(config, tokens);
       config.loss.kind = LossKind::kTokenMean;
     }},
    {"frozen", [](RunConfig& config, const std::filesystem::path&) {
       config.optim.freeze = {"model.embed_tokens.weight"};
     }}};

class DataParallel : public ::testing::TestWithParam<Case> {};

std::filesystem::path write_documents(
    const test::TemporaryFolder& folder,
    const RunConfig& config) {
  std::vector<std::vector<std::int32_t>> documents;
  for (std::int32_t d = 0; d < 40; ++d) {
    auto& document = documents.emplace_back();
    for (std::int32_t t = 0; t < 3 + d * 37 % 58; ++t) {
      document.push_back(3 + (d * 7 + t * t) % 50);
    }
  }
  return test::write_tokens(folder, documents, *make_tokenizer(config.data.tokenizer));
}

TEST_P(DataParallel, TrainsTheSameOnOneTwoAndFourRanks) {
  const test::TemporaryFolder folder;
  RunConfig config = run_of(folder / "run");
  GetParam().change(config, write_documents(folder, config));
  const auto body = [&](const RankSettings& settings) { return course_of(settings, config); };
  const std::string expected = RankProcesses(1, body).texts().front();
  for (const std::int64_t size : {2, 4}) {
    for (const std::string& text : RankProcesses(size, body).texts()) {
      expect_near(text, expected, std::to_string(size) + " ranks");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases,
    DataParallel,
    ::testing::ValuesIn(kCases),
    [](const ::testing::TestParamInfo<Case>& each) { return each.param.name; });

TEST(DataParallelRuns, OfOneSizeAreBitEqualAndSoAreAllRanks) {
  const test::TemporaryFolder folder;
  RunConfig config = run_of(folder / "run");
  config.train.batch_size = 6;
  const auto body = [&](const RankSettings& settings) { return course_of(settings, config); };
  const std::vector<std::string> first = RankProcesses(3, body).texts();
  EXPECT_EQ(first, RankProcesses(3, body).texts());
  EXPECT_EQ(first[0], first[1]);
  EXPECT_EQ(first[0], first[2]);
}

/// Goes on from a checkpoint, saves at once, trains to the end: the manifest, then the weights.
std::string go_on(
    const RankSettings& settings,
    const RunConfig& config,
    const std::filesystem::path& checkpoint) {
  const auto ranks = ranks_of(settings);
  Trainer trainer(config, make_trainer_parts(config, checkpoint, ranks));
  trainer.restore(checkpoint);
  const CheckpointData data = trainer.checkpoint_data();
  const std::filesystem::path again =
      std::filesystem::path(config.output) / ("again-" + std::to_string(settings.size));
  if (ranks->is_first()) {
    std::filesystem::remove_all(again);
    trainer.save(again, data);
  }
  std::ostringstream out;
  while (!trainer.finished()) {
    trainer.step();
  }
  write_weights(out, trainer.parameters());
  ranks->barrier();
  return read_file(again / "manifest.json") + "|" + out.str();
}

class Checkpoints : public ::testing::TestWithParam<ComputeDType> {};

TEST_P(Checkpoints, OfTwoRanksGoOnWithAnyNumber) {
  const test::TemporaryFolder folder;
  RunConfig config = run_of(folder / "run");
  config.engine.dtype = GetParam();
  config.checkpoint.every = 5;
  config.checkpoint.keep_last = 10;
  const auto whole = RankProcesses(2, [&](const RankSettings& settings) {
                       const auto ranks = ranks_of(settings);
                       Trainer trainer(config, make_trainer_parts(config, {}, ranks));
                       const std::atomic<bool> stop{false};
                       if (ranks->is_first()) {
                         const RunDirectory directory(config.output);
                         trainer.run(directory, {}, stop);
                       } else {
                         trainer.run_beside({}, stop);
                       }
                       std::ostringstream out;
                       write_weights(out, trainer.parameters());
                       return out.str();
                     }).texts();
  EXPECT_TRUE(std::filesystem::exists(folder / "run" / "final" / "model.safetensors"));
  const auto checkpoint = RunFiles(config.output).checkpoint(5);
  const std::string manifest = read_file(checkpoint / "manifest.json");
  for (const std::int64_t size : {1, 2, 4}) {
    const std::string text =
        RankProcesses(
            size, [&](const RankSettings& settings) { return go_on(settings, config, checkpoint); })
            .texts()
            .front();
    EXPECT_EQ(text.substr(0, text.find('|')), manifest) << size;
    if (size == 2) {
      EXPECT_EQ(text.substr(text.find('|') + 1), whole.front());
    } else if (GetParam() == ComputeDType::kFloat64) {
      expect_near(text.substr(text.find('|') + 1), whole.front(), std::to_string(size));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    DTypes,
    Checkpoints,
    ::testing::Values(ComputeDType::kFloat64, ComputeDType::kBFloat16));

TEST(WrongStarts, NameABatchThatTheRanksCannotShare) {
  RunConfig config = tiny_run("run");
  config.train.batch_size = 6;
  try {
    check_rows_divide(config, 4);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(
        error.what(),
        "train.batch_size: must be a multiple of the number of ranks, 4, which share the rows of a "
        "micro-batch; got 6");
  }
  config.train.batch_size = 8;
  config.train.stages[1].batch_size = 2;
  EXPECT_THROW(check_rows_divide(config, 4), ConfigError);
  EXPECT_NO_THROW(check_rows_divide(config, 2));
}

TEST(WrongStarts, NameTheLineInWhichARankDiffers) {
  RankProcesses processes(3, [](const RankSettings& settings) {
    const auto ranks = meet_ranks(settings, at::kCPU);
    check_ranks_agree(*ranks, {{"the version", "1"}});
    try {
      check_ranks_agree(
          *ranks,
          {{"the configuration", settings.rank == 2 ? "a\n  \"lr\": 2" : "a\n  \"lr\": 1"}});
    } catch (const Error& error) {
      ranks->barrier();
      return std::string(error.what());
    }
    return std::string("nothing");
  });
  for (const std::string& text : processes.texts()) {
    EXPECT_EQ(
        text,
        "ranks: must have the configuration alike; got `\"lr\": 1` on rank 0, `\"lr\": 2` on rank "
        "2");
  }
}

TEST(WrongStarts, RefuseAnOptimizerOfWholeMatricesByName) {
  RunConfig config = tiny_run("run");
  config.optim.kind = OptimKind::kMuon;
  try {
    optimizer_memory(config, *config.model.config, at::kCPU, 2);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("got muon"), std::string::npos) << error.what();
  }
}

TEST(WrongStarts, RefuseOneNamedGpuForSeveralRanks) {
  RankSettings settings;
  settings.local_rank = 7;
  EngineSection engine;
  engine.device = "cuda:0";
  EXPECT_THROW(device_of_rank(engine, settings), ConfigError);
  engine.device = "cpu";
  EXPECT_TRUE(device_of_rank(engine, settings).is_cpu());
}

TEST(Memory, OfTheOptimizerIsSharedOut) {
  RunConfig config = tiny_run("run");
  config.train.batch_size = 8;
  const ModelConfig& model = *config.model.config;
  const auto bytes = [&](std::int64_t num_ranks) {
    std::int64_t sum = 0;
    for (const MemoryItem& item : optimizer_memory(config, model, at::kCPU, num_ranks).states) {
      sum += item.bytes;
    }
    return sum;
  };
  // Of each stretch up to 4 · 64 elements are too few to be shared out; the first rank has them.
  EXPECT_LT(bytes(4), bytes(1) / 4 + 8192);
  EXPECT_EQ(longest_steps(config, model, 4)[0].batch, 2);
}

} // namespace
} // namespace fcc
