#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/distributed/c10d/Store.hpp>

namespace fcc {

/// Says that this rank is alive, and finds out which other one is not: a thread that counts in the
/// ranks' store and watches the others count. A transport that waits for a rank that is gone knows
/// at best that a connection closed, and on a GPU nothing at all.
class Liveness {
 public:
  /// `store`: of this object alone. Counting starts at once.
  Liveness(
      c10::intrusive_ptr<c10d::Store> store,
      std::int64_t rank,
      std::int64_t size,
      std::chrono::milliseconds silence);
  /// Says first that this rank is done: no one will miss it. Not after a failure: the thread may
  /// hang with the store, and the object is left to the end of the process.
  ~Liveness();
  Liveness(const Liveness&) = delete;
  Liveness& operator=(const Liveness&) = delete;

  /// Which rank failed, and why, as soon as it is known. A store that does not answer is a failure
  /// of rank 0, which holds it.
  std::optional<std::string> failure() const;

  /// The same, waiting for it for as long as a silent rank takes to be noticed.
  std::optional<std::string> failure_soon() const;

  /// This rank has failed, or has found out that another one did; the first to say so is believed.
  void report(const std::string& failure) noexcept;

  /// Gives the others the time to read what has been reported, where this rank holds the store.
  void let_others_read() const;

  /// Waits until every rank is done, for rank 0, which holds the store; at most `most`.
  void wait_for_others(std::chrono::milliseconds most) noexcept;

 private:
  using Clock = std::chrono::steady_clock;

  void watch();
  void look_once();
  void set_failure(std::string failure);

  c10::intrusive_ptr<c10d::Store> store_;
  std::timed_mutex store_mutex_; ///< held while the store is asked: for ever, if it hangs
  std::int64_t rank_, size_;
  std::chrono::milliseconds silence_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::optional<std::string> failure_;
  bool stops_ = false;
  std::vector<std::int64_t> counts_;     ///< last seen, of each rank; the thread's own
  std::vector<Clock::time_point> moved_; ///< when they were seen to change
  Clock::time_point last_look_;
  std::atomic<Clock::time_point> last_answer_{Clock::now()};
  std::thread thread_; // last: it uses all of the above
};

} // namespace fcc
