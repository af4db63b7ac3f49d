#include "common/torch/as_rank.h"

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <utility>

namespace fcc::tools {
namespace {

/// Ends the process some seconds after a rank has failed, whatever its main thread waits for: a
/// GPU's queue that the rank will never fill, or a library's threads.
class LastResort {
 public:
  LastResort(std::string program, std::shared_ptr<Communicator> ranks)
      : program_(std::move(program)), ranks_(std::move(ranks)), thread_([this] { watch(); }) {}
  ~LastResort() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  LastResort(const LastResort&) = delete;
  LastResort& operator=(const LastResort&) = delete;

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (!ranks_->failure()) {
      if (changed_.wait_for(lock, std::chrono::milliseconds(500), [this] { return over_; })) {
        return;
      }
    }
    if (!changed_.wait_for(lock, std::chrono::seconds(8), [this] { return over_; })) {
      std::fprintf(
          stderr,
          "%s: error: rank %lld: all ranks must go on together; got %s\n",
          program_.c_str(),
          static_cast<long long>(ranks_->rank()),
          ranks_->failure().value_or("a failure").c_str());
      std::_Exit(1);
    }
  }

  std::string program_;
  std::shared_ptr<Communicator> ranks_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false;
  std::thread thread_;
};

} // namespace

int as_rank(
    const std::string& program,
    const std::shared_ptr<Communicator>& ranks,
    const std::function<int()>& work,
    const std::function<void(const std::exception&)>& failed) {
  auto last_resort = std::make_unique<LastResort>(program, ranks);
  try {
    return work();
  } catch (const std::exception& error) {
    ranks->abort(error.what());
    if (failed) {
      failed(error);
    }
    [[maybe_unused]] const LastResort* kept = last_resort.release(); // watches the way out, too
    throw;
  }
}

} // namespace fcc::tools
