#pragma once

#include "common/tensor_map.h"
#include "memory_attention/memory_attention.h"

/// What the launchers of both passes share: the rules that every call must keep, and tensor maps.
namespace fcc::kernels {

/// Rows and heads of one of the tensors of a launch.
struct HeadLayout {
  int num_rows = 0;
  int num_heads = 0;
};

/// Says which rule of MemoryAttentionShape a shape breaks, if any.
KernelStatus check_shape(const MemoryAttentionShape& shape);

/// Says what keeps the copy engine from reading or writing this tensor, if anything: alignment to
/// 16 bytes of the base and of every stride that is stepped over, positive strides but for cells.
KernelStatus check_tensor(
    const void* data,
    const AttentionStrides& strides,
    const HeadLayout& layout,
    const MemoryAttentionShape& shape);

/// Answers the number of multiprocessors of the current device, which must have capability 9.0.
KernelStatus count_multiprocessors(int& count);

/// Makes the tensor maps of a launch and remembers the first failure.
class MapMaker {
 public:
  explicit MapMaker(const MemoryAttentionShape& shape) : shape_(shape) {}

  void make(const AttentionInput& tensor, const HeadLayout& layout, int box_rows, TileMap& map) {
    make(tensor.data, tensor.strides, layout, box_rows, map);
  }
  void make(const AttentionOutput& tensor, const HeadLayout& layout, int box_rows, TileMap& map) {
    make(tensor.data, tensor.strides, layout, box_rows, map);
  }
  [[nodiscard]] const KernelStatus& status() const {
    return status_;
  }

 private:
  void make(
      const void* data,
      const AttentionStrides& strides,
      const HeadLayout& layout,
      int box_rows,
      TileMap& map);

  MemoryAttentionShape shape_;
  KernelStatus status_;
};

} // namespace fcc::kernels
