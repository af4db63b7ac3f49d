#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "arrays.h"
#include "fcc/generate/loaded_model.h"

namespace fcc::python {

/// A loaded model, shared by its streams: they hold views of its weights.
class SharedModel {
 public:
  SharedModel(LoadedModel loaded, ArrayKind array_kind)
      : loaded_(std::move(loaded)), array_kind_(array_kind) {}

  const LoadedModel& loaded() const {
    return loaded_;
  }
  ArrayKind array_kind() const {
    return array_kind_;
  }
  at::Device device() const {
    return loaded_.weights.embed_tokens.device();
  }
  /// `model_hash`, found when it is first asked for: it takes a while for a large model.
  const std::string& hash() const;

 private:
  LoadedModel loaded_;
  ArrayKind array_kind_;
  mutable std::once_flag once_;
  mutable std::string hash_;
};

using ModelPointer = std::shared_ptr<const SharedModel>;

} // namespace fcc::python
