#include <algorithm>

#include "memory_attention/backward_params.h"
#include "memory_attention/launch_common.h"

// The host side of the backward: checks, tensor maps, two launches.

namespace fcc::kernels {
namespace backward {
namespace {

constexpr float kLog2E = 1.4426950408889634F;

KernelStatus check_params(const MemoryAttentionBackwardParams& params) {
  if (const KernelStatus status = check_shape(params.shape); !status.ok()) {
    return status;
  }
  if (!(params.scale > 0.0F)) {
    return {cudaErrorInvalidValue, "memory_attention: scale must be positive"};
  }
  if (params.lse == nullptr || params.workspace == nullptr) {
    return {cudaErrorInvalidValue, "memory_attention: lse and workspace must be given"};
  }
  // Those that the copy engine does not read; MapMaker checks the others.
  const HeadLayout queries{params.shape.num_queries, params.shape.num_heads};
  const HeadLayout current{params.shape.num_queries, params.shape.num_kv_heads};
  const HeadLayout memory{params.shape.num_memory, params.shape.num_kv_heads};
  const struct {
    const void* data;
    const AttentionStrides& strides;
    const HeadLayout& layout;
  } tensors[] = {
      {params.dq.data, params.dq.strides, queries},
      {params.dk_cur.data, params.dk_cur.strides, current},
      {params.dv_cur.data, params.dv_cur.strides, current},
      {params.dk_mem.data, params.dk_mem.strides, memory},
      {params.dv_mem.data, params.dv_mem.strides, memory}};
  for (const auto& tensor : tensors) {
    if (tensor.layout.num_rows == 0) {
      continue;
    }
    const KernelStatus status =
        check_tensor(tensor.data, tensor.strides, tensor.layout, params.shape);
    if (!status.ok()) {
      return status;
    }
  }
  return {};
}

// Two floats a row; behind them the counter of items, on a line of its own.
int64_t statistics_bytes(const MemoryAttentionShape& shape) {
  return int64_t{2} * static_cast<int64_t>(sizeof(float)) * shape.num_cells * shape.batch *
         shape.num_heads * padded_statistics_rows(shape.num_queries);
}
constexpr int64_t kCounterBytes = 256;

int problems_in_cache(const MemoryAttentionShape& shape, int64_t rows_per_problem) {
  // A quarter of an H100's L2: its two halves may both hold a line, and outputs pass through.
  constexpr int64_t kCacheBytes = 12 << 20;
  const int64_t problem_bytes = rows_per_problem * shape.head_dim * 4; // two bf16 tensors
  const int64_t problems = int64_t{shape.num_cells} * shape.batch * shape.num_kv_heads;
  return static_cast<int>(std::clamp<int64_t>(kCacheBytes / problem_bytes, 1, problems));
}

} // namespace

KernelStatus make_kernel_params(const MemoryAttentionBackwardParams& params, KernelParams& kernel) {
  if (const KernelStatus status = check_params(params); !status.ok()) {
    return status;
  }
  const MemoryAttentionShape& shape = params.shape;
  const HeadLayout queries{shape.num_queries, shape.num_heads};
  const HeadLayout current{shape.num_queries, shape.num_kv_heads};
  const HeadLayout memory{shape.num_memory, shape.num_kv_heads};
  MapMaker maps(shape);
  maps.make(params.q, queries, kBlockRows, kernel.q);
  maps.make(params.grad_out, queries, kBlockRows, kernel.grad_out);
  maps.make(params.out, queries, kBlockRows, kernel.out);
  maps.make(params.k_cur, current, kBlockRows, kernel.k_cur);
  maps.make(params.v_cur, current, kBlockRows, kernel.v_cur);
  if (shape.num_memory > 0) {
    maps.make(params.k_mem, memory, kBlockRows, kernel.k_mem);
    maps.make(params.v_mem, memory, kBlockRows, kernel.v_mem);
  }
  if (!maps.status().ok()) {
    return maps.status();
  }

  kernel.lse = params.lse;
  kernel.lse_strides = params.lse_strides;
  kernel.dq = params.dq;
  kernel.dk_mem = params.dk_mem;
  kernel.dv_mem = params.dv_mem;
  kernel.dk_cur = params.dk_cur;
  kernel.dv_cur = params.dv_cur;
  kernel.shape = shape;
  kernel.has_memory = params.has_memory;
  kernel.statistics = static_cast<float*>(params.workspace);
  kernel.statistics_rows = padded_statistics_rows(shape.num_queries);
  // The copy engine moves bytes: to it, two floats a query row are four bf16.
  const int64_t statistics_rows = int64_t{shape.num_cells} * shape.batch * shape.num_heads *
                                  kernel.statistics_rows / kStatisticsPerBoxRow;
  const TileTensor statistics{
      .data = kernel.statistics,
      .head_dim = kBlockRows,
      .num_rows = static_cast<int>(statistics_rows),
      .num_heads = 1,
      .batch = 1,
      .num_cells = 1,
      .row_stride = kBlockRows};
  if (const cudaError_t error =
          make_tile_map(statistics, kStatisticsBoxRows, kernel.statistics_map);
      error != cudaSuccess) {
    return {error, "memory_attention: workspace must be aligned to 16 bytes"};
  }
  kernel.next_item =
      reinterpret_cast<int*>(static_cast<char*>(params.workspace) + statistics_bytes(shape));
  const int64_t query_rows = int64_t{shape.num_heads / shape.num_kv_heads} * shape.num_queries;
  const int64_t key_rows = int64_t{shape.num_memory} + shape.num_queries;
  kernel.query_problems_in_cache = problems_in_cache(shape, key_rows);
  kernel.key_problems_in_cache = problems_in_cache(shape, query_rows + key_rows);
  kernel.scale = params.scale;
  kernel.scale_log2 = params.scale * kLog2E;
  return {};
}

} // namespace backward

size_t memory_attention_backward_workspace_bytes(const MemoryAttentionShape& shape) {
  return static_cast<size_t>(backward::statistics_bytes(shape) + backward::kCounterBytes);
}

KernelStatus memory_attention_backward(const MemoryAttentionBackwardParams& params) {
  backward::KernelParams kernel;
  if (const KernelStatus status = backward::make_kernel_params(params, kernel); !status.ok()) {
    return status;
  }
  int num_multiprocessors = 0;
  if (const KernelStatus status = count_multiprocessors(num_multiprocessors); !status.ok()) {
    return status;
  }
  const auto launch = params.shape.head_dim == 64 ? backward::launch_gradients_e64
                                                  : backward::launch_gradients_e128;
  return {launch(kernel, num_multiprocessors, params.stream), nullptr};
}

} // namespace fcc::kernels
