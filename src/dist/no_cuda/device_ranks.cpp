#include "dist/device_ranks.h"

#include "fcc/core/error.h"

namespace fcc {

std::string device_identity(at::Device device) {
  throw Error("ranks", "this program was built without GPU code", device.str());
}

std::unique_ptr<DeviceRanks> join_device_ranks(
    at::Device device,
    std::int64_t,
    std::int64_t,
    const std::function<std::string(const std::string&)>&) {
  throw Error("ranks", "this program was built without GPU code", device.str());
}

} // namespace fcc
