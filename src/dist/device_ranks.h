#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <ATen/core/Tensor.h>

#include "fcc/dist/communicator.h"

namespace fcc {

/// What `Communicator` does with tensors of a GPU, queued on the current stream.
class DeviceRanks {
 public:
  virtual ~DeviceRanks() = default;

  virtual void all_reduce(const at::Tensor& values) = 0;
  virtual void reduce_scatter(const at::Tensor& input, const at::Tensor& output) = 0;
  virtual void all_gather(const at::Tensor& input, const at::Tensor& output) = 0;
  virtual void broadcast(const at::Tensor& values) = 0;
  virtual void send(const at::Tensor& values, std::int64_t to) = 0;
  virtual void receive(const at::Tensor& values, std::int64_t from) = 0;

  /// Queues what `work` calls of the functions above as one exchange on a stream of its own, behind
  /// what the current stream has now.
  virtual std::unique_ptr<Transfer> beside(const std::function<void()>& work) = 0;

  /// Marks this point of the current stream; `is_done`: has the GPU come to it?
  virtual void mark() = 0;
  virtual bool is_done() = 0;

  /// Ends what waits for other ranks on the GPU, which can not be used with them again.
  virtual void abort() noexcept = 0;
};

/// A name of the GPU that no other GPU of the ranks' machines has.
std::string device_identity(at::Device device);

/// Makes the GPU the process's current one, and joins the ranks over NCCL. `from_first` hands rank
/// 0's text to all. Errors: `Error` in a build without GPU code.
std::unique_ptr<DeviceRanks> join_device_ranks(
    at::Device device,
    std::int64_t rank,
    std::int64_t size,
    const std::function<std::string(const std::string&)>& from_first);

} // namespace fcc
