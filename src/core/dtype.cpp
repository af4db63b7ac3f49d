#include "fcc/core/dtype.h"

#include <array>

#include "fcc/core/error.h"

namespace fcc {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  std::int64_t bytes;
};

constexpr std::array<Row, 12> kRows{{
    {DType::kF64, "F64", 8},
    {DType::kF32, "F32", 4},
    {DType::kBF16, "BF16", 2},
    {DType::kF16, "F16", 2},
    {DType::kI64, "I64", 8},
    {DType::kI32, "I32", 4},
    {DType::kU32, "U32", 4},
    {DType::kI16, "I16", 2},
    {DType::kU16, "U16", 2},
    {DType::kI8, "I8", 1},
    {DType::kU8, "U8", 1},
    {DType::kBool, "BOOL", 1},
}};

} // namespace

std::int64_t dtype_bytes(DType dtype) {
  return kRows[static_cast<std::size_t>(dtype)].bytes;
}

std::string_view dtype_name(DType dtype) {
  return kRows[static_cast<std::size_t>(dtype)].name;
}

DType dtype_from_name(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) {
      return row.dtype;
    }
  }
  throw FormatError("dtype", "must be a safetensors element type", std::string(name));
}

} // namespace fcc
