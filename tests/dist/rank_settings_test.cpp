#include "fcc/dist/rank_settings.h"

#include <map>

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

using Variables = std::map<std::string, std::string>;

std::optional<RankSettings> read(const Variables& variables) {
  return read_rank_settings([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

const Variables kByHand = {
    {"RANK", "3"},
    {"WORLD_SIZE", "4"},
    {"LOCAL_RANK", "1"},
    {"MASTER_ADDR", "node0"},
    {"MASTER_PORT", "1234"}};

std::string error_of(const Variables& variables) {
  try {
    read(variables);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(RankSettings, AreAbsentWhereAProcessIsAlone) {
  EXPECT_FALSE(read({}).has_value());
  EXPECT_FALSE(read({{"RANK", "0"}, {"WORLD_SIZE", "1"}}).has_value());
  // A batch script of Slurm is one process, whatever its job asked for.
  EXPECT_FALSE(read({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}}).has_value());
}

TEST(RankSettings, AreTheFiveUsualVariables) {
  const auto settings = read(kByHand);
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->rank, 3);
  EXPECT_EQ(settings->size, 4);
  EXPECT_EQ(settings->local_rank, 1);
  EXPECT_EQ(settings->address, "node0");
  EXPECT_EQ(settings->port, 1234);
  EXPECT_FALSE(settings->hosts_store);
}

TEST(RankSettings, NameTheVariableThatIsMissing) {
  for (const auto& [name, value] : kByHand) {
    Variables variables = kByHand;
    variables.erase(name);
    EXPECT_NE(error_of(variables).find(name + ": must be set"), std::string::npos) << name;
  }
}

TEST(RankSettings, RefuseARankThatIsNotBelowTheWorldSize) {
  Variables variables = kByHand;
  variables["RANK"] = "4";
  EXPECT_NE(error_of(variables).find("RANK: must be below WORLD_SIZE, 4; got 4"), std::string::npos)
      << error_of(variables);
  variables["RANK"] = "first";
  EXPECT_NE(error_of(variables).find("RANK: must be a whole number"), std::string::npos);
}

TEST(RankSettings, LeaveThePortToALaunchersAgentThatHasItOpen) {
  Variables variables = kByHand;
  variables["RANK"] = "0";
  EXPECT_TRUE(read(variables)->hosts_store);
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "True";
  variables["TORCHELASTIC_RESTART_COUNT"] = "2";
  EXPECT_FALSE(read(variables)->hosts_store);
  EXPECT_EQ(read(variables)->attempt, "2");
}

TEST(RankSettings, AreReadFromASlurmStep) {
  const auto settings = read(
      {{"SLURM_PROCID", "5"},
       {"SLURM_STEP_NUM_TASKS", "8"},
       {"SLURM_LOCALID", "1"},
       {"SLURM_LAUNCH_NODE_IPADDR", "10.0.0.7"},
       {"SLURM_JOB_ID", "30007"}});
  ASSERT_TRUE(settings.has_value());
  EXPECT_EQ(settings->rank, 5);
  EXPECT_EQ(settings->size, 8);
  EXPECT_EQ(settings->local_rank, 1);
  EXPECT_EQ(settings->address, "10.0.0.7");
  EXPECT_EQ(settings->port, 15007);
}

TEST(RankSettings, AreReadFromOpenMpi) {
  Variables variables = {
      {"OMPI_COMM_WORLD_RANK", "1"},
      {"OMPI_COMM_WORLD_SIZE", "2"},
      {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
      {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  ASSERT_TRUE(read(variables).has_value());
  EXPECT_EQ(read(variables)->rank, 1);
  EXPECT_EQ(read(variables)->address, "127.0.0.1");
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1"; // two machines
  EXPECT_NE(error_of(variables).find("MASTER_ADDR: must be set"), std::string::npos);
}

} // namespace
} // namespace fcc
