#include "attention_case.cuh"

#include <algorithm>
#include <cmath>
#include <ostream>

namespace fcc::kernels::testing {
namespace {

constexpr int kThreads = 128;

__device__ uint64_t mix(uint64_t x) { // splitmix64's finaliser
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31U);
}

__global__ void fill_normal(
    __nv_bfloat16* data,
    size_t size,
    int64_t row_stride,
    int64_t scaled_width,
    float scale,
    uint64_t seed) {
  for (size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x; i < size;
       i += size_t{gridDim.x} * blockDim.x) {
    const uint64_t bits = mix(seed * 0x5851F42D4C957F2DULL + i);
    const float u = (static_cast<float>(bits >> 40U) + 0.5F) * 0x1.0p-24F;
    const float v = static_cast<float>(bits & 0xFFFFFFU) * 0x1.0p-24F;
    const float normal = sqrtf(-2.0F * logf(u)) * cospif(2.0F * v);
    const bool scaled = static_cast<int64_t>(i) % row_stride < scaled_width;
    data[i] = __float2bfloat16(scaled ? scale * normal : normal);
  }
}

__device__ const __nv_bfloat16*
row_of(const AttentionInput& t, int cell, int batch, int row, int head) {
  return static_cast<const __nv_bfloat16*>(t.data) + cell * t.strides.cell +
         batch * t.strides.batch + row * t.strides.row + head * t.strides.head;
}

template <class T>
__device__ T block_reduce(T value, bool take_max, T* scratch) {
  scratch[threadIdx.x] = value;
  __syncthreads();
  for (int step = kThreads / 2; step > 0; step /= 2) {
    if (static_cast<int>(threadIdx.x) < step) {
      const T other = scratch[threadIdx.x + step];
      T& mine = scratch[threadIdx.x];
      mine = take_max ? max(mine, other) : mine + other;
    }
    __syncthreads();
  }
  const T result = scratch[0];
  __syncthreads();
  return result;
}

// One block computes one row of one head; T is the type it computes in.
template <class T, bool kRoundProbabilities>
__global__ void reference_row(MemoryAttentionForwardParams p, double* out, double* lse) {
  extern __shared__ double shared_scores[];
  __shared__ T scratch[kThreads];
  T* scores = reinterpret_cast<T*>(shared_scores);

  const MemoryAttentionShape& s = p.shape;
  const int row = static_cast<int>(blockIdx.x) % s.num_queries;
  int rest = static_cast<int>(blockIdx.x) / s.num_queries;
  const int head = rest % s.num_heads;
  rest /= s.num_heads;
  const int batch = rest % s.batch;
  const int cell = rest / s.batch;
  const int kv_head = head / (s.num_heads / s.num_kv_heads);
  const bool has_memory = p.has_memory == nullptr || p.has_memory[cell * s.batch + batch] != 0;
  const int num_memory = has_memory ? s.num_memory : 0;
  const int num_keys = num_memory + row + 1;
  const __nv_bfloat16* q = row_of(p.q, cell, batch, row, head);

  T largest = -INFINITY;
  for (int j = static_cast<int>(threadIdx.x); j < num_keys; j += kThreads) {
    const __nv_bfloat16* k = j < num_memory ? row_of(p.k_mem, cell, batch, j, kv_head)
                                            : row_of(p.k_cur, cell, batch, j - num_memory, kv_head);
    T sum = 0;
    for (int e = 0; e < s.head_dim; ++e) {
      sum += static_cast<T>(__bfloat162float(q[e])) * static_cast<T>(__bfloat162float(k[e]));
    }
    scores[j] = sum * static_cast<T>(p.scale);
    largest = max(largest, scores[j]);
  }
  largest = block_reduce<T>(largest, true, scratch);
  T sum = 0;
  for (int j = static_cast<int>(threadIdx.x); j < num_keys; j += kThreads) {
    const T probability = exp(scores[j] - largest);
    sum += probability;
    scores[j] =
        kRoundProbabilities
            ? static_cast<T>(__bfloat162float(__float2bfloat16(static_cast<float>(probability))))
            : probability;
  }
  sum = block_reduce<T>(sum, false, scratch); // also orders the scores before the loop below
  for (int e = static_cast<int>(threadIdx.x); e < s.head_dim; e += kThreads) {
    T value = 0;
    for (int j = 0; j < num_keys; ++j) {
      const __nv_bfloat16* v = j < num_memory
                                   ? row_of(p.v_mem, cell, batch, j, kv_head)
                                   : row_of(p.v_cur, cell, batch, j - num_memory, kv_head);
      value += scores[j] * static_cast<T>(__bfloat162float(v[e]));
    }
    value /= sum;
    const int64_t index =
        (((int64_t{cell} * s.batch + batch) * s.num_queries + row) * s.num_heads + head) *
            s.head_dim +
        e;
    out[index] =
        kRoundProbabilities
            ? static_cast<double>(__bfloat162float(__float2bfloat16(static_cast<float>(value))))
            : static_cast<double>(value);
  }
  if (threadIdx.x == 0) {
    lse[((int64_t{cell} * s.batch + batch) * s.num_heads + head) * s.num_queries + row] =
        static_cast<double>(largest + log(sum));
  }
}

const char* pattern_name(MemoryPattern pattern) {
  switch (pattern) {
    case MemoryPattern::kAll:
      return "all";
    case MemoryPattern::kNone:
      return "none";
    case MemoryPattern::kMixed:
      return "mixed";
  }
  return "?";
}

AttentionStrides
strides_of(const MemoryAttentionShape& shape, int num_rows, int64_t row, bool backwards) {
  const int64_t batch = num_rows * row;
  const int64_t cell = shape.batch * batch;
  return {.cell = backwards ? -cell : cell, .batch = batch, .row = row, .head = shape.head_dim};
}

} // namespace

std::ostream& operator<<(std::ostream& stream, const AttentionCase& c) {
  const MemoryAttentionShape& s = c.shape;
  return stream << "C" << s.num_cells << " B" << s.batch << " Lq" << s.num_queries << " Lm"
                << s.num_memory << " H" << s.num_heads << " G" << s.num_kv_heads << " E"
                << s.head_dim << ", memory " << pattern_name(c.pattern) << ", inputs x"
                << c.input_scale << (c.backwards_cells ? ", backwards" : "");
}

AttentionData::AttentionData(const AttentionCase& c) : problem(c) {
  constexpr int64_t kPadding = 24;
  const MemoryAttentionShape& s = c.shape;
  const int64_t query_width = int64_t{s.num_heads} * s.head_dim;
  const int64_t key_width = int64_t{s.num_kv_heads} * s.head_dim;
  current_row = query_width + 2 * key_width + kPadding;
  memory_row = 2 * key_width + kPadding;
  out_row = query_width + kPadding;
  const auto problems = static_cast<size_t>(s.num_cells) * static_cast<size_t>(s.batch);
  const auto elements = [problems](int rows, int64_t row) {
    return problems * static_cast<size_t>(rows) * static_cast<size_t>(row);
  };
  current = DeviceArray<__nv_bfloat16>(elements(s.num_queries, current_row));
  memory = DeviceArray<__nv_bfloat16>(elements(s.num_memory, memory_row));
  out = DeviceArray<__nv_bfloat16>(elements(s.num_queries, out_row));
  lse = DeviceArray<float>(elements(s.num_queries, s.num_heads));
  constexpr unsigned kBlocks = 1024;
  fill_normal<<<kBlocks, kThreads>>>(
      current.data(), current.size(), current_row, query_width + key_width, c.input_scale, c.seed);
  fill_normal<<<kBlocks, kThreads>>>(
      memory.data(), memory.size(), memory_row, key_width, c.input_scale, c.seed + 1);
  check_cuda(cudaGetLastError(), "fill_normal");
  out.poison();
  lse.poison();
  if (c.pattern != MemoryPattern::kAll) {
    std::vector<uint8_t> flags(problems, 0);
    if (c.pattern == MemoryPattern::kMixed) {
      for (size_t i = 0; i < problems; ++i) {
        flags[i] = static_cast<uint8_t>((i * 5 + c.seed) % 3 != 0);
      }
    }
    has_memory = DeviceArray<uint8_t>(problems);
    check_cuda(
        cudaMemcpy(has_memory.data(), flags.data(), problems, cudaMemcpyHostToDevice), "copy");
  }
  check_cuda(cudaDeviceSynchronize(), "AttentionData");
}

MemoryAttentionForwardParams AttentionData::forward_params() const {
  return forward_params_into(out.data(), lse.data());
}

MemoryAttentionForwardParams AttentionData::forward_params_into(
    __nv_bfloat16* out_data,
    float* lse_data) const {
  const MemoryAttentionShape& s = problem.shape;
  const bool backwards = problem.backwards_cells;
  const AttentionStrides cur = strides_of(s, s.num_queries, current_row, backwards);
  const AttentionStrides mem = strides_of(s, s.num_memory, memory_row, backwards);
  // The output walks forwards where the inputs walk backwards, so that a mix-up shows.
  const AttentionStrides result = strides_of(s, s.num_queries, out_row, false);
  const int64_t last_cell = backwards ? s.num_cells - 1 : 0;
  const __nv_bfloat16* cur_base = current.data() - last_cell * cur.cell;
  const __nv_bfloat16* mem_base = memory.data() - last_cell * mem.cell;
  const int64_t query_width = int64_t{s.num_heads} * s.head_dim;
  const int64_t key_width = int64_t{s.num_kv_heads} * s.head_dim;
  const int64_t lse_head = s.num_queries;
  return {
      .shape = s,
      .q = {cur_base, cur},
      .k_mem = {mem_base, mem},
      .v_mem = {mem_base + key_width, mem},
      .k_cur = {cur_base + query_width, cur},
      .v_cur = {cur_base + query_width + key_width, cur},
      .out = {out_data, result},
      .lse = lse_data,
      .lse_strides =
          {.cell = lse_head * s.num_heads * s.batch,
           .batch = lse_head * s.num_heads,
           .row = 1,
           .head = lse_head},
      .has_memory = has_memory.data(),
      .scale = 1.0F / std::sqrt(static_cast<float>(s.head_dim)),
      .stream = nullptr};
}

void reference_forward(
    const MemoryAttentionForwardParams& params,
    ReferenceMath math,
    double* out,
    double* lse) {
  const MemoryAttentionShape& s = params.shape;
  const auto blocks = static_cast<unsigned>(s.num_cells * s.batch * s.num_heads * s.num_queries);
  const size_t keys = static_cast<size_t>(s.num_memory) + static_cast<size_t>(s.num_queries);
  const auto kernel =
      math == ReferenceMath::kDouble ? reference_row<double, false> : reference_row<float, true>;
  // Scores are read in pairs, also the only one of a single key.
  const size_t bytes = (keys + keys % 2) * sizeof(double);
  check_cuda(
      cudaFuncSetAttribute(
          kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
      "reference_forward");
  kernel<<<blocks, kThreads, bytes>>>(params, out, lse);
  check_cuda(cudaGetLastError(), "reference_forward");
}

Difference difference(const std::vector<double>& value, const std::vector<double>& reference) {
  double error = 0.0;
  double norm = 0.0;
  Difference result;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double d = std::abs(value[i] - reference[i]);
    error += d * d;
    norm += reference[i] * reference[i];
    // Written so that a NaN wins and stays.
    result.largest = d <= result.largest ? result.largest : d;
  }
  result.relative = std::sqrt(error / std::max(norm, 1e-300));
  return result;
}

std::vector<double> packed_to_host(
    const void* data,
    const AttentionStrides& strides,
    const MemoryAttentionShape& shape,
    int num_rows,
    int num_heads) {
  const size_t row_elements = static_cast<size_t>(num_heads) * static_cast<size_t>(shape.head_dim);
  std::vector<double> packed;
  packed.reserve(
      row_elements * static_cast<size_t>(num_rows) *
      static_cast<size_t>(shape.num_cells * shape.batch));
  const size_t pitch = static_cast<size_t>(strides.row) * sizeof(__nv_bfloat16);
  std::vector<__nv_bfloat16> rows(static_cast<size_t>(num_rows) * row_elements);
  for (int cell = 0; cell < shape.num_cells; ++cell) {
    for (int batch = 0; batch < shape.batch; ++batch) {
      const auto* base =
          static_cast<const __nv_bfloat16*>(data) + cell * strides.cell + batch * strides.batch;
      check_cuda(
          cudaMemcpy2D(
              rows.data(),
              row_elements * sizeof(__nv_bfloat16),
              base,
              pitch,
              row_elements * sizeof(__nv_bfloat16),
              static_cast<size_t>(num_rows),
              cudaMemcpyDeviceToHost),
          "packed_to_host");
      for (const __nv_bfloat16 value : rows) {
        packed.push_back(static_cast<double>(__bfloat162float(value)));
      }
    }
  }
  return packed;
}

} // namespace fcc::kernels::testing
