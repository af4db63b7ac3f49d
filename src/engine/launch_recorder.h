#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include <c10/core/Device.h>

#include "ops/cuda_graph.h"

namespace fcc {

/// Replays work as CUDA graphs from its third use on, a graph for each key: what decides which
/// launches the work consists of. At most eight graphs are kept, those used last.
template <typename Key>
class LaunchRecorder {
 public:
  /// Runs `work`, by replaying its launches where that is possible. pool: null where launches are
  /// not to be recorded.
  /// Errors: those of `work` and of `CudaGraph::record`.
  void run(
      const Key& key,
      const c10::Device& device,
      const CudaGraphPool* pool,
      const std::function<void()>& work) {
    if (pool == nullptr || !CudaGraph::supports(device)) {
      work();
      return;
    }
    Recorded& recorded = used_now(key);
    ++recorded.num_uses;
    if (recorded.num_uses < kFirstReplay) {
      work();
      return;
    }
    if (!recorded.graph.recorded()) {
      recorded.graph.record(work, *pool);
    }
    recorded.graph.replay();
  }

 private:
  static constexpr std::size_t kMostRecorded = 8;
  static constexpr int kFirstReplay = 3; // libraries choose and load their kernels on first use

  struct Recorded {
    Key key;
    int num_uses = 0;
    CudaGraph graph = {};
  };

  Recorded& used_now(const Key& key) {
    auto found = std::find_if(
        recorded_.begin(), recorded_.end(), [&](const Recorded& each) { return each.key == key; });
    if (found == recorded_.end()) {
      if (recorded_.size() == kMostRecorded) {
        recorded_.erase(recorded_.begin());
      }
      recorded_.push_back({key});
      found = recorded_.end() - 1;
    }
    std::rotate(found, found + 1, recorded_.end()); // used last: last
    return recorded_.back();
  }

  std::vector<Recorded> recorded_;
};

} // namespace fcc
