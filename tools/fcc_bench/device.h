#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <ATen/core/Tensor.h>

#include "fcc/config/run_config.h"
#include "fcc/generate/loaded_model.h"
#include "fcc/model/device.h"

namespace fcc::tools {

/// The GPU's name, or "CPU (N threads)".
std::string device_name(at::Device device);

/// The peak of dense bfloat16 products that the vendor states, TFLOP/s, for cards that are known by
/// name; nothing for others and for a CPU.
std::optional<double> nominal_tflops(const std::string& device_name);

/// What the device does here and now.
struct DeviceRates {
  std::string name;
  double product_tflops = 0; ///< a large square product, forward of one step's arithmetic
  std::int64_t product_size = 0;
  /// The same at the end of seconds of nothing else, where a GPU's power limit sets the clock; 0 on
  /// a CPU.
  double sustained_product_tflops = 0;
  double copy_gb_per_s = 0; ///< a device copy, bytes read and written
};

/// Medians of several launches each.
DeviceRates measure_rates(at::Device device, at::ScalarType dtype);

/// Equal launches, recorded once where the device can, and timed as one.
class TimedSeries {
 public:
  virtual ~TimedSeries() = default;
  /// Milliseconds a launch: the mean over one run of the series.
  virtual double milliseconds() = 0;
};

/// `launch(i)` for i in 0..num_launches-1. On a GPU they become one CUDA graph, after a run that is
/// not recorded; on a CPU they are run each time.
std::unique_ptr<TimedSeries>
record_series(at::Device device, int num_launches, std::function<void(int)> launch);

/// Waits until all work on the device is done.
void synchronize(at::Device device);

/// From here on `peak_bytes` counts anew: freed memory is given back first.
void reset_peak(at::Device device);

/// The most memory held since `reset_peak`: what ATen's caching allocator reserved on a GPU, the
/// process's resident memory on a CPU.
std::int64_t peak_bytes(at::Device device);

/// Whether `error` says that memory ran out.
bool is_out_of_memory(const std::exception& error);

} // namespace fcc::tools
