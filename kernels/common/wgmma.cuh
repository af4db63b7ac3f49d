#pragma once

#include <cstdint>

/// Asynchronous matrix products of a warpgroup (128 threads): D[64, N] += A[64, 16] * B[16, N] in
/// bf16 with float32 accumulators (PTX ISA, "wgmma.mma_async").
///
/// Accumulator fragment: thread t of the warpgroup holds, for rows r = 16*(t/32) + (t%32)/4 and
/// r + 8 and columns c = 8*i + 2*(t%4) and c + 1, i = 0..N/8-1,
///     d[4*i + 0] = D[r][c], d[4*i + 1] = D[r][c+1], d[4*i + 2] = D[r+8][c], d[4*i + 3] = ...
/// Two neighbouring i of it, packed to bf16, are the A fragment of the next product over 16
/// columns.
namespace fcc::kernels {

/// Where the contraction index lies in an operand's shared-memory tile of 128-byte swizzled rows.
enum class Major : int {
  kK = 0,  // rows are M or N, 64 contraction elements wide
  kMN = 1, // rows are contraction steps, 64 elements of M or N wide
};

/// Descriptor of an operand tile made of boxes of 64 bf16 (128 bytes) by any number of rows, each
/// box in TMA's 128-byte swizzle and aligned to 1024 bytes.
///
/// Major::kK: rows are M or N. Add `k * 2` to the descriptor for contraction elements from 16 k
/// (inside one box; the next 64 lie in the next box). `box_bytes` has no meaning.
/// Major::kMN: rows are contraction steps; add `k * 128` for those from 16 k. Boxes of 64 further
/// elements of M or N follow each other at a distance of `box_bytes`.
///
/// Descriptors of tiles that lie `bytes` apart differ by `bytes / 16`: make one and add.
__device__ __forceinline__ uint64_t
matrix_descriptor(uint32_t shared_address, uint32_t box_bytes = 16) {
  constexpr uint64_t kSwizzle128 = 1ULL << 62U;
  constexpr uint64_t kEightRows = static_cast<uint64_t>(1024 >> 4) << 32U;
  return kSwizzle128 | kEightRows | (static_cast<uint64_t>(box_bytes >> 4U) << 16U) |
         static_cast<uint64_t>(shared_address >> 4U);
}

/// Orders earlier register accesses before the products that follow; needed before the first one.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/// Waits until at most `kPending` of the committed groups are unfinished.
///
/// The assembler moves a wait above arithmetic of the same basic block that does not depend on it,
/// which undoes an overlap; put a branch between the two where that matters (read the SASS).
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// Pins the values of accumulators at this point, so that the compiler neither moves their uses
/// across a wait nor copies them.
template <int kCount>
__device__ __forceinline__ void pin_registers(float (&d)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    asm volatile("" : "+f"(d[i])::"memory");
  }
}

/// The instruction for N columns; specialised below. `accumulate` false: D = A * B.
template <int kColumns>
struct Wgmma;

// clang-format off
#define FCC_REGISTERS_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define FCC_REGISTERS_16 FCC_REGISTERS_8 \
  ", %8, %9, %10, %11, %12, %13, %14, %15"
#define FCC_REGISTERS_32 FCC_REGISTERS_16 \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define FCC_REGISTERS_64 FCC_REGISTERS_32 \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define FCC_REGISTERS_128 FCC_REGISTERS_64 \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95" \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define FCC_ACCUMULATORS_8(i) \
  "+f"(d[(i) + 0]), "+f"(d[(i) + 1]), "+f"(d[(i) + 2]), "+f"(d[(i) + 3]), \
  "+f"(d[(i) + 4]), "+f"(d[(i) + 5]), "+f"(d[(i) + 6]), "+f"(d[(i) + 7])
#define FCC_ACCUMULATORS_16(i) FCC_ACCUMULATORS_8(i), FCC_ACCUMULATORS_8((i) + 8)
#define FCC_ACCUMULATORS_32(i) FCC_ACCUMULATORS_16(i), FCC_ACCUMULATORS_16((i) + 16)
#define FCC_ACCUMULATORS_64(i) FCC_ACCUMULATORS_32(i), FCC_ACCUMULATORS_32((i) + 32)
#define FCC_ACCUMULATORS_128(i) FCC_ACCUMULATORS_64(i), FCC_ACCUMULATORS_64((i) + 64)

// Operands after the accumulators: predicate "accumulate", descriptors or A registers, majors.
#define FCC_DEFINE_WGMMA(kN, kCount, O0, O1, O2, O3, O4, O5, O6)                                   \
  template <>                                                                                      \
  struct Wgmma<kN> {                                                                               \
    /* A and B in shared memory. */                                                                \
    template <Major kMajorA, Major kMajorB>                                                        \
    static __device__ __forceinline__ void shared_shared(                                          \
        float (&d)[kCount], uint64_t a, uint64_t b, bool accumulate) {                             \
      asm volatile(                                                                                \
          "{\n"                                                                                    \
          ".reg .pred p;\n"                                                                        \
          "setp.ne.b32 p, " O2 ", 0;\n"                                                            \
          "wgmma.mma_async.sync.aligned.m64n" #kN "k16.f32.bf16.bf16 {" FCC_REGISTERS_##kCount     \
          "}, " O0 ", " O1 ", p, 1, 1, " O3 ", " O4 ";\n"                                          \
          "}\n"                                                                                    \
          : FCC_ACCUMULATORS_##kCount(0)                                                           \
          : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)), "n"(static_cast<int>(kMajorA)),     \
            "n"(static_cast<int>(kMajorB)));                                                       \
    }                                                                                              \
    /* A in registers, B in shared memory. */                                                      \
    template <Major kMajorB>                                                                       \
    static __device__ __forceinline__ void register_shared(                                        \
        float (&d)[kCount], uint32_t a0, uint32_t a1, uint32_t a2, uint32_t a3, uint64_t b,        \
        bool accumulate) {                                                                         \
      asm volatile(                                                                                \
          "{\n"                                                                                    \
          ".reg .pred p;\n"                                                                        \
          "setp.ne.b32 p, " O5 ", 0;\n"                                                            \
          "wgmma.mma_async.sync.aligned.m64n" #kN "k16.f32.bf16.bf16 {" FCC_REGISTERS_##kCount     \
          "}, {" O0 ", " O1 ", " O2 ", " O3 "}, " O4 ", p, 1, 1, " O6 ";\n"                        \
          "}\n"                                                                                    \
          : FCC_ACCUMULATORS_##kCount(0)                                                           \
          : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "l"(b), "r"(static_cast<int>(accumulate)),         \
            "n"(static_cast<int>(kMajorB)));                                                       \
    }                                                                                              \
  };

FCC_DEFINE_WGMMA(32, 16, "%16", "%17", "%18", "%19", "%20", "%21", "%22")
FCC_DEFINE_WGMMA(64, 32, "%32", "%33", "%34", "%35", "%36", "%37", "%38")
FCC_DEFINE_WGMMA(128, 64, "%64", "%65", "%66", "%67", "%68", "%69", "%70")
FCC_DEFINE_WGMMA(256, 128, "%128", "%129", "%130", "%131", "%132", "%133", "%134")

#undef FCC_DEFINE_WGMMA
#undef FCC_ACCUMULATORS_128
#undef FCC_ACCUMULATORS_64
#undef FCC_ACCUMULATORS_32
#undef FCC_ACCUMULATORS_16
#undef FCC_ACCUMULATORS_8
#undef FCC_REGISTERS_128
#undef FCC_REGISTERS_64
#undef FCC_REGISTERS_32
#undef FCC_REGISTERS_16
#undef FCC_REGISTERS_8
// clang-format on

} // namespace fcc::kernels
