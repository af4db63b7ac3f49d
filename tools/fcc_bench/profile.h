#pragma once

#include <functional>
#include <string>
#include <vector>

#include <c10/core/Device.h>
#include <nlohmann/json_fwd.hpp>

#include "fcc/eval/report.h"

namespace CLI {
class App;
}

namespace fcc::tools {

/// One kernel (on a CPU: one operator) over a profiled stretch.
struct ProfiledKernel {
  std::string name;
  std::int64_t calls = 0;
  double milliseconds = 0; ///< in all; on a CPU without the operators that it called
};

struct Profile {
  std::vector<ProfiledKernel> kernels; ///< the longest first
  double wall_ms = 0;                  ///< of the stretch, with the profiler's own cost
  double busy_ms = 0; ///< at least one kernel ran; on a CPU the sum over threads of all operators
};

/// Runs `body` under the profiler that LibTorch brings (Kineto); nothing else is needed. `trace`:
/// a file for chrome://tracing or Perfetto; empty: none. Errors: `Error` if a profile is on
/// already.
Profile profile(c10::Device device, const std::string& trace, const std::function<void()>& body);

/// A kernel's name without namespaces that say nothing, its arguments and what passes `length`.
std::string short_kernel_name(const std::string& name, std::size_t length);

/// The first `rows` kernels with calls, milliseconds and their share of all kernels' time, and the
/// rest as one row.
Table profile_table(const Profile& profile, std::size_t rows);

/// What the command line asks of a profile.
struct ProfileOptions {
  bool enabled = false;
  std::size_t rows = 25;
  std::string trace; ///< a file, or empty

  bool wanted() const {
    return enabled || !trace.empty();
  }
};

/// Adds --profile, --profile-rows and --trace.
void add_profile_options(CLI::App& app, ProfileOptions& options);

/// The busy share and the table as text, beside the median of the steps that were not profiled.
std::string
profile_text(const Profile& profile, const ProfileOptions& options, bool gpu, double median_ms);

/// The same with every kernel.
nlohmann::json profile_json(const Profile& profile, double median_ms);

} // namespace fcc::tools
