#include "ops/cuda_graph.h"

#include "fcc/core/error.h"

namespace fcc {

struct CudaGraphPool::Handle {};

CudaGraphPool::CudaGraphPool() = default;
CudaGraphPool::~CudaGraphPool() = default;

struct CudaGraph::Recording {};

CudaGraph::CudaGraph() = default;
CudaGraph::~CudaGraph() = default;
CudaGraph::CudaGraph(CudaGraph&&) noexcept = default;
CudaGraph& CudaGraph::operator=(CudaGraph&&) noexcept = default;

bool CudaGraph::supports(const c10::Device&) {
  return false;
}

void CudaGraph::record(const std::function<void()>&, const CudaGraphPool&) {
  throw Error("CudaGraph", "this build has no GPU code", {}, "configure with FCC_CUDA=ON");
}

void CudaGraph::replay() const {
  throw Error("CudaGraph", "this build has no GPU code", {}, "configure with FCC_CUDA=ON");
}

} // namespace fcc
