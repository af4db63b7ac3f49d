#pragma once

#include <cuda.h>
#include <cuda_bf16.h>

#include <cstdint>

/// Thin wrappers of the sm_90a instructions that the kernels use: one function, one instruction.
/// Names follow the PTX ISA, where each is specified; matrix products are in wgmma.cuh and tensor
/// maps are made on the host by tensor_map.h.
namespace fcc::kernels {

constexpr int kWarpSize = 32;
constexpr int kWarpgroupSize = 128;

/// The 32-bit shared-memory address that PTX instructions take.
__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// True in exactly one lane of a converged warp.
__device__ __forceinline__ bool elect_one() {
  uint32_t elected;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "elect.sync _|p, 0xffffffff;\n"
      "selp.b32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(elected));
  return elected != 0;
}

/// This thread's lane. Read where it is used (it is volatile on purpose), it costs an instruction
/// instead of a register that lives for the whole kernel.
__device__ __forceinline__ int lane_id() {
  int lane;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane;
}

/// The value of lane 0, known to the compiler to be the same in the whole warp.
__device__ __forceinline__ int warp_uniform(int value) {
  return __shfl_sync(0xFFFFFFFFU, value, 0);
}

// ---- mbarrier: counts arrivals and bytes of asynchronous copies; phases alternate 0, 1, 0, ...
// ---- Each function takes the barrier as a pointer or as a shared-memory address.

__device__ __forceinline__ void mbarrier_init(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, uint32_t arrivals) {
  mbarrier_init(shared_address(barrier), arrivals);
}

/// Makes initialised barriers visible to the copy engine; a __syncthreads must follow.
__device__ __forceinline__ void fence_mbarrier_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
  mbarrier_arrive(shared_address(barrier));
}

/// Arrives once and announces that `bytes` will be written by asynchronous copies in this phase.
__device__ __forceinline__ void mbarrier_arrive_expect_bytes(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void mbarrier_arrive_expect_bytes(uint64_t* barrier, uint32_t bytes) {
  mbarrier_arrive_expect_bytes(shared_address(barrier), bytes);
}

/// Returns whether the phase of this parity has completed, after a wait of bounded length.
__device__ __forceinline__ bool mbarrier_try_wait(uint32_t barrier, uint32_t parity) {
  uint32_t done;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.b32 %0, 1, 0, p;\n"
      "}\n"
      : "=r"(done)
      : "r"(barrier), "r"(parity)
      : "memory");
  return done != 0;
}
__device__ __forceinline__ bool mbarrier_try_wait(uint64_t* barrier, uint32_t parity) {
  return mbarrier_try_wait(shared_address(barrier), parity);
}

/// Waits until the phase of this parity has completed. A fresh barrier counts as having completed
/// a phase of parity 1, so a producer starts by waiting for parity 1 on its "empty" barriers.
__device__ __forceinline__ void mbarrier_wait(uint32_t barrier, uint32_t parity) {
  while (!mbarrier_try_wait(barrier, parity)) {
  }
}
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, uint32_t parity) {
  mbarrier_wait(shared_address(barrier), parity);
}

// ---- Bulk tensor copies (TMA). Coordinates count elements, innermost first; rows outside the
// ---- tensor are read as zeros and never written.

__device__ __forceinline__ void prefetch_tensor_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

/// Copies one box of a 5-dimensional tensor to shared memory; its bytes count on `barrier`.
__device__ __forceinline__ void tma_load(
    uint32_t destination,
    const CUtensorMap* map,
    uint32_t barrier,
    int c0,
    int c1,
    int c2,
    int c3,
    int c4) {
  asm volatile(
      "cp.async.bulk.tensor.5d.shared::cluster.global.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(destination),
      "l"(map),
      "r"(barrier),
      "r"(c0),
      "r"(c1),
      "r"(c2),
      "r"(c3),
      "r"(c4)
      : "memory");
}
__device__ __forceinline__ void tma_load(
    void* destination,
    const CUtensorMap* map,
    uint64_t* barrier,
    int c0,
    int c1,
    int c2,
    int c3,
    int c4) {
  tma_load(shared_address(destination), map, shared_address(barrier), c0, c1, c2, c3, c4);
}

/// Copies one box from shared memory to a 5-dimensional tensor, as part of the thread's open group.
__device__ __forceinline__ void
tma_store(const CUtensorMap* map, uint32_t source, int c0, int c1, int c2, int c3, int c4) {
  asm volatile(
      "cp.async.bulk.tensor.5d.global.shared::cta.bulk_group"
      " [%0, {%2, %3, %4, %5, %6}], [%1];" ::"l"(map),
      "r"(source),
      "r"(c0),
      "r"(c1),
      "r"(c2),
      "r"(c3),
      "r"(c4)
      : "memory");
}
__device__ __forceinline__ void
tma_store(const CUtensorMap* map, const void* source, int c0, int c1, int c2, int c3, int c4) {
  tma_store(map, shared_address(source), c0, c1, c2, c3, c4);
}

/// Copies `bytes` (a multiple of 16, both addresses 16-byte aligned) to shared memory.
__device__ __forceinline__ void
bulk_load(void* destination, const void* source, uint32_t bytes, uint64_t* barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(shared_address(destination)),
      "l"(source),
      "r"(bytes),
      "r"(shared_address(barrier))
      : "memory");
}

__device__ __forceinline__ void bulk_commit_group() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

/// Waits until at most `kPending` of this thread's store groups still read shared memory.
template <int kPending>
__device__ __forceinline__ void bulk_wait_group_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}

/// Waits until at most `kPending` of this thread's store groups are incomplete.
template <int kPending>
__device__ __forceinline__ void bulk_wait_group() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kPending) : "memory");
}

/// Orders this thread's ordinary shared-memory accesses before later ones of the copy engine and
/// the tensor cores; a barrier must follow where other threads' accesses matter.
__device__ __forceinline__ void fence_proxy_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// ---- Named barriers: ids 1..15 (0 is __syncthreads); `threads` is a multiple of 32.

__device__ __forceinline__ void named_barrier_sync(int id, int threads) {
  asm volatile("barrier.cta.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ void named_barrier_arrive(int id, int threads) {
  asm volatile("barrier.cta.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

// ---- Register budgets of warpgroups: all four warps execute it, counts are multiples of 8.

template <int kRegisters>
__device__ __forceinline__ void release_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

template <int kRegisters>
__device__ __forceinline__ void claim_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

// ---- 8x8 matrices of 16-bit elements between registers and shared memory.

__device__ __forceinline__ void
store_matrix_x4(uint32_t address, uint32_t r0, uint32_t r1, uint32_t r2, uint32_t r3) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(r0),
               "r"(r1),
               "r"(r2),
               "r"(r3)
               : "memory");
}

__device__ __forceinline__ void
store_matrix_x4_transposed(uint32_t address, uint32_t r0, uint32_t r1, uint32_t r2, uint32_t r3) {
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
      "r"(r0),
      "r"(r1),
      "r"(r2),
      "r"(r3)
      : "memory");
}

__device__ __forceinline__ void load_matrix_x4(uint32_t address, uint32_t (&r)[4]) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// ---- Small arithmetic.

/// 2^x on the special-function unit; 2^-inf = 0.
__device__ __forceinline__ float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Two floats as a pair of bf16, `low` in the low half, rounded to nearest even.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

/// Byte offset inside a tile of 128-byte rows in the 128-byte swizzle that TMA writes and wgmma
/// reads: 16-byte chunk `chunk` of row `row`. The tile starts at a multiple of 1024 bytes.
__device__ __forceinline__ uint32_t swizzle128_offset(uint32_t row, uint32_t chunk) {
  return row * 128U + ((chunk ^ (row & 7U)) << 4U);
}

} // namespace fcc::kernels
