#include "attention_gradients.cuh"

#include <random>
#include <stdexcept>

namespace fcc::kernels::testing {
namespace {

constexpr int kThreads = 128;

__device__ const __nv_bfloat16*
row_of(const AttentionInput& t, int cell, int batch, int row, int head) {
  return static_cast<const __nv_bfloat16*>(t.data) + cell * t.strides.cell +
         batch * t.strides.batch + row * t.strides.row + head * t.strides.head;
}

template <class T>
__device__ T dot(const __nv_bfloat16* a, const __nv_bfloat16* b, int size) {
  T sum = 0;
  for (int e = 0; e < size; ++e) {
    sum += static_cast<T>(__bfloat162float(a[e])) * static_cast<T>(__bfloat162float(b[e]));
  }
  return sum;
}

template <bool kLow, class T>
__device__ T rounded(T value) {
  return kLow ? static_cast<T>(__bfloat162float(__float2bfloat16(static_cast<float>(value))))
              : value;
}

// One block a query row: dq and delta. Exactly, delta is sum_j P_j dP_j.
template <class T, bool kLow>
__global__ void
query_gradients(MemoryAttentionBackwardParams p, const double* lse, double* delta, double* dq) {
  extern __shared__ double shared[];
  __shared__ T partial[kThreads];
  const MemoryAttentionShape& s = p.shape;
  const int row = static_cast<int>(blockIdx.x) % s.num_queries;
  int rest = static_cast<int>(blockIdx.x) / s.num_queries;
  const int head = rest % s.num_heads;
  rest /= s.num_heads;
  const int batch = rest % s.batch;
  const int cell = rest / s.batch;
  const int kv_head = head / (s.num_heads / s.num_kv_heads);
  const int num_memory = p.has_memory == nullptr || p.has_memory[rest] != 0 ? s.num_memory : 0;
  const int num_keys = num_memory + row + 1;
  T* probabilities = reinterpret_cast<T*>(shared);
  T* grads = probabilities + s.num_memory + s.num_queries;
  const int64_t at = (int64_t{rest} * s.num_heads + head) * s.num_queries + row;
  const __nv_bfloat16* q = row_of(p.q, cell, batch, row, head);
  const __nv_bfloat16* g = row_of(p.grad_out, cell, batch, row, head);
  const auto key = [&](int j) {
    return j < num_memory ? row_of(p.k_mem, cell, batch, j, kv_head)
                          : row_of(p.k_cur, cell, batch, j - num_memory, kv_head);
  };

  T sum = 0;
  for (int j = static_cast<int>(threadIdx.x); j < num_keys; j += kThreads) {
    const __nv_bfloat16* v = j < num_memory ? row_of(p.v_mem, cell, batch, j, kv_head)
                                            : row_of(p.v_cur, cell, batch, j - num_memory, kv_head);
    probabilities[j] =
        exp(dot<T>(q, key(j), s.head_dim) * static_cast<T>(p.scale) - static_cast<T>(lse[at]));
    grads[j] = dot<T>(g, v, s.head_dim);
    sum += probabilities[j] * grads[j];
  }
  partial[threadIdx.x] = sum;
  __syncthreads();
  sum = 0;
  for (int i = 0; i < kThreads; ++i) {
    sum += partial[i];
  }
  if (kLow) {
    sum = dot<T>(g, row_of(p.out, cell, batch, row, head), s.head_dim);
  }
  if (threadIdx.x == 0) {
    delta[at] = static_cast<double>(sum);
  }
  for (int e = static_cast<int>(threadIdx.x); e < s.head_dim; e += kThreads) {
    T value = 0;
    for (int j = 0; j < num_keys; ++j) {
      value += rounded<kLow>(probabilities[j] * (grads[j] - sum)) *
               static_cast<T>(__bfloat162float(key(j)[e]));
    }
    value = rounded<kLow>(value * static_cast<T>(p.scale));
    dq[((int64_t{rest} * s.num_queries + row) * s.num_heads + head) * s.head_dim + e] =
        static_cast<double>(value);
  }
}

// One block a key row, of the memory or current: dk and dv, summed over the heads of the group.
template <class T, bool kLow>
__global__ void key_gradients(
    MemoryAttentionBackwardParams p,
    bool in_memory,
    const double* lse,
    const double* delta,
    double* dk,
    double* dv) {
  extern __shared__ double shared[];
  const MemoryAttentionShape& s = p.shape;
  const int num_rows = in_memory ? s.num_memory : s.num_queries;
  const int row = static_cast<int>(blockIdx.x) % num_rows;
  int rest = static_cast<int>(blockIdx.x) / num_rows;
  const int kv_head = rest % s.num_kv_heads;
  rest /= s.num_kv_heads;
  const int batch = rest % s.batch;
  const int cell = rest / s.batch;
  const int group = s.num_heads / s.num_kv_heads;
  const bool seen = !in_memory || p.has_memory == nullptr || p.has_memory[rest] != 0;
  const int first = in_memory ? 0 : row;
  T* probabilities = reinterpret_cast<T*>(shared);
  T* grads = probabilities + s.num_queries;
  const __nv_bfloat16* k = row_of(in_memory ? p.k_mem : p.k_cur, cell, batch, row, kv_head);
  const __nv_bfloat16* v = row_of(in_memory ? p.v_mem : p.v_cur, cell, batch, row, kv_head);

  T sum_k = 0;
  T sum_v = 0;
  const int e = static_cast<int>(threadIdx.x); // E <= kThreads
  for (int head = kv_head * group; seen && head < (kv_head + 1) * group; ++head) {
    const int64_t at = (int64_t{rest} * s.num_heads + head) * s.num_queries;
    for (int i = first + e; i < s.num_queries; i += kThreads) {
      const T probability =
          exp(dot<T>(row_of(p.q, cell, batch, i, head), k, s.head_dim) * static_cast<T>(p.scale) -
              static_cast<T>(lse[at + i]));
      const T grad = dot<T>(row_of(p.grad_out, cell, batch, i, head), v, s.head_dim);
      probabilities[i] = rounded<kLow>(probability);
      grads[i] = rounded<kLow>(probability * (grad - static_cast<T>(delta[at + i])));
    }
    __syncthreads();
    for (int i = first; e < s.head_dim && i < s.num_queries; ++i) {
      sum_k += grads[i] * static_cast<T>(__bfloat162float(row_of(p.q, cell, batch, i, head)[e]));
      sum_v += probabilities[i] *
               static_cast<T>(__bfloat162float(row_of(p.grad_out, cell, batch, i, head)[e]));
    }
    __syncthreads();
  }
  if (e < s.head_dim) {
    const int64_t at =
        ((int64_t{rest} * num_rows + row) * s.num_kv_heads + kv_head) * s.head_dim + e;
    dk[at] = static_cast<double>(rounded<kLow>(sum_k * static_cast<T>(p.scale)));
    dv[at] = static_cast<double>(rounded<kLow>(sum_v));
  }
}

// Packed float64 [C, B, rows, width] to bf16 with padded rows.
__global__ void round_rows(
    const double* packed,
    __nv_bfloat16* rows,
    int64_t count,
    int64_t width,
    int64_t row_stride) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    rows[i / width * row_stride + i % width] = __double2bfloat16(packed[i]);
  }
}

__global__ void round_floats(const double* from, float* to, int64_t count) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    to[i] = static_cast<float>(from[i]);
  }
}

template <class Kernel, class... Arguments>
void launch(Kernel kernel, int64_t blocks, size_t shared_bytes, Arguments... arguments) {
  if (blocks == 0) {
    return;
  }
  check_cuda(
      cudaFuncSetAttribute(
          kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes)),
      "shared memory");
  kernel<<<static_cast<unsigned>(blocks), kThreads, shared_bytes>>>(arguments...);
  check_cuda(cudaGetLastError(), "reference");
}

size_t elements(const MemoryAttentionShape& s, int rows, int64_t width) {
  return static_cast<size_t>(s.num_cells) * static_cast<size_t>(s.batch) *
         static_cast<size_t>(rows) * static_cast<size_t>(width);
}

// Throws where the columns from `used` on of rows of `stride` are not all as poisoned.
void check_padding(const DeviceArray<__nv_bfloat16>& array, int64_t used, int64_t stride) {
  constexpr uint16_t kPoison = 0xFFFF;
  const std::vector<__nv_bfloat16> host = array.to_host();
  for (size_t i = 0; i < host.size(); ++i) {
    const auto column = static_cast<int64_t>(i) % stride;
    if (column >= used && __bfloat16_as_ushort(host[i]) != kPoison) {
      throw std::runtime_error("the kernel wrote between the rows of its outputs");
    }
  }
}

} // namespace

GradientData::GradientData(const AttentionCase& c) : data(c) {
  const MemoryAttentionShape& s = c.shape;
  const int64_t width = int64_t{s.num_heads} * s.head_dim;
  const size_t count = elements(s, s.num_queries, width);
  const size_t rows = elements(s, s.num_queries, s.num_heads);

  std::mt19937_64 random(c.seed + 77);
  std::normal_distribution<float> normal;
  std::vector<__nv_bfloat16> host(elements(s, s.num_queries, data.out_row));
  for (__nv_bfloat16& value : host) {
    value = __float2bfloat16(normal(random));
  }
  grad_out = DeviceArray<__nv_bfloat16>(host.size());
  check_cuda(
      cudaMemcpy(
          grad_out.data(),
          host.data(),
          host.size() * sizeof(__nv_bfloat16),
          cudaMemcpyHostToDevice),
      "copy");

  const DeviceArray<double> exact_out(count);
  exact_lse = DeviceArray<double>(rows);
  reference_forward(
      data.forward_params(), ReferenceMath::kDouble, exact_out.data(), exact_lse.data());
  constexpr int kBlocks = 512;
  round_rows<<<kBlocks, kThreads>>>(
      exact_out.data(), data.out.data(), static_cast<int64_t>(count), width, data.out_row);
  round_floats<<<kBlocks, kThreads>>>(
      exact_lse.data(), data.lse.data(), static_cast<int64_t>(rows));
  check_cuda(cudaDeviceSynchronize(), "GradientData");

  current = DeviceArray<__nv_bfloat16>(elements(s, s.num_queries, data.current_row));
  memory = DeviceArray<__nv_bfloat16>(elements(s, s.num_memory, data.memory_row));
  workspace = DeviceArray<uint8_t>(memory_attention_backward_workspace_bytes(s));
  poison();
}

void GradientData::poison() {
  current.poison();
  workspace.poison();
  if (memory.size() > 0) {
    memory.poison();
  }
}

MemoryAttentionBackwardParams GradientData::params() const {
  const MemoryAttentionForwardParams forward = data.forward_params();
  const MemoryAttentionShape& s = forward.shape;
  const int64_t query_width = int64_t{s.num_heads} * s.head_dim;
  const int64_t key_width = int64_t{s.num_kv_heads} * s.head_dim;
  const auto in_current = [&](int64_t column) {
    const __nv_bfloat16* base =
        current.data() + (static_cast<const __nv_bfloat16*>(forward.q.data) - data.current.data()) +
        column;
    return AttentionOutput{const_cast<__nv_bfloat16*>(base), forward.q.strides};
  };
  const auto in_memory = [&](int64_t column) {
    const __nv_bfloat16* base =
        memory.data() +
        (static_cast<const __nv_bfloat16*>(forward.k_mem.data) - data.memory.data()) + column;
    return AttentionOutput{const_cast<__nv_bfloat16*>(base), forward.k_mem.strides};
  };
  return {
      .shape = s,
      .q = forward.q,
      .k_mem = forward.k_mem,
      .v_mem = forward.v_mem,
      .k_cur = forward.k_cur,
      .v_cur = forward.v_cur,
      .out = {forward.out.data, forward.out.strides},
      .grad_out = {grad_out.data(), forward.out.strides},
      .lse = forward.lse,
      .lse_strides = forward.lse_strides,
      .dq = in_current(0),
      .dk_mem = in_memory(0),
      .dv_mem = in_memory(key_width),
      .dk_cur = in_current(query_width),
      .dv_cur = in_current(query_width + key_width),
      .has_memory = forward.has_memory,
      .workspace = workspace.data(),
      .scale = forward.scale,
      .stream = nullptr};
}

Gradients GradientData::written() const {
  const MemoryAttentionBackwardParams p = params();
  const MemoryAttentionShape& s = p.shape;
  constexpr int64_t kPadding = 24;
  check_padding(current, data.current_row - kPadding, data.current_row);
  check_padding(memory, data.memory_row - kPadding, data.memory_row);
  const auto read = [&](const AttentionOutput& t, int rows, int heads) {
    return rows == 0 ? std::vector<double>{} : packed_to_host(t.data, t.strides, s, rows, heads);
  };
  return {
      .dq = read(p.dq, s.num_queries, s.num_heads),
      .dk_mem = read(p.dk_mem, s.num_memory, s.num_kv_heads),
      .dv_mem = read(p.dv_mem, s.num_memory, s.num_kv_heads),
      .dk_cur = read(p.dk_cur, s.num_queries, s.num_kv_heads),
      .dv_cur = read(p.dv_cur, s.num_queries, s.num_kv_heads)};
}

Gradients GradientData::reference(ReferenceMath math) const {
  const MemoryAttentionBackwardParams p = params();
  const MemoryAttentionShape& s = p.shape;
  const bool exact = math == ReferenceMath::kDouble;
  const auto problems = int64_t{s.num_cells} * s.batch;
  const int64_t key_width = int64_t{s.num_kv_heads} * s.head_dim;
  const DeviceArray<double> delta(elements(s, s.num_queries, s.num_heads));
  const DeviceArray<double> dq(elements(s, s.num_queries, int64_t{s.num_heads} * s.head_dim));
  const DeviceArray<double> dk_mem(elements(s, s.num_memory, key_width));
  const DeviceArray<double> dv_mem(elements(s, s.num_memory, key_width));
  const DeviceArray<double> dk_cur(elements(s, s.num_queries, key_width));
  const DeviceArray<double> dv_cur(elements(s, s.num_queries, key_width));
  const auto keys = static_cast<size_t>(s.num_memory) + static_cast<size_t>(s.num_queries);
  launch(
      exact ? query_gradients<double, false> : query_gradients<float, true>,
      problems * s.num_heads * s.num_queries,
      2 * keys * sizeof(double),
      p,
      exact_lse.data(),
      delta.data(),
      dq.data());
  const auto key_kernel = exact ? key_gradients<double, false> : key_gradients<float, true>;
  const size_t shared_bytes = 2 * static_cast<size_t>(s.num_queries) * sizeof(double);
  launch(
      key_kernel,
      problems * s.num_kv_heads * s.num_memory,
      shared_bytes,
      p,
      true,
      exact_lse.data(),
      delta.data(),
      dk_mem.data(),
      dv_mem.data());
  launch(
      key_kernel,
      problems * s.num_kv_heads * s.num_queries,
      shared_bytes,
      p,
      false,
      exact_lse.data(),
      delta.data(),
      dk_cur.data(),
      dv_cur.data());
  check_cuda(cudaDeviceSynchronize(), "reference");
  return {
      .dq = dq.to_host(),
      .dk_mem = dk_mem.to_host(),
      .dv_mem = dv_mem.to_host(),
      .dk_cur = dk_cur.to_host(),
      .dv_cur = dv_cur.to_host()};
}

std::vector<uint16_t> GradientData::bits() const {
  std::vector<uint16_t> result;
  for (const auto* array : {&current, &memory}) {
    for (const __nv_bfloat16 value : array->to_host()) {
      result.push_back(__bfloat16_as_ushort(value));
    }
  }
  return result;
}

} // namespace fcc::kernels::testing
