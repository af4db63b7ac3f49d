#pragma once

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

namespace fcc {

/// How an executor of some of a model's layers (`LayerStage`) hands segments to the stages below
/// and above, which work on the same batch. All are queued behind what the current stream has.
class StageLink {
 public:
  enum class Neighbour { kBelow, kAbove };

  virtual ~StageLink() = default;

  virtual bool is_first() const = 0;
  virtual bool is_last() const = 0;

  /// Begins to receive `values`; the result waits until they are there.
  virtual std::function<void()> begin_receive(const at::Tensor& values, Neighbour from) = 0;
  /// Begins to send `values`, which nobody changes before the next `finish_sends`.
  virtual void begin_send(const at::Tensor& values, Neighbour to) = 0;
  virtual void finish_sends() = 0;

  /// From the first stage to the last one: `values` are sent there, or received.
  virtual void first_to_last(const at::Tensor& values) = 0;
  /// Gives all stages the values of the last one.
  virtual void share_from_last(const at::Tensor& values) = 0;
};

} // namespace fcc
