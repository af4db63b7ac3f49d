#pragma once

// Every kind of optimizer, one line each; what is here exists.

#include <memory>

#include "fcc/optim/optimizer.h"

namespace fcc {

/// How a kind of optimizer is planned and made.
struct OptimizerMaker {
  OptimKind kind;
  bool by_element; ///< what an element becomes depends on that element alone
  OptimizerPlan (*plan)(
      const OptimSection& config,
      const FlatParameters& layout,
      ComputeDType dtype,
      at::DeviceType type);
  std::unique_ptr<Optimizer> (
      *make)(const OptimSection& config, FlatParameters& parameters, const OptimizerPlan& plan);
};

extern const OptimizerMaker kAdamWMaker; // adamw.cpp
extern const OptimizerMaker kMuonMaker;  // muon.cpp

inline constexpr const OptimizerMaker* kOptimizerMakers[] = {&kAdamWMaker, &kMuonMaker};

} // namespace fcc
