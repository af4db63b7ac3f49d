#include "fcc/core/dtype.h"

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

TEST(DType, EveryNameReadsBackAndTellsItsSize) {
  for (int i = 0; i <= static_cast<int>(DType::kBool); ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(dtype_from_name(dtype_name(dtype)), dtype);
    EXPECT_GE(dtype_bytes(dtype), 1);
  }
  EXPECT_EQ(dtype_bytes(DType::kBF16), 2);
  EXPECT_EQ(dtype_name(DType::kU32), "U32");
}

TEST(DType, AnUnknownNameIsAnError) {
  EXPECT_THROW(dtype_from_name("F33"), FormatError);
  EXPECT_THROW(dtype_from_name(""), FormatError);
}

} // namespace
} // namespace fcc
