#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <ATen/core/Tensor.h>

namespace fcc::python {

namespace nb = nanobind;

/// What tensors are given out as.
enum class ArrayKind {
  kNumpy, ///< on the CPU; bfloat16 becomes float32
  kTorch, ///< where they lie, nothing copied
  kDlpack ///< the same, as an object that has `__dlpack__`
};

/// `tensor` as an array that keeps it alive. With the GIL. `tensor` is nobody else's to write into.
nb::object to_array(const at::Tensor& tensor, ArrayKind kind);

/// An array of any library, [t] or [B, t], of whole numbers.
using IdArray = nb::ndarray<nb::ro>;

/// The ids as int64 of their own, [B, t] (one row: [1, t]), on the array's device.
/// Errors: `nb::type_error` unless they are whole numbers, `Error` on other dimensions.
at::Tensor to_ids(const IdArray& array);

} // namespace fcc::python
