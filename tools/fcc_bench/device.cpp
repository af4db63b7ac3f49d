#include "fcc_bench/device.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <exception>
#include <fstream>
#include <new>
#include <utility>
#include <vector>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/util/Exception.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "fcc/config/field.h"
#include "fcc/core/error.h"
#include "fcc/train/memory_use.h"
#include "fcc_bench/gpu.h"

namespace fcc::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSustainedSeconds = 2.0;

class ClockSeries : public TimedSeries {
 public:
  ClockSeries(int num_launches, std::function<void(int)> launch)
      : num_launches_(num_launches), launch_(std::move(launch)) {}

  double milliseconds() override {
    const auto start = Clock::now();
    for (int i = 0; i < num_launches_; ++i) {
      launch_(i);
    }
    const std::chrono::duration<double, std::milli> elapsed = Clock::now() - start;
    return elapsed.count() / num_launches_;
  }

 private:
  int num_launches_;
  std::function<void(int)> launch_;
};

double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

double median_ms(TimedSeries& series) {
  series.milliseconds();
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) {
    times.push_back(series.milliseconds());
  }
  return median_of(std::move(times));
}

/// The median of the second half of `seconds` in which the series runs and nothing else.
double sustained_ms(TimedSeries& series, double seconds) {
  std::vector<double> times;
  const auto start = Clock::now();
  std::chrono::duration<double> elapsed{};
  while (elapsed.count() < seconds) {
    const double ms = series.milliseconds();
    elapsed = Clock::now() - start;
    if (elapsed.count() > seconds / 2) {
      times.push_back(ms);
    }
  }
  return median_of(std::move(times));
}

} // namespace

std::string device_name(at::Device device) {
  if (!device.is_cpu()) {
    return gpu::device_name(device);
  }
  const int threads = at::get_num_threads();
  std::string name = "CPU (";
  return name.append(std::to_string(threads)).append(threads == 1 ? " thread)" : " threads)");
}

std::optional<double> nominal_tflops(const std::string& name) {
  // The first part that a name holds decides. Dense, without sparsity, at boost clocks.
  constexpr std::array<std::pair<const char*, double>, 6> kCards{
      {{"H100 PCIe", 756},
       {"H100 NVL", 835},
       {"H100", 989},
       {"H200", 989},
       {"GH200", 989},
       {"A100", 312}}};
  for (const auto& [part, tflops] : kCards) {
    if (name.find(part) != std::string::npos) {
      return tflops;
    }
  }
  return std::nullopt;
}

DeviceRates measure_rates(at::Device device, at::ScalarType dtype) {
  DeviceRates rates;
  rates.name = device_name(device);
  rates.product_size = device.is_cpu() ? 512 : 8192;
  const std::int64_t size = rates.product_size;
  const auto options = at::TensorOptions().device(device);
  const at::Tensor a = at::randn({size, size}, options.dtype(dtype));
  const at::Tensor b = at::randn({size, size}, options.dtype(dtype));
  at::Tensor c = at::empty({size, size}, options.dtype(dtype));
  const int launches = device.is_cpu() ? 2 : 10;
  const auto product = record_series(device, launches, [&](int) { at::mm_out(c, a, b); });
  const double gflop = 2e-9 * std::pow(static_cast<double>(size), 3);
  rates.product_tflops = gflop / median_ms(*product);
  const std::int64_t bytes = device.is_cpu() ? std::int64_t{1} << 26 : std::int64_t{1} << 30;
  const at::Tensor from = at::empty({bytes}, options.dtype(at::kByte)).fill_(1);
  at::Tensor to = at::empty({bytes}, options.dtype(at::kByte)).fill_(0);
  const auto copy = record_series(device, launches, [&](int) { to.copy_(from); });
  rates.copy_gb_per_s = 2e-6 * static_cast<double>(bytes) / median_ms(*copy);
  if (!device.is_cpu()) {
    rates.sustained_product_tflops = gflop / sustained_ms(*product, kSustainedSeconds);
  }
  return rates;
}

std::unique_ptr<TimedSeries>
record_series(at::Device device, int num_launches, std::function<void(int)> launch) {
  if (device.is_cpu()) {
    return std::make_unique<ClockSeries>(num_launches, std::move(launch));
  }
  return gpu::record_series(num_launches, launch);
}

void synchronize(at::Device device) {
  if (!device.is_cpu()) {
    gpu::synchronize(device);
  }
}

void reset_peak(at::Device device) {
  if (device.is_cpu()) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
    std::ofstream("/proc/self/clear_refs") << "5"; // Linux: the high-water mark starts again
    return;
  }
  at::empty({1}, at::TensorOptions(device)); // the allocator counts from its first use on
  synchronize(device);
  auto* allocator = c10::getDeviceAllocator(device.type());
  allocator->emptyCache();
  allocator->resetPeakStats(device.index());
}

std::int64_t peak_bytes(at::Device device) {
  return peak_memory_bytes(device);
}

bool is_out_of_memory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
      dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) {
    return true;
  }
  const std::string text = error.what(); // ATen's CPU allocator has no type of its own
  return text.find("can't allocate memory") != std::string::npos ||
         text.find("not enough memory") != std::string::npos ||
         text.find("out of memory") != std::string::npos;
}

} // namespace fcc::tools
