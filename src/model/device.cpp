#include "fcc/model/device.h"

#include <algorithm>
#include <cctype>
#include <cstdint>

#include <ATen/Context.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

std::int64_t num_gpus() {
  return at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
}

} // namespace

c10::Device device_from_name(const std::string& name, const std::string& where) {
  if (name == "cpu") {
    return at::kCPU;
  }
  if (name == "auto") {
    return num_gpus() > 0 ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
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

} // namespace fcc
