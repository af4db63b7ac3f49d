#include "fcc/ops/work_graph.h"

#include "fcc/core/error.h"

namespace fcc {

struct WorkGraphPool::Handle {};

WorkGraphPool::WorkGraphPool() = default;
WorkGraphPool::~WorkGraphPool() = default;

struct WorkGraph::Recording {};

WorkGraph::WorkGraph() = default;
WorkGraph::~WorkGraph() = default;
WorkGraph::WorkGraph(WorkGraph&&) noexcept = default;
WorkGraph& WorkGraph::operator=(WorkGraph&&) noexcept = default;

bool WorkGraph::supports(const c10::Device&) {
  return false;
}

void WorkGraph::record(const std::function<void()>&, const WorkGraphPool&) {
  throw Error("WorkGraph", "this build has no GPU code", {}, "configure with FCC_CUDA=ON");
}

void WorkGraph::replay() const {
  throw Error("WorkGraph", "this build has no GPU code", {}, "configure with FCC_CUDA=ON");
}

} // namespace fcc
