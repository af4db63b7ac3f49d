#include "fcc_bench/profile.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include <torch/csrc/autograd/profiler_kineto.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"

namespace fcc::tools {
namespace {

namespace kineto = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;
using torch::profiler::impl::ProfilerConfig;
using torch::profiler::impl::ProfilerState;

struct Span {
  std::uint64_t start = 0, end = 0; // ns
  std::string name;
};

/// Time in which at least one span lasts.
double union_ms(std::vector<Span> spans) {
  std::sort(
      spans.begin(), spans.end(), [](const Span& a, const Span& b) { return a.start < b.start; });
  std::uint64_t covered = 0, end = 0;
  for (const Span& span : spans) {
    if (span.end > end) {
      covered += span.end - std::max(span.start, end);
      end = span.end;
    }
  }
  return static_cast<double>(covered) * 1e-6;
}

using Totals = std::map<std::string, ProfiledKernel>;

void add_to(Totals& totals, const std::string& name, double milliseconds, std::int64_t calls) {
  ProfiledKernel& kernel = totals[name];
  kernel.name = name;
  kernel.calls += calls;
  kernel.milliseconds += milliseconds;
}

/// Operators call operators: each takes what its callees leave. `spans` are of one thread.
void add_self_times(Totals& totals, std::vector<Span> spans) {
  std::sort(spans.begin(), spans.end(), [](const Span& a, const Span& b) {
    return a.start != b.start ? a.start < b.start : a.end > b.end;
  });
  std::vector<const Span*> open;
  for (const Span& span : spans) {
    while (!open.empty() && open.back()->end <= span.start) {
      open.pop_back();
    }
    const double milliseconds = static_cast<double>(span.end - span.start) * 1e-6;
    if (!open.empty()) {
      add_to(totals, open.back()->name, -milliseconds, 0);
    }
    add_to(totals, span.name, milliseconds, 1);
    open.push_back(&span);
  }
}

void remove_all(std::string& text, const std::string& part) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at)) {
    text.erase(at, part.size());
  }
}

/// Without the list of arguments that closes a function's full name.
void drop_arguments(std::string& name) {
  if (name.empty() || name.back() != ')') {
    return;
  }
  int depth = 0;
  for (std::size_t i = name.size(); i-- > 0;) {
    depth += name[i] == ')' ? 1 : name[i] == '(' ? -1 : 0;
    if (depth == 0) {
      name.resize(i);
      return;
    }
  }
}

} // namespace

Profile profile(c10::Device device, const std::string& trace, const std::function<void()>& body) {
  const bool gpu = device.is_cuda();
  check(!kineto::isProfilerEnabledInMainThread(), "profile", "a profile is being taken already");
  const ProfilerConfig config(ProfilerState::KINETO);
  std::set<ActivityType> activities{ActivityType::CPU};
  if (gpu) {
    activities.insert(ActivityType::CUDA);
  }
  kineto::prepareProfiler(config, activities);
  kineto::enableProfiler(config, activities);
  const auto start = std::chrono::steady_clock::now();
  try {
    body();
  } catch (...) {
    kineto::disableProfiler();
    throw;
  }
  const std::chrono::duration<double, std::milli> elapsed =
      std::chrono::steady_clock::now() - start;
  const auto result = kineto::disableProfiler();
  if (!trace.empty()) {
    result->save(trace);
  }

  Profile profile;
  profile.wall_ms = elapsed.count();
  Totals totals;
  std::vector<Span> on_gpu;
  std::map<std::uint64_t, std::vector<Span>> by_thread;
  for (const kineto::KinetoEvent& event : result->events()) {
    if (event.isHiddenEvent() || event.endNs() < event.startNs()) {
      continue;
    }
    Span span{event.startNs(), event.endNs(), event.name()};
    if (gpu && event.deviceType() == c10::DeviceType::CUDA) {
      add_to(totals, span.name, static_cast<double>(span.end - span.start) * 1e-6, 1);
      on_gpu.push_back(std::move(span));
    } else if (!gpu && event.deviceType() == c10::DeviceType::CPU) {
      by_thread[event.startThreadId()].push_back(std::move(span));
    }
  }
  profile.busy_ms = union_ms(std::move(on_gpu));
  for (auto& [thread, spans] : by_thread) {
    profile.busy_ms += union_ms(spans);
    add_self_times(totals, std::move(spans));
  }
  for (auto& [name, kernel] : totals) {
    profile.kernels.push_back(std::move(kernel));
  }
  std::stable_sort(
      profile.kernels.begin(), profile.kernels.end(), [](const auto& a, const auto& b) {
        return a.milliseconds > b.milliseconds;
      });
  return profile;
}

std::string short_kernel_name(const std::string& name, std::size_t length) {
  std::string text = name;
  remove_all(text, "(anonymous namespace)::");
  drop_arguments(text);
  for (const char* noise : {"at::native::", "at::cuda::", "c10::", "std::", "fcc::kernels::"}) {
    remove_all(text, noise);
  }
  if (text.rfind("void ", 0) == 0) {
    text.erase(0, 5);
  }
  if (text.size() > length && length > 3) {
    text.resize(length - 3);
    text += "...";
  }
  return text;
}

Table profile_table(const Profile& profile, std::size_t rows) {
  double total = 0;
  for (const ProfiledKernel& kernel : profile.kernels) {
    total += kernel.milliseconds;
  }
  Table table;
  table.header = {"kernel", "calls", "ms", "share"};
  ProfiledKernel rest;
  const auto add_row = [&](const ProfiledKernel& kernel, const std::string& name) {
    table.rows.push_back(
        {name,
         std::to_string(kernel.calls),
         format_number(kernel.milliseconds, 3),
         format_number(total > 0 ? 100 * kernel.milliseconds / total : 0, 1) + " %"});
  };
  for (std::size_t i = 0; i < profile.kernels.size(); ++i) {
    const ProfiledKernel& kernel = profile.kernels[i];
    if (i < rows) {
      add_row(kernel, short_kernel_name(kernel.name, 72));
    } else {
      rest.calls += kernel.calls;
      rest.milliseconds += kernel.milliseconds;
    }
  }
  if (profile.kernels.size() > rows) {
    add_row(rest, std::to_string(profile.kernels.size() - rows) + " others");
  }
  return table;
}

void add_profile_options(CLI::App& app, ProfileOptions& options) {
  app.add_flag(
         "--profile",
         options.enabled,
         "After the timed steps, profile one more: kernels by GPU time (CPU: operators)")
      ->group("Profile");
  app.add_option("--profile-rows", options.rows, "Kernels that the table names")
      ->capture_default_str()
      ->group("Profile");
  app.add_option(
         "--trace", options.trace, "Trace of the profiled step (the last one's) for Perfetto")
      ->type_name("FILE")
      ->group("Profile");
}

std::string
profile_text(const Profile& profile, const ProfileOptions& options, bool gpu, double median_ms) {
  std::string text = gpu ? "GPU busy " : "operators ";
  text.append(format_number(profile.busy_ms, 2)).append(" ms = ");
  text.append(format_number(100 * profile.busy_ms / median_ms, 1))
      .append(" % of the median step (");
  text.append(format_number(median_ms, 2)).append(" ms); the profiled step took ");
  text.append(format_number(profile.wall_ms, 2)).append(" ms\n");
  return text.append(table_text(profile_table(profile, options.rows)));
}

nlohmann::json profile_json(const Profile& profile, double median_ms) {
  nlohmann::json kernels = nlohmann::json::array();
  for (const ProfiledKernel& kernel : profile.kernels) {
    kernels.push_back(
        {{"name", kernel.name}, {"calls", kernel.calls}, {"ms", kernel.milliseconds}});
  }
  return {
      {"wall_ms", profile.wall_ms},
      {"busy_ms", profile.busy_ms},
      {"busy_share_of_median_step", profile.busy_ms / median_ms},
      {"kernels", std::move(kernels)}};
}

} // namespace fcc::tools
