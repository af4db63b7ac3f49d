#include "fcc/dist/rank_settings.h"

#include <charconv>

#include "fcc/core/error.h"

namespace fcc {
namespace {

constexpr std::int64_t kMostRanks = 65536;

/// A launcher's variables. Where one of `mark` is set, the process was started by it.
struct Launcher {
  const char* name;
  const char* rank;
  const char* size;
  const char* local_rank;
};

constexpr Launcher kLaunchers[] = {
    {"RANK and WORLD_SIZE", "RANK", "WORLD_SIZE", "LOCAL_RANK"},
    // Of a step alone: a batch script has SLURM_NTASKS and SLURM_PROCID, though it is one process.
    {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"},
    {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"}};

std::string text_of(const Variable& variable, const char* name) {
  const auto text = variable(name);
  if (!text || text->empty()) {
    throw ConfigError(
        name,
        "must be set where a run has several ranks",
        {},
        "torchrun, srun and mpirun set it; docs/several_gpus.md has a loop for one machine");
  }
  return *text;
}

std::int64_t
number_of(const Variable& variable, const char* name, std::int64_t least, std::int64_t most) {
  const std::string text = text_of(variable, name);
  std::int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw ConfigError(
        name,
        "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most),
        text);
  }
  return value;
}

bool is_set(const Variable& variable, const char* name) {
  const auto text = variable(name);
  return text && !text->empty();
}

const Launcher* launcher_of(const Variable& variable) {
  const Launcher& by_hand = kLaunchers[0];
  if (is_set(variable, by_hand.rank) || is_set(variable, by_hand.size)) {
    return &by_hand;
  }
  for (const Launcher& launcher : kLaunchers) {
    if (is_set(variable, launcher.size)) {
      return &launcher;
    }
  }
  return nullptr;
}

/// Where rank 0 is, as far as the launcher says it in place of MASTER_ADDR and MASTER_PORT.
void take_meeting_point(
    const Variable& variable,
    const Launcher& launcher,
    RankSettings& settings) {
  const bool by_hand = &launcher == &kLaunchers[0];
  const bool slurm = &launcher == &kLaunchers[1];
  if (is_set(variable, "MASTER_ADDR") || by_hand) {
    settings.address = text_of(variable, "MASTER_ADDR");
  } else if (slurm && is_set(variable, "SLURM_LAUNCH_NODE_IPADDR")) {
    settings.address = text_of(variable, "SLURM_LAUNCH_NODE_IPADDR");
  } else if (!slurm && variable("OMPI_COMM_WORLD_LOCAL_SIZE") == variable("OMPI_COMM_WORLD_SIZE")) {
    settings.address = "127.0.0.1";
  } else {
    settings.address = text_of(variable, "MASTER_ADDR"); // tells that it is missing
  }
  if (is_set(variable, "MASTER_PORT") || by_hand) {
    settings.port = static_cast<std::uint16_t>(number_of(variable, "MASTER_PORT", 1, 65535));
  } else if (slurm && is_set(variable, "SLURM_JOB_ID")) {
    const std::int64_t job = number_of(variable, "SLURM_JOB_ID", 0, std::int64_t{1} << 40);
    settings.port = static_cast<std::uint16_t>(15000 + job % 15000); // jobs of one machine differ
  } else {
    settings.port = 29500;
  }
}

} // namespace

std::optional<RankSettings> read_rank_settings(const Variable& variable) {
  const Launcher* const launcher = launcher_of(variable);
  if (launcher == nullptr) {
    return std::nullopt;
  }
  RankSettings settings;
  settings.size = number_of(variable, launcher->size, 1, kMostRanks);
  settings.rank = number_of(variable, launcher->rank, 0, kMostRanks - 1);
  if (settings.rank >= settings.size) {
    throw ConfigError(
        launcher->rank,
        std::string("must be below ") + launcher->size + ", " + std::to_string(settings.size),
        std::to_string(settings.rank));
  }
  if (settings.size == 1) {
    return std::nullopt;
  }
  settings.local_rank = number_of(variable, launcher->local_rank, 0, kMostRanks - 1);
  take_meeting_point(variable, *launcher, settings);
  settings.hosts_store =
      settings.rank == 0 && variable("TORCHELASTIC_USE_AGENT_STORE").value_or("") != "True";
  settings.attempt = variable("TORCHELASTIC_RESTART_COUNT").value_or("0");
  return settings;
}

} // namespace fcc
