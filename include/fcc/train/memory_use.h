#pragma once

#include <cstdint>

#include <c10/core/Device.h>

namespace fcc {

/// The most memory that the process has held on `device` so far, bytes: resident memory on a CPU,
/// what ATen's caching allocator reserved on a GPU.
std::int64_t peak_memory_bytes(c10::Device device);

} // namespace fcc
