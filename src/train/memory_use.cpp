#include "fcc/train/memory_use.h"

#include <sys/resource.h>

#include <c10/core/CachingDeviceAllocator.h>

namespace fcc {

std::int64_t peak_memory_bytes(c10::Device device) {
  if (!device.is_cpu()) {
    auto* allocator = c10::getDeviceAllocator(device.type());
    const auto index = device.has_index() ? device.index() : c10::DeviceIndex{0};
    const auto stats = allocator->getDeviceStats(index);
    return stats.reserved_bytes[0].peak;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t{usage.ru_maxrss} * 1024;
}

} // namespace fcc
