#pragma once

#include <algorithm>
#include <cstdint>

#include "common/tensor_map.h"
#include "memory_attention/forward_kernel.cuh"
#include "memory_attention/forward_schedule.h"
#include "memory_attention/launch_common.h"
#include "memory_attention/memory_attention.h"

namespace fcc::kernels {

/// Launches the forward kernel of these traits; the parameters have been checked.
template <class Traits>
KernelStatus launch_forward(const MemoryAttentionForwardParams& params, int num_multiprocessors) {
  const MemoryAttentionShape& shape = params.shape;
  ForwardArguments arguments{};

  const HeadLayout queries{shape.num_queries, shape.num_heads};
  const HeadLayout current{shape.num_queries, shape.num_kv_heads};
  const HeadLayout memory{shape.num_memory, shape.num_kv_heads};
  MapMaker maps(shape);
  maps.make(params.q, queries, Traits::kQueryTile, arguments.q);
  maps.make(params.out, queries, Traits::kQueryTile, arguments.out);
  maps.make(params.k_cur, current, Traits::kKeyTile, arguments.k_cur);
  maps.make(params.v_cur, current, Traits::kKeyTile, arguments.v_cur);
  if (shape.num_memory > 0) {
    maps.make(params.k_mem, memory, Traits::kKeyTile, arguments.k_mem);
    maps.make(params.v_mem, memory, Traits::kKeyTile, arguments.v_mem);
  }
  if (!maps.status().ok()) {
    return maps.status();
  }

  constexpr float kLog2E = 1.44269504088896341F;
  arguments.lse = params.lse;
  arguments.lse_cell_stride = params.lse_strides.cell;
  arguments.lse_batch_stride = params.lse_strides.batch;
  arguments.lse_head_stride = params.lse_strides.head;
  arguments.has_memory = params.has_memory;
  arguments.scale_log2 = params.scale * kLog2E;
  arguments.num_queries = shape.num_queries;
  arguments.num_memory = shape.num_memory;
  const int heads_per_kv = shape.num_heads / shape.num_kv_heads;
  const int query_tiles = (shape.num_queries + Traits::kQueryTile - 1) / Traits::kQueryTile;
  arguments.num_units = heads_per_kv * query_tiles;
  arguments.batch = FastDivisor(shape.batch);
  arguments.num_kv_heads = FastDivisor(shape.num_kv_heads);
  arguments.heads_per_kv = FastDivisor(heads_per_kv);

  const auto tiles = [](int rows) { return (rows + Traits::kKeyTile - 1) / Traits::kKeyTile; };
  const int num_sets = shape.num_cells * shape.batch * shape.num_kv_heads;
  arguments.items_per_set = (arguments.num_units + Traits::kWarpgroups - 1) / Traits::kWarpgroups;
  arguments.num_items = num_sets * arguments.items_per_set;
  const int num_blocks = std::min(arguments.num_items, num_multiprocessors);
  constexpr double kMegabyte = 1024.0 * 1024.0;
  const int chunk_sets = choose_chunk_sets(
      {.num_blocks = num_blocks,
       .num_sets = num_sets,
       .items_per_set = arguments.items_per_set,
       .heaviest_tiles = tiles(shape.num_memory) + tiles(shape.num_queries),
       .lightest_tiles = tiles(shape.num_memory) + 1,
       .set_megabytes = (static_cast<double>(shape.num_queries) + shape.num_memory) *
                        shape.head_dim * 4 / kMegabyte});
  arguments.last_chunk = (num_sets - 1) / chunk_sets;
  arguments.chunk_items = FastDivisor(chunk_sets * arguments.items_per_set);
  arguments.chunk_sets = FastDivisor(chunk_sets);
  arguments.last_chunk_sets = FastDivisor(num_sets - arguments.last_chunk * chunk_sets);

  const auto kernel = forward_kernel<Traits>;
  cudaError_t error = cudaFuncSetAttribute(
      kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Traits::kSharedBytes);
  if (error != cudaSuccess) {
    return {error, "memory_attention_forward: the device refuses the kernel's shared memory"};
  }
  kernel<<<
      static_cast<unsigned>(num_blocks),
      Traits::kThreads,
      Traits::kSharedBytes,
      params.stream>>>(arguments);
  error = cudaGetLastError();
  return {error, error == cudaSuccess ? nullptr : "memory_attention_forward: launch failed"};
}

/// Launches `ManyItems`, or `FewItems` where its smaller blocks all run at the same time.
template <class ManyItems, class FewItems>
KernelStatus launch_one_of(const MemoryAttentionForwardParams& params) {
  int num_multiprocessors = 0;
  if (const KernelStatus status = count_multiprocessors(num_multiprocessors); !status.ok()) {
    return status;
  }
  const MemoryAttentionShape& shape = params.shape;
  const int64_t query_tiles = (shape.num_queries + FewItems::kQueryTile - 1) / FewItems::kQueryTile;
  const int64_t units = query_tiles * (shape.num_heads / shape.num_kv_heads);
  const int64_t sets = int64_t{shape.num_cells} * shape.batch * shape.num_kv_heads;
  const int64_t items = sets * ((units + FewItems::kWarpgroups - 1) / FewItems::kWarpgroups);
  return items <= num_multiprocessors ? launch_forward<FewItems>(params, num_multiprocessors)
                                      : launch_forward<ManyItems>(params, num_multiprocessors);
}

} // namespace fcc::kernels
