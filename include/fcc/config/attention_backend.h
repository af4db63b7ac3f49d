#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "fcc/config/field.h"

namespace fcc {

/// What computes attention, as `engine.attention` names it. Each has an entry in
/// src/ops/attention_backends.h.
enum class AttentionBackend { kAuto, kFcc, kFlash, kCudnn, kReference };

template <>
struct EnumNames<AttentionBackend> {
  static constexpr std::array<std::pair<std::string_view, AttentionBackend>, 5> value{
      {{"auto", AttentionBackend::kAuto},
       {"fcc", AttentionBackend::kFcc},
       {"flash", AttentionBackend::kFlash},
       {"cudnn", AttentionBackend::kCudnn},
       {"reference", AttentionBackend::kReference}}};
};

/// Which of the project's kernels may run, as `engine.kernels` names it.
enum class KernelSet {
  kAuto,    ///< all that support the GPU
  kHopper,  ///< all, attention for compute capability 9.0 among them: an error where it cannot run
  kPortable ///< those of every GPU of compute capability 8.0 or later
};

template <>
struct EnumNames<KernelSet> {
  static constexpr std::array<std::pair<std::string_view, KernelSet>, 3> value{
      {{"auto", KernelSet::kAuto},
       {"hopper", KernelSet::kHopper},
       {"portable", KernelSet::kPortable}}};
};

} // namespace fcc
