#include "ops/cuda_graph.h"

#include <exception>
#include <optional>

#include <ATen/cuda/CUDAContextLight.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "fcc/core/error.h"

namespace fcc {

namespace {

/// An identity that torch's allocators know the pool by. It ends with the last graph that has it:
/// they refuse to take it up again after that.
struct PoolIdentity {
  at::cuda::MempoolId_t id = at::cuda::graph_pool_handle();
};

} // namespace

struct CudaGraphPool::Handle {
  std::weak_ptr<PoolIdentity> identity;
  /// The one that all recordings are made on (the default stream records nothing): free memory of
  /// the pool goes to the stream that had it before, and to no other.
  std::optional<c10::cuda::CUDAStream> stream;
};

CudaGraphPool::CudaGraphPool() : handle_(std::make_unique<Handle>()) {}
CudaGraphPool::~CudaGraphPool() = default;

struct CudaGraph::Recording {
  std::shared_ptr<PoolIdentity> pool;
  at::cuda::CUDAGraph graph;
};

CudaGraph::CudaGraph() = default;
CudaGraph::~CudaGraph() = default;
CudaGraph::CudaGraph(CudaGraph&&) noexcept = default;
CudaGraph& CudaGraph::operator=(CudaGraph&&) noexcept = default;

bool CudaGraph::supports(const c10::Device& device) {
  return device.is_cuda();
}

void CudaGraph::record(const std::function<void()>& work, const CudaGraphPool& pool) {
  auto recording = std::make_unique<Recording>();
  recording->pool = pool.handle_->identity.lock();
  if (recording->pool == nullptr) {
    recording->pool = std::make_shared<PoolIdentity>();
    pool.handle_->identity = recording->pool;
  }
  if (!pool.handle_->stream) {
    pool.handle_->stream = c10::cuda::getStreamFromPool();
  }
  const c10::cuda::CUDAStreamGuard side(*pool.handle_->stream);
  // What the same launches allocated one by one goes back: the recording has memory of its own.
  c10::cuda::CUDACachingAllocator::emptyCache();
  // cuBLAS keeps a workspace for every stream it met: the recording's must come from its own pool,
  // and no later work may keep it.
  at::cuda::clearCublasWorkspaces();
  // Only this thread records: a loader or a logger beside it may go on allocating.
  recording->graph.capture_begin(recording->pool->id, cudaStreamCaptureModeThreadLocal);
  try {
    work();
  } catch (...) {
    const std::exception_ptr cause = std::current_exception();
    try {
      recording->graph.capture_end();
    } catch (const std::exception&) {
      // The recording is void because of `cause`, which says more.
    }
    at::cuda::clearCublasWorkspaces();
    std::rethrow_exception(cause);
  }
  recording->graph.capture_end();
  at::cuda::clearCublasWorkspaces();
  recording_ = std::move(recording);
}

void CudaGraph::replay() const {
  check(recording_ != nullptr, "CudaGraph::replay", "nothing was recorded");
  recording_->graph.replay();
}

} // namespace fcc
