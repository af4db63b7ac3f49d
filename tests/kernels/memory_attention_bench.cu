#include <algorithm>
#include <cstdio>
#include <exception>
#include <functional>
#include <stdexcept>
#include <vector>

#include "attention_case.cuh"

// Times both passes of memory attention on the shapes of the README: graphs of launches over
// rotating inputs, so that neither launches nor a warm cache colour the figures. The rate counts
// the operations that the mask leaves: 4 E (Lq Lm + Lq (Lq + 1) / 2) a head, 2.5 times backward.

namespace fcc::kernels::testing {
namespace {

constexpr int kLaunchesPerGraph = 12;
constexpr int kWarmUps = 3;
constexpr int kRepeats = 15;

// Median milliseconds of one launch; `launch(i, stream)` launches over the i-th inputs.
double milliseconds(const std::function<void(int, cudaStream_t)>& launch) {
  cudaStream_t stream = nullptr;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t program = nullptr;
  cudaEvent_t start = nullptr;
  cudaEvent_t stop = nullptr;
  check_cuda(cudaStreamCreate(&stream), "stream");
  check_cuda(cudaEventCreate(&start), "event");
  check_cuda(cudaEventCreate(&stop), "event");
  check_cuda(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (int i = 0; i < kLaunchesPerGraph; ++i) {
    launch(i, stream);
  }
  check_cuda(cudaStreamEndCapture(stream, &graph), "capture");
  check_cuda(cudaGraphInstantiate(&program, graph, 0), "graph");
  std::vector<double> times;
  for (int i = 0; i < kWarmUps + kRepeats; ++i) {
    check_cuda(cudaEventRecord(start, stream), "record");
    check_cuda(cudaGraphLaunch(program, stream), "launch");
    check_cuda(cudaEventRecord(stop, stream), "record");
    check_cuda(cudaEventSynchronize(stop), "run");
    float elapsed = 0.0F;
    check_cuda(cudaEventElapsedTime(&elapsed, start, stop), "time");
    if (i >= kWarmUps) {
      times.push_back(static_cast<double>(elapsed) / kLaunchesPerGraph);
    }
  }
  cudaGraphExecDestroy(program);
  cudaGraphDestroy(graph);
  cudaEventDestroy(start);
  cudaEventDestroy(stop);
  cudaStreamDestroy(stream);
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

void check(const KernelStatus& status) {
  if (!status.ok()) {
    throw std::runtime_error(status.message == nullptr ? "launch" : status.message);
  }
}

// Inputs, results and gradients of one problem. The gradients lie in the inputs of a second problem
// of the same layout, whose own result serves as the gradient of the output.
struct TimedData {
  AttentionData inputs;
  AttentionData gradients;
  DeviceArray<uint8_t> workspace;

  TimedData(const MemoryAttentionShape& shape, uint64_t seed)
      : inputs(AttentionCase{.shape = shape, .seed = seed}),
        gradients(AttentionCase{.shape = shape, .seed = seed + 1}),
        workspace(memory_attention_backward_workspace_bytes(shape)) {
    check(memory_attention_forward(inputs.forward_params()));
    check(memory_attention_forward(gradients.forward_params()));
    check_cuda(cudaDeviceSynchronize(), "forward");
  }

  [[nodiscard]] MemoryAttentionBackwardParams backward_params() const {
    const MemoryAttentionForwardParams p = inputs.forward_params();
    const MemoryAttentionForwardParams g = gradients.forward_params();
    const auto output = [](const AttentionInput& t) {
      return AttentionOutput{const_cast<void*>(t.data), t.strides};
    };
    return {
        .shape = p.shape,
        .q = p.q,
        .k_mem = p.k_mem,
        .v_mem = p.v_mem,
        .k_cur = p.k_cur,
        .v_cur = p.v_cur,
        .out = {p.out.data, p.out.strides},
        .grad_out = {g.out.data, g.out.strides},
        .lse = p.lse,
        .lse_strides = p.lse_strides,
        .dq = output(g.q),
        .dk_mem = output(g.k_mem),
        .dv_mem = output(g.v_mem),
        .dk_cur = output(g.k_cur),
        .dv_cur = output(g.v_cur),
        .has_memory = p.has_memory,
        .workspace = workspace.data(),
        .scale = p.scale,
        .stream = nullptr};
  }
};

void time_shape(const MemoryAttentionShape& shape) {
  const double queries = shape.num_queries;
  const double flops = 4.0 * shape.head_dim * shape.num_heads * shape.num_cells * shape.batch *
                       (queries * shape.num_memory + queries * (queries + 1.0) / 2.0);
  const double megabytes = 4e-6 * shape.num_cells * shape.batch * shape.num_heads * shape.head_dim *
                           (queries + shape.num_memory);
  // Enough that a launch finds none of its inputs in the cache.
  const int num_inputs = std::clamp(static_cast<int>(200.0 / megabytes), 1, 4);
  std::vector<TimedData> problems;
  for (int i = 0; i < num_inputs; ++i) {
    problems.emplace_back(shape, static_cast<uint64_t>(2 * i + 1));
  }
  const double forward = milliseconds([&](int i, cudaStream_t stream) {
    auto params = problems[static_cast<size_t>(i % num_inputs)].inputs.forward_params();
    params.stream = stream;
    check(memory_attention_forward(params));
  });
  const double backward = milliseconds([&](int i, cudaStream_t stream) {
    auto params = problems[static_cast<size_t>(i % num_inputs)].backward_params();
    params.stream = stream;
    check(memory_attention_backward(params));
  });
  std::printf(
      "%5d %4d %4d %6d %6d | %9.4f %6.0f | %9.4f %6.0f\n",
      shape.num_cells,
      shape.head_dim,
      shape.num_heads,
      shape.num_queries,
      shape.num_memory,
      forward,
      flops / forward * 1e-9,
      backward,
      2.5 * flops / backward * 1e-9);
  std::fflush(stdout);
}

void time_all() {
  std::printf("cells    E    H     Lq     Lm | fwd ms TFLOP/s | bwd ms TFLOP/s\n");
  for (const MemoryAttentionShape& shape :
       {MemoryAttentionShape{16, 1, 256, 256, 32, 8, 64},
        MemoryAttentionShape{16, 1, 512, 512, 32, 8, 64},
        MemoryAttentionShape{64, 1, 512, 512, 32, 8, 64},
        MemoryAttentionShape{8, 1, 1024, 1024, 32, 8, 64},
        MemoryAttentionShape{1, 1, 512, 512, 32, 8, 64},
        MemoryAttentionShape{4, 1, 512, 512, 32, 8, 64},
        MemoryAttentionShape{1, 1, 4096, 0, 32, 8, 64},
        MemoryAttentionShape{16, 1, 512, 512, 24, 8, 128},
        MemoryAttentionShape{8, 1, 1024, 1024, 24, 8, 128},
        MemoryAttentionShape{1, 1, 512, 512, 24, 8, 128}}) {
    time_shape(shape);
  }
}

} // namespace
} // namespace fcc::kernels::testing

int main() {
  try {
    fcc::kernels::testing::time_all();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
