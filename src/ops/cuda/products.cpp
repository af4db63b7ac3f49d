// Batched products by cuBLASLt. ATen's own products take no addend in another place than the
// output: they copy it there first, which costs as much as a norm.
#include "ops/kernels.h"

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>

#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/ops/empty.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cublasLt.h>
#include <dlfcn.h>

#include "fcc/core/error.h"

namespace fcc::kernel_ops {
namespace {

constexpr std::uint64_t kMostWorkspaceBytes = std::uint64_t{32} << 20;
constexpr std::uint32_t kAlignment = 16; // bytes, of every address and stride

/// cuBLASLt as torch_cuda has loaded it. To link it would put the toolkit's copy, which may be
/// another version, in the place of the one that torch's cuBLAS was built for.
class Library {
 public:
  static const Library& get() {
    static const Library library;
    return library;
  }

  /// Has torch loaded it, with all that is needed?
  bool complete() const {
    return complete_;
  }

 private:
  bool complete_ = true; // before the functions, whose search tells

 public:
#define FCC_CUBLASLT_FUNCTION(name) decltype(&::name) name = find<decltype(&::name)>(#name)
  FCC_CUBLASLT_FUNCTION(cublasLtGetStatusString);
  FCC_CUBLASLT_FUNCTION(cublasLtMatmulDescCreate);
  FCC_CUBLASLT_FUNCTION(cublasLtMatmulDescDestroy);
  FCC_CUBLASLT_FUNCTION(cublasLtMatmulDescSetAttribute);
  FCC_CUBLASLT_FUNCTION(cublasLtMatrixLayoutCreate);
  FCC_CUBLASLT_FUNCTION(cublasLtMatrixLayoutDestroy);
  FCC_CUBLASLT_FUNCTION(cublasLtMatrixLayoutSetAttribute);
  FCC_CUBLASLT_FUNCTION(cublasLtMatmulPreferenceCreate);
  FCC_CUBLASLT_FUNCTION(cublasLtMatmulPreferenceDestroy);
  FCC_CUBLASLT_FUNCTION(cublasLtMatmulPreferenceSetAttribute);
  FCC_CUBLASLT_FUNCTION(cublasLtMatmulAlgoGetHeuristic);
  FCC_CUBLASLT_FUNCTION(cublasLtMatmul);
#undef FCC_CUBLASLT_FUNCTION

 private:
  template <typename Function>
  Function find(const char* name) {
    const std::string file = "libcublasLt.so." + std::to_string(CUBLAS_VER_MAJOR);
    void* library = dlopen(file.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    void* address = library == nullptr ? nullptr : dlsym(library, name);
    complete_ = complete_ && address != nullptr;
    return reinterpret_cast<Function>(address);
  }
};

void check_status(cublasStatus_t status) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    throw Error("product", "cuBLASLt refused it", Library::get().cublasLtGetStatusString(status));
  }
}

/// A cuBLASLt handle that destroys itself.
template <typename T, auto Destroy>
using Owned = std::unique_ptr<std::remove_pointer_t<T>, decltype([](T it) {
                                (Library::get().*Destroy)(it);
                              })>;
using Descriptor = Owned<cublasLtMatmulDesc_t, &Library::cublasLtMatmulDescDestroy>;
using Layout = Owned<cublasLtMatrixLayout_t, &Library::cublasLtMatrixLayoutDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, &Library::cublasLtMatmulPreferenceDestroy>;

/// Everything that a product depends on but the addresses. cuBLASLt's matrices are column-major, so
/// it sees the transposes of ours, and computes outᵀ = op(y)ᵀ · op(x)ᵀ.
struct Shape {
  struct Matrix {
    std::int64_t rows, columns, row, cell; ///< sizes, then strides, in elements

    auto operator<=>(const Matrix&) const = default;
  };
  at::DeviceIndex device;
  std::int64_t cells;
  Matrix x, y, addend, out;
  bool x_transposed, y_transposed, adds, wide_out;

  auto operator<=>(const Shape&) const = default;
};

struct Plan {
  Descriptor descriptor;
  Layout x, y, addend, out;
  cublasLtMatmulAlgo_t algorithm;
  std::int64_t workspace_bytes;
};

Shape::Matrix matrix_of(const at::Tensor& t) {
  return {t.size(1), t.size(2), t.stride(1), t.size(0) == 1 ? 0 : t.stride(0)};
}

Layout layout_of(const Shape::Matrix& matrix, std::int64_t cells, cudaDataType_t type) {
  const Library& library = Library::get();
  cublasLtMatrixLayout_t made = nullptr;
  check_status(library.cublasLtMatrixLayoutCreate(
      &made,
      type,
      static_cast<std::uint64_t>(matrix.columns),
      static_cast<std::uint64_t>(matrix.rows),
      matrix.row));
  Layout layout(made);
  const auto count = static_cast<std::int32_t>(cells);
  check_status(library.cublasLtMatrixLayoutSetAttribute(
      made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof(count)));
  check_status(library.cublasLtMatrixLayoutSetAttribute(
      made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &matrix.cell, sizeof(matrix.cell)));
  return layout;
}

/// Nothing where cuBLASLt has no algorithm.
std::optional<Plan> make_plan(const Shape& shape) {
  const Library& library = Library::get();
  Plan plan;
  cublasLtMatmulDesc_t descriptor = nullptr;
  check_status(library.cublasLtMatmulDescCreate(&descriptor, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  plan.descriptor.reset(descriptor);
  const cublasOperation_t op_y = shape.y_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  const cublasOperation_t op_x = shape.x_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  check_status(library.cublasLtMatmulDescSetAttribute(
      descriptor, CUBLASLT_MATMUL_DESC_TRANSA, &op_y, sizeof(op_y)));
  check_status(library.cublasLtMatmulDescSetAttribute(
      descriptor, CUBLASLT_MATMUL_DESC_TRANSB, &op_x, sizeof(op_x)));
  const cudaDataType_t out_type = shape.wide_out ? CUDA_R_32F : CUDA_R_16BF;
  plan.x = layout_of(shape.x, shape.cells, CUDA_R_16BF);
  plan.y = layout_of(shape.y, shape.cells, CUDA_R_16BF);
  plan.addend = layout_of(shape.addend, shape.cells, out_type);
  plan.out = layout_of(shape.out, shape.cells, out_type);

  cublasLtMatmulPreference_t preference = nullptr;
  check_status(library.cublasLtMatmulPreferenceCreate(&preference));
  const Preference owner(preference);
  const auto prefer = [&](cublasLtMatmulPreferenceAttributes_t key, auto value) {
    check_status(
        library.cublasLtMatmulPreferenceSetAttribute(preference, key, &value, sizeof(value)));
  };
  prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspaceBytes);
  for (const auto key :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    prefer(key, kAlignment);
  }
  // Partial sums of a split product stay in float32.
  prefer(
      CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  cublasLtMatmulHeuristicResult_t best;
  int found = 0;
  const cublasStatus_t status = library.cublasLtMatmulAlgoGetHeuristic(
      at::cuda::getCurrentCUDABlasLtHandle(),
      descriptor,
      plan.y.get(),
      plan.x.get(),
      plan.addend.get(),
      plan.out.get(),
      preference,
      1,
      &best,
      &found);
  if (status != CUBLAS_STATUS_SUCCESS || found == 0) {
    return std::nullopt;
  }
  plan.algorithm = best.algo;
  plan.workspace_bytes = static_cast<std::int64_t>(best.workspaceSize);
  return plan;
}

/// The plan of every shape that came by: choosing one takes longer than a small product.
const std::optional<Plan>& plan_of(const Shape& shape) {
  static std::mutex mutex;
  static std::map<Shape, std::optional<Plan>> plans;
  const std::scoped_lock lock(mutex);
  auto found = plans.find(shape);
  if (found == plans.end()) {
    found = plans.emplace(shape, make_plan(shape)).first;
  }
  return found->second;
}

} // namespace

bool supports_product(std::initializer_list<std::reference_wrapper<const at::Tensor>> tensors) {
  if (tensors.size() == 0 || !supports(tensors.begin()->get())) {
    return false;
  }
  for (const at::Tensor& tensor : tensors) {
    if (!tensor.defined()) {
      continue;
    }
    const std::int64_t align = kAlignment / static_cast<std::int64_t>(tensor.element_size());
    const bool aligned =
        reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % kAlignment == 0;
    if (!aligned || tensor.numel() == 0 || tensor.stride(2) != 1 || tensor.stride(1) % align != 0 ||
        tensor.stride(0) % align != 0 || tensor.size(2) % align != 0) {
      return false;
    }
  }
  return true;
}

bool product(
    const ProductFactor& x,
    const ProductFactor& y,
    const at::Tensor& addend,
    at::Tensor out) {
  if (!Library::get().complete()) {
    return false;
  }
  const at::DeviceGuard guard(out.device());
  const at::Tensor& added = addend.defined() ? addend : out;
  const std::optional<Plan>& found = plan_of(
      {.device = out.device().index(),
       .cells = out.size(0),
       .x = matrix_of(x.matrix),
       .y = matrix_of(y.matrix),
       .addend = matrix_of(added),
       .out = matrix_of(out),
       .x_transposed = x.transposed,
       .y_transposed = y.transposed,
       .adds = addend.defined(),
       .wide_out = out.scalar_type() == at::kFloat});
  if (!found) {
    return false;
  }
  const Plan& plan = *found;
  at::Tensor workspace;
  if (plan.workspace_bytes > 0) {
    workspace = at::empty({plan.workspace_bytes}, out.options().dtype(at::kByte));
  }
  const float one = 1.0F, beta = addend.defined() ? 1.0F : 0.0F;
  check_status(Library::get().cublasLtMatmul(
      at::cuda::getCurrentCUDABlasLtHandle(),
      plan.descriptor.get(),
      &one,
      y.matrix.const_data_ptr(),
      plan.y.get(),
      x.matrix.const_data_ptr(),
      plan.x.get(),
      &beta,
      added.const_data_ptr(),
      plan.addend.get(),
      out.data_ptr(),
      plan.out.get(),
      &plan.algorithm,
      workspace.defined() ? workspace.data_ptr() : nullptr,
      static_cast<std::size_t>(plan.workspace_bytes),
      at::cuda::getCurrentCUDAStream().stream()));
  return true;
}

} // namespace fcc::kernel_ops
