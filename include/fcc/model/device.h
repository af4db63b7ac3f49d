#pragma once

#include <cstdint>
#include <string>

#include <c10/core/Device.h>

namespace fcc {

/// `auto` (`cuda` where there is a GPU), `cpu`, `cuda` (the process's current GPU: the first one,
/// unless it has chosen another), `cuda:N`. `where`: the key or option that the name comes from.
/// Errors: `ConfigError`.
c10::Device device_from_name(const std::string& name, const std::string& where);

/// Sets torch's CPU threads: `threads`, or if 0 torch's choice, of which at most four beside a GPU.
/// There the CPU has batches to cut and kernels to launch; a thread for each core would spin
/// between them and take the cores from the runs on the machine's other GPUs.
void set_cpu_threads(std::int64_t threads, c10::Device device);

} // namespace fcc
