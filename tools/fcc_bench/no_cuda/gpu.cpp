// The build without GPU code.
#include "fcc_bench/gpu.h"

#include "fcc/core/error.h"

namespace fcc::tools::gpu {
namespace {

[[noreturn]] void absent() {
  throw ConfigError("--device", "this build has no GPU code", "cuda", "configure with FCC_CUDA=ON");
}

} // namespace

std::string device_name(at::Device) {
  absent();
}

void synchronize(at::Device) {
  absent();
}

std::unique_ptr<TimedSeries> record_series(int, const std::function<void(int)>&) {
  absent();
}

} // namespace fcc::tools::gpu
