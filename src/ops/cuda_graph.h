#pragma once

#include <functional>
#include <memory>

#include <c10/core/Device.h>

namespace fcc {

/// Memory for the temporaries of recorded work, shared by graphs that never run at the same time.
class CudaGraphPool {
 public:
  CudaGraphPool();
  ~CudaGraphPool();

 private:
  friend class CudaGraph;
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

/// GPU work recorded once and launched again as a whole (a CUDA graph): a diagonal of small cells
/// costs some thirty launches, which the host issues more slowly than the card runs them.
///
/// The work must do the same each time: the same shapes, the same addresses of what it reads and
/// writes beyond its own temporaries, no copy to or from pageable host memory, no wait for the
/// device.
class CudaGraph {
 public:
  CudaGraph();
  ~CudaGraph();
  CudaGraph(CudaGraph&& other) noexcept;
  CudaGraph& operator=(CudaGraph&& other) noexcept;

  /// Can work on `device` be recorded? False on a CPU and in a build without GPU code.
  static bool supports(const c10::Device& device);

  /// Runs `work` so that it is recorded and not executed. Its temporaries lie in `pool`, where they
  /// keep their place as long as a graph of the pool lives.
  /// Errors: what `work` throws; `Error` where the device refuses the recording.
  void record(const std::function<void()>& work, const CudaGraphPool& pool);

  bool recorded() const {
    return recording_ != nullptr;
  }

  /// Executes the recorded work on the current stream.
  void replay() const;

 private:
  struct Recording;
  std::unique_ptr<Recording> recording_;
};

} // namespace fcc
