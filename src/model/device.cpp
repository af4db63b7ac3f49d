#include "fcc/model/device.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

std::int64_t num_gpus() {
  return at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
}

/// The first one, unless the process has chosen another one for itself.
at::Device current_gpu() {
  return c10::impl::VirtualGuardImpl(at::kCUDA).getDevice();
}

constexpr int kThreadsBesideGpu = 4;

} // namespace

c10::Device device_from_name(const std::string& name, const std::string& where) {
  if (name == "cpu") {
    return at::kCPU;
  }
  if (name == "auto") {
    return num_gpus() > 0 ? current_gpu() : at::Device(at::kCPU);
  }
  if (name == "cuda" && num_gpus() > 0) {
    return current_gpu();
  }
  std::string index = name == "cuda" ? "0" : "";
  if (name.starts_with("cuda:")) {
    index = name.substr(5);
  }
  const bool digits =
      !index.empty() && index.size() <= 3 &&
      std::all_of(index.begin(), index.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!digits) {
    throw ConfigError(where, "must be auto, cpu, cuda or cuda:N", name);
  }
  if (std::stoll(index) >= num_gpus()) {
    throw ConfigError(
        where,
        "must be a GPU that this program can use (it finds " + std::to_string(num_gpus()) + ")",
        name,
        "use cpu or auto");
  }
  return {at::kCUDA, static_cast<at::DeviceIndex>(std::stoll(index))};
}

void set_cpu_threads(std::int64_t threads, c10::Device device) {
  if (threads > 0) {
    at::set_num_threads(static_cast<int>(threads));
  } else if (!device.is_cpu()) {
    at::set_num_threads(std::min(at::get_num_threads(), kThreadsBesideGpu));
  }
}

} // namespace fcc
