// CUDA graphs and events.
#include "fcc_bench/gpu.h"

#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

namespace fcc::tools::gpu {
namespace {

class GraphSeries : public TimedSeries {
 public:
  GraphSeries(int num_launches, const std::function<void(int)>& launch)
      : num_launches_(num_launches), stream_(c10::cuda::getStreamFromPool()) {
    const c10::cuda::CUDAStreamGuard guard(stream_); // the default stream cannot be captured
    c10::cuda::device_synchronize();
    launch(0); // plans are made and libraries loaded before the capture
    c10::cuda::device_synchronize();
    graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    for (int i = 0; i < num_launches; ++i) {
      launch(i);
    }
    graph_.capture_end();
  }

  double milliseconds() override {
    const c10::cuda::CUDAStreamGuard guard(stream_);
    start_.record(stream_);
    graph_.replay();
    stop_.record(stream_);
    stop_.synchronize();
    return static_cast<double>(start_.elapsed_time(stop_)) / num_launches_;
  }

 private:
  int num_launches_;
  c10::cuda::CUDAStream stream_;
  at::cuda::CUDAGraph graph_;
  at::cuda::CUDAEvent start_{cudaEventDefault}, stop_{cudaEventDefault};
};

} // namespace

std::string device_name(at::Device device) {
  return device.has_index() ? at::cuda::getDeviceProperties(device.index())->name
                            : at::cuda::getCurrentDeviceProperties()->name;
}

void synchronize(at::Device device) {
  const c10::cuda::CUDAGuard guard(device.has_index() ? device : at::Device(at::kCUDA, 0));
  c10::cuda::device_synchronize();
}

std::unique_ptr<TimedSeries> record_series(
    int num_launches,
    const std::function<void(int)>& launch) {
  return std::make_unique<GraphSeries>(num_launches, launch);
}

} // namespace fcc::tools::gpu
