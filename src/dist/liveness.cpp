#include "dist/liveness.h"

#include <exception>
#include <thread>
#include <utility>

namespace fcc {
namespace {

constexpr std::chrono::milliseconds kInterval{250};
constexpr const char* kFailure = "failure";

std::string count_key(std::int64_t rank) {
  return "count/" + std::to_string(rank);
}

std::string done_key(std::int64_t rank) {
  return "done/" + std::to_string(rank);
}

std::string seconds_text(std::chrono::milliseconds time) {
  const std::string text = std::to_string(static_cast<double>(time.count()) / 1000);
  return text.substr(0, text.find('.') + 2) + " s";
}

} // namespace

Liveness::Liveness(
    c10::intrusive_ptr<c10d::Store> store,
    std::int64_t rank,
    std::int64_t size,
    std::chrono::milliseconds silence)
    : store_(std::move(store)),
      rank_(rank),
      size_(size),
      silence_(silence),
      counts_(static_cast<std::size_t>(size), 0),
      moved_(static_cast<std::size_t>(size), Clock::now()),
      last_look_(Clock::now()),
      thread_([this] { watch(); }) {}

Liveness::~Liveness() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  changed_.notify_all();
  thread_.join();
  try {
    store_->add(done_key(rank_), 1);
  } catch (const std::exception&) {
    // Rank 0 has left with the store: then no one asks any more.
  }
}

std::optional<std::string> Liveness::failure() const {
  const std::lock_guard lock(mutex_);
  if (!failure_ && Clock::now() - last_answer_.load() > silence_ + 4 * kInterval) {
    return "rank 0 has ended or hangs: the ranks' meeting point has not answered for " +
           seconds_text(silence_);
  }
  return failure_;
}

std::optional<std::string> Liveness::failure_soon() const {
  {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, silence_ + 6 * kInterval, [this] { return failure_.has_value(); });
  }
  return failure();
}

void Liveness::set_failure(std::string failure) {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) {
      failure_ = std::move(failure);
    }
  }
  changed_.notify_all();
}

void Liveness::report(const std::string& failure) noexcept {
  std::string first = failure;
  try {
    const std::unique_lock lock(store_mutex_, 4 * kInterval);
    if (lock.owns_lock()) {
      first = store_->compareSet(kFailure, "", failure);
    }
  } catch (const std::exception&) {
    // Without a store the others find out by themselves.
  }
  set_failure(first.empty() ? failure : first);
}

void Liveness::let_others_read() const {
  std::this_thread::sleep_for(6 * kInterval);
}

void Liveness::wait_for_others(std::chrono::milliseconds most) noexcept {
  const auto end = Clock::now() + most;
  try {
    for (std::int64_t rank = 0; rank < size_; ++rank) {
      while (rank != rank_ && !failure() && Clock::now() < end) {
        {
          const std::lock_guard lock(store_mutex_);
          if (store_->add(done_key(rank), 0) > 0) {
            break;
          }
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
  } catch (const std::exception&) {
    // The store is gone: there is nothing to wait for.
  }
}

void Liveness::watch() {
  while (true) {
    try {
      const std::lock_guard lock(store_mutex_);
      look_once();
      last_answer_ = Clock::now();
    } catch (const std::exception&) {
      set_failure("rank 0 has ended: the ranks' meeting point does not answer");
      return;
    }
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kInterval, [this] { return stops_; })) {
      return;
    }
  }
}

void Liveness::look_once() {
  store_->add(count_key(rank_), 1);
  if (store_->check({kFailure})) {
    set_failure(store_->get_to_str(kFailure));
    return;
  }
  const Clock::time_point now = Clock::now();
  // A process that did not run itself for a while (stopped, swapped out) has seen nothing.
  const bool slept = now - last_look_ > silence_ / 2;
  last_look_ = now;
  for (std::int64_t rank = 0; rank < size_; ++rank) {
    const auto i = static_cast<std::size_t>(rank);
    const std::int64_t count = store_->add(count_key(rank), 0);
    // One that has not come yet is for those who meet it to wait for.
    if (count == 0 || count != counts_[i] || slept || rank == rank_) {
      counts_[i] = count;
      moved_[i] = now;
    } else if (now - moved_[i] > silence_ && store_->add(done_key(rank), 0) == 0) {
      const std::string text = "rank " + std::to_string(rank) +
                               " has ended or hangs: no sign of life for " + seconds_text(silence_);
      const std::string first = store_->compareSet(kFailure, "", text);
      set_failure(first.empty() ? text : first);
      return;
    }
  }
}

} // namespace fcc
