// fcc-train as several ranks.

#include "dist/rank_processes.h"
#include "train/train_process.h"

namespace fcc::test {
namespace {

class RankProgram : public TrainProgram {
 protected:
  using Variables = std::vector<std::pair<std::string, std::string>>;

  RunConfig two_rank_run() const {
    RunConfig config = tiny_run(folder_ / "run");
    config.train.batch_size = 4;
    config.checkpoint.every = 5;
    return config;
  }
  Variables variables(int rank, int size) const {
    return {
        {"RANK", std::to_string(rank)},
        {"LOCAL_RANK", std::to_string(rank)},
        {"WORLD_SIZE", std::to_string(size)},
        {"MASTER_ADDR", "127.0.0.1"},
        {"MASTER_PORT", std::to_string(port_)}};
  }
  TrainProcess start_rank(const Variables& set, std::vector<std::string> arguments) {
    const std::string name = "output-" + std::to_string(num_started_++) + ".txt";
    write(name, ""); // there is something to read from the start
    return TrainProcess(folder_ / name, std::move(arguments), [&set] {
      for (const auto& [variable, value] : set) {
        setenv(variable.c_str(), value.c_str(), 1);
      }
    });
  }

  std::uint16_t port_ = free_port();
  int num_started_ = 0;
};

TEST_F(RankProgram, TrainsWithOneLogAndOneModel) {
  const RunConfig config = two_rank_run();
  const std::string file = config_file(config);
  const TrainProcess first = start_rank(variables(0, 2), {"--config", file});
  const TrainProcess second = start_rank(variables(1, 2), {"--config", file});
  EXPECT_EQ(first.wait(), 0) << first.output();
  EXPECT_EQ(second.wait(), 0) << second.output();
  EXPECT_NE(first.output().find("on each of 2 ranks"), std::string::npos) << first.output();
  EXPECT_NE(first.output().find("done: the model is in"), std::string::npos);
  EXPECT_EQ(second.output(), "");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run" / "final" / "model.safetensors"));
}

TEST_F(RankProgram, StopsAllRanksOnASignalToOneAndGoesOnAlone) {
  RunConfig config = two_rank_run();
  config.train.stages[0].steps = 100000;
  const std::string file = config_file(config);
  const TrainProcess first = start_rank(variables(0, 2), {"--config", file});
  const TrainProcess second = start_rank(variables(1, 2), {"--config", file});
  wait_for_checkpoint(config);
  second.send(SIGTERM);
  EXPECT_EQ(first.wait(), 0) << first.output();
  EXPECT_EQ(second.wait(), 0) << second.output();
  EXPECT_NE(first.output().find("stopped on a signal"), std::string::npos) << first.output();
  const TrainProcess alone = start_rank({}, {"--config", file, "--resume", "auto"});
  for (int i = 0; i < 6000 && alone.output().find("going on from") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  alone.send(SIGTERM);
  EXPECT_EQ(alone.wait(), 0) << alone.output();
  EXPECT_NE(alone.output().find("going on from"), std::string::npos) << alone.output();
}

TEST_F(RankProgram, EndsWhenARankIsKilledAndNamesIt) {
  RunConfig config = two_rank_run();
  config.train.stages[0].steps = 100000;
  const std::string file = config_file(config);
  const std::vector<std::string> arguments = {"--config", file, "--rank-timeout", "3"};
  const TrainProcess first = start_rank(variables(0, 2), arguments);
  const TrainProcess second = start_rank(variables(1, 2), arguments);
  wait_for_checkpoint(config);
  second.send(SIGKILL);
  EXPECT_EQ(second.wait(), -SIGKILL);
  EXPECT_EQ(first.wait(), 1) << first.output();
  EXPECT_NE(first.output().find("rank 1 has ended"), std::string::npos) << first.output();
}

TEST_F(RankProgram, TellsEveryRankWhatAnotherOneDiedOf) {
  RunConfig config = two_rank_run();
  const std::string file = config_file(config);
  const TrainProcess first = start_rank(variables(0, 2), {"--config", file});
  const TrainProcess second =
      start_rank(variables(1, 2), {"--config", file, "--set", "optim.lr=0.5"});
  EXPECT_EQ(first.wait(), 1);
  EXPECT_EQ(second.wait(), 1);
  for (const TrainProcess* process : {&first, &second}) {
    EXPECT_NE(process->output().find("must have the configuration alike"), std::string::npos)
        << process->output();
    EXPECT_NE(process->output().find("\"lr\": 0.5"), std::string::npos) << process->output();
  }
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run" / "rank-1.txt"));
}

TEST_F(RankProgram, NamesAMissingVariableAndABatchThatDoesNotDivide) {
  const std::string file = config_file(two_rank_run());
  Variables incomplete = variables(0, 2);
  incomplete.pop_back();
  const TrainProcess missing = start_rank(incomplete, {"--config", file});
  EXPECT_EQ(missing.wait(), 2);
  EXPECT_NE(missing.output().find("MASTER_PORT: must be set"), std::string::npos)
      << missing.output();
  const TrainProcess odd = start_rank(variables(0, 3), {"--config", file});
  EXPECT_EQ(odd.wait(), 2);
  EXPECT_NE(odd.output().find("must be a multiple of the number of ranks, 3"), std::string::npos)
      << odd.output();
}

TEST_F(RankProgram, PlansTheMemoryOfARank) {
  const std::string file = config_file(two_rank_run());
  const TrainProcess plan = start_rank({}, {"--config", file, "--dry-run", "--ranks", "2"});
  EXPECT_EQ(plan.wait(), 0) << plan.output();
  EXPECT_NE(plan.output().find("of each of 2 ranks"), std::string::npos) << plan.output();
}

} // namespace
} // namespace fcc::test
