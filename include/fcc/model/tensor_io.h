#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "fcc/core/dtype.h"
#include "fcc/io/safetensors.h"

namespace fcc {

/// The element type of a tensor in files. Errors: `Error` on one that files lack.
DType file_dtype(at::ScalarType type);

/// The inverse of `file_dtype`.
at::ScalarType tensor_dtype(DType type);

/// A copy on the CPU of a tensor in a file.
at::Tensor read_tensor(const TensorView& view);

/// A contiguous CPU tensor as something to be written; it must outlive the view.
TensorView file_view(const std::string& name, const at::Tensor& tensor);

} // namespace fcc
