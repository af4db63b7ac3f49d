#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

namespace fcc {

/// What ranks exchange beside the work that goes on: begun, and not yet waited for.
class Transfer {
 public:
  virtual ~Transfer() = default;

  /// On a GPU, what is queued on the current stream from now on finds the values there; on the CPU,
  /// returns when they are. To be called once at most. Errors: those of `Communicator`.
  virtual void wait() = 0;
};

/// Input and output of one exchange: [size · n] and [n] of a sum, [n] and [size · n] of a
/// gathering.
struct RankTensors {
  at::Tensor input, output;
};

/// The processes of a run, which work on it together: ranks 0 … size − 1.
///
/// Every rank calls the same functions in the same order. Tensors are contiguous, of one shape and
/// dtype on all ranks, on the CPU or on the rank's GPU. Sums are repeated bit for bit on the same
/// number of ranks, and equal on all of them.
///
/// On a GPU, work is queued on the current stream and the functions return at once: see
/// `wait_for_device`. On the CPU they return when the values are there.
///
/// Errors, of every function: `Error` that names the rank that failed, ended or does not answer,
/// within seconds of it, or says that the ranks' timeout has passed. After one, nothing but `abort`
/// and the destructor may be called.
class Communicator {
 public:
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  std::int64_t rank() const {
    return rank_;
  }
  std::int64_t size() const {
    return size_;
  }
  /// Rank 0 writes the run's files and its log.
  bool is_first() const {
    return rank_ == 0;
  }

  /// Replaces `values` by their sum over all ranks.
  virtual void all_reduce(const at::Tensor& values) = 0;
  /// `input` [size · n]: `output` [n] becomes part `rank` of the sum over all ranks. It may be that
  /// part of `input`, whose other parts are undefined then.
  virtual void reduce_scatter(const at::Tensor& input, const at::Tensor& output) = 0;
  /// `output` [size · n] becomes the `input` [n] of rank 0, rank 1 … `input` may be the rank's own
  /// part of it.
  virtual void all_gather(const at::Tensor& input, const at::Tensor& output) = 0;
  /// `reduce_scatter` of each of `parts`, beside what is queued or done from now on. Nobody touches
  /// the tensors before `wait`. Transfers that were begun earlier are there earlier.
  virtual std::unique_ptr<Transfer> begin_reduce_scatter(const std::vector<RankTensors>& parts) = 0;
  /// The same for `all_gather`.
  virtual std::unique_ptr<Transfer> begin_all_gather(const std::vector<RankTensors>& parts) = 0;
  /// Gives every rank the values of rank 0.
  virtual void broadcast(const at::Tensor& values) = 0;
  /// `values` are received by rank `to`, which calls `receive` with a tensor of the same shape.
  virtual void send(const at::Tensor& values, std::int64_t to) = 0;
  virtual void receive(const at::Tensor& values, std::int64_t from) = 0;
  /// The same, beside what is queued or done from now on.
  virtual std::unique_ptr<Transfer> begin_send(const at::Tensor& values, std::int64_t to) = 0;
  virtual std::unique_ptr<Transfer> begin_receive(const at::Tensor& values, std::int64_t from) = 0;
  /// The ranks that give the same number, in their order, as a communicator of their own. It
  /// notices failures of all ranks, and names them by their number among all. `this` outlives it.
  virtual std::shared_ptr<Communicator> group(std::int64_t number) = 0;
  /// Returns when every rank has called it. On the host alone: a GPU may still be working.
  virtual void barrier() = 0;

  /// Returns when the GPU has done what was queued on the current stream. Where other ranks take
  /// part in that, this is the place to notice that one of them is gone; a plain read would wait
  /// for ever.
  virtual void wait_for_device() = 0;

  /// Which rank has failed, and why, once it is known; asked from any thread.
  virtual std::optional<std::string> failure() const = 0;

  /// Tells the others that this rank ends, and why: their functions throw from then on. For the one
  /// who catches an error; the first reason given is the one that all name.
  virtual void abort(const std::string& reason) noexcept = 0;

 protected:
  Communicator(std::int64_t rank, std::int64_t size) : rank_(rank), size_(size) {}

 private:
  std::int64_t rank_, size_;
};

/// One process alone: sums and gathers are copies, or nothing where input and output are the same.
std::shared_ptr<Communicator> single_process();

/// The text of every rank, in their order.
std::vector<std::string> gather_texts(Communicator& ranks, const std::string& text);

/// Σ over the ranks, number by number, added in their order: equal on all, whatever the transport.
std::vector<double> sum_over_ranks(Communicator& ranks, const std::vector<double>& values);

} // namespace fcc
