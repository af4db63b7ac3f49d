#include "memory_attention/backward_params.h"

// The host side of the backward: checks, tensor maps, three launches.

namespace fcc::kernels {
namespace backward {
namespace {

constexpr float kLog2E = 1.4426950408889634F;
constexpr int kStrideUnit = 8;  // elements in 16 bytes

KernelStatus invalid(const char* message) {
  return {cudaErrorInvalidValue, message};
}

bool aligned(const void* data) {
  return data != nullptr && reinterpret_cast<uintptr_t>(data) % 16 == 0;
}

// Strides over dimensions of one element are never used.
bool steps_aligned(const AttentionStrides& s, const MemoryAttentionShape& shape, int rows, int heads) {
  return (shape.num_cells == 1 || s.cell % kStrideUnit == 0) &&
      (shape.batch == 1 || s.batch % kStrideUnit == 0) &&
      (rows == 1 || s.row % kStrideUnit == 0) && (heads == 1 || s.head % kStrideUnit == 0);
}

KernelStatus check_shape(const MemoryAttentionShape& shape) {
  if (shape.num_cells < 1 || shape.batch < 1 || shape.num_queries < 1 || shape.num_memory < 0) {
    return invalid("num_cells, batch and num_queries must be positive, num_memory not negative");
  }
  if (shape.num_kv_heads < 1 || shape.num_heads < 1 || shape.num_heads % shape.num_kv_heads != 0) {
    return invalid("num_heads must be a positive multiple of num_kv_heads");
  }
  if (shape.head_dim != 64 && shape.head_dim != 128) {
    return invalid("head_dim must be 64 or 128");
  }
  constexpr int64_t kMaxGridRows = 65535;
  if (static_cast<int64_t>(shape.num_cells) * shape.batch > kMaxGridRows) {
    return invalid("num_cells * batch must not exceed 65535");
  }
  return {};
}

}  // namespace

KernelStatus make_kernel_params(const MemoryAttentionBackwardParams& params, KernelParams& kernel) {
  const MemoryAttentionShape& shape = params.shape;
  if (const KernelStatus status = check_shape(shape); !status.ok()) {
    return status;
  }
  if (!(params.scale > 0.0F)) {
    return invalid("scale must be positive");
  }
  if (params.lse == nullptr || params.workspace == nullptr) {
    return invalid("lse and workspace must not be null");
  }

  struct Tensor {
    const void* data;
    const AttentionStrides* strides;
    int rows;
    int heads;
    TileMap* map;  // null: reached by ordinary loads and stores
  };
  const int queries = shape.num_queries;
  const int memory = shape.num_memory;
  const int heads = shape.num_heads;
  const int kv_heads = shape.num_kv_heads;
  const Tensor tensors[] = {
      {params.q.data, &params.q.strides, queries, heads, &kernel.q},
      {params.grad_out.data, &params.grad_out.strides, queries, heads, &kernel.grad_out},
      {params.k_cur.data, &params.k_cur.strides, queries, kv_heads, &kernel.k_cur},
      {params.v_cur.data, &params.v_cur.strides, queries, kv_heads, &kernel.v_cur},
      {params.k_mem.data, &params.k_mem.strides, memory, kv_heads, &kernel.k_mem},
      {params.v_mem.data, &params.v_mem.strides, memory, kv_heads, &kernel.v_mem},
      {params.out.data, &params.out.strides, queries, heads, nullptr},
      {params.dq.data, &params.dq.strides, queries, heads, nullptr},
      {params.dk_cur.data, &params.dk_cur.strides, queries, kv_heads, nullptr},
      {params.dv_cur.data, &params.dv_cur.strides, queries, kv_heads, nullptr},
      {params.dk_mem.data, &params.dk_mem.strides, memory, kv_heads, nullptr},
      {params.dv_mem.data, &params.dv_mem.strides, memory, kv_heads, nullptr},
  };
  for (const Tensor& tensor : tensors) {
    if (tensor.rows == 0) {
      continue;
    }
    if (!aligned(tensor.data)) {
      return invalid("tensors must be given and 16-byte aligned");
    }
    if (!steps_aligned(*tensor.strides, shape, tensor.rows, tensor.heads)) {
      return invalid("strides of bf16 tensors must be multiples of 8 elements");
    }
    if (tensor.map == nullptr) {
      continue;
    }
    const TileTensor tile{.data = tensor.data,
                          .head_dim = shape.head_dim,
                          .num_rows = tensor.rows,
                          .num_heads = tensor.heads,
                          .batch = shape.batch,
                          .num_cells = shape.num_cells,
                          .row_stride = tensor.strides->row,
                          .head_stride = tensor.strides->head,
                          .batch_stride = tensor.strides->batch,
                          .cell_stride = tensor.strides->cell};
    if (const cudaError_t error = make_tile_map(tile, kBlockRows, *tensor.map);
        error != cudaSuccess) {
      return {error, "the driver refuses a tensor map: see the rules for strides and alignment"};
    }
  }

  kernel.dq = params.dq;
  kernel.dk_mem = params.dk_mem;
  kernel.dv_mem = params.dv_mem;
  kernel.dk_cur = params.dk_cur;
  kernel.dv_cur = params.dv_cur;
  kernel.shape = shape;
  kernel.has_memory = params.has_memory;
  kernel.statistics_rows = statistics_rows(queries);
  kernel.lse_log2 = static_cast<const float*>(params.workspace);
  kernel.delta = kernel.lse_log2 + static_cast<int64_t>(shape.num_cells) * shape.batch *
          shape.num_heads * kernel.statistics_rows;
  kernel.scale = params.scale;
  kernel.scale_log2 = params.scale * kLog2E;
  return {};
}

}  // namespace backward

size_t memory_attention_backward_workspace_bytes(const MemoryAttentionShape& shape) {
  return 2 * sizeof(float) * static_cast<size_t>(shape.num_cells) *
      static_cast<size_t>(shape.batch) * static_cast<size_t>(shape.num_heads) *
      static_cast<size_t>(backward::statistics_rows(shape.num_queries));
}

KernelStatus memory_attention_backward(const MemoryAttentionBackwardParams& params) {
  backward::KernelParams kernel;
  if (const KernelStatus status = backward::make_kernel_params(params, kernel); !status.ok()) {
    return status;
  }
  int device = 0;
  int num_multiprocessors = 0;
  if (const cudaError_t error = cudaGetDevice(&device); error != cudaSuccess) {
    return {error, nullptr};
  }
  if (const cudaError_t error = cudaDeviceGetAttribute(
          &num_multiprocessors, cudaDevAttrMultiProcessorCount, device);
      error != cudaSuccess) {
    return {error, nullptr};
  }
  if (const cudaError_t error = backward::launch_statistics(params); error != cudaSuccess) {
    return {error, nullptr};
  }
  const auto launch = params.shape.head_dim == 64 ? backward::launch_gradients_e64
                                                  : backward::launch_gradients_e128;
  return {launch(kernel, num_multiprocessors, params.stream), nullptr};
}

}  // namespace fcc::kernels
