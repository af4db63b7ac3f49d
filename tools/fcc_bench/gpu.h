#pragma once

#include <functional>
#include <memory>
#include <string>

#include "fcc_bench/device.h"

// What needs CUDA's own headers: fcc_bench/cuda implements it, fcc_bench/no_cuda refuses.
namespace fcc::tools::gpu {

std::string device_name(at::Device device);
void synchronize(at::Device device);
std::unique_ptr<TimedSeries> record_series(
    int num_launches,
    const std::function<void(int)>& launch);

} // namespace fcc::tools::gpu
