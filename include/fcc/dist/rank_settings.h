#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <c10/core/Device.h>

#include "fcc/dist/communicator.h"

namespace fcc {

/// Which rank a process is, and where it meets the others.
struct RankSettings {
  std::int64_t rank = 0, size = 1;
  std::int64_t local_rank = 0; ///< on its machine: the number of its GPU
  std::string address;         ///< of the machine of rank 0
  std::uint16_t port = 0;
  /// Rank 0 opens the port. Not where a launcher's agent has it open already.
  bool hosts_store = true;
  std::string attempt; ///< keeps a restart apart from what the run before it left
  std::chrono::milliseconds timeout = std::chrono::minutes(10); ///< of one collective operation
  /// A rank that gives no sign of life for so long is taken for gone.
  std::chrono::milliseconds silence = std::chrono::seconds(10);
};

/// The value of an environment variable; none: not set.
using Variable = std::function<std::optional<std::string>(const char* name)>;

/// What the launcher says: RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT (torchrun, or by
/// hand); else the variables of a Slurm step (srun), else of Open MPI (mpirun). None of them, or a
/// single rank: nothing.
/// Errors: `ConfigError` naming the variable that is missing or wrong.
std::optional<RankSettings> read_rank_settings(const Variable& variable);

/// Meets the other ranks: CPU tensors go over Gloo, those of `device` over NCCL where it is a GPU.
/// Every rank calls it. The device is made the process's current one first.
/// Errors: `Error` where the port is in use, a rank does not come within the timeout, or two ranks
/// have one GPU.
std::shared_ptr<Communicator> meet_ranks(const RankSettings& settings, at::Device device);

} // namespace fcc
