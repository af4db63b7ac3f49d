#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "fcc/data/loader.h"

namespace fcc {

/// A dataset whose rows are made on the fly: row `position` follows from seed and position, there
/// is no end to come to, and nothing is padded unless the kind says so.
class MadeDataset : public Dataset {
 public:
  MadeDataset(const DatasetConfig& config, std::string name, std::uint64_t seed)
      : config_(config), seed_(seed), name_(std::move(name)) {}

  const std::string& name() const override {
    return name_;
  }
  std::int64_t skip(const BatchShape& /*shape*/, std::int64_t position) const override {
    return position + 1;
  }
  double epochs(std::int64_t /*position*/) const override {
    return 0.0;
  }
  double padded_share(const BatchShape& /*shape*/) const override {
    return 0.0;
  }

 protected:
  DatasetConfig config_;
  std::uint64_t seed_;

 private:
  std::string name_;
};

} // namespace fcc
