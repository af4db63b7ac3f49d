#include "fcc/train/card.h"

#include <vector>

#include "fcc/core/error.h"
#include "fcc/core/nearest.h"
#include "fcc/engine/engine_choice.h"

namespace fcc {
namespace {

// Attention of the project's own is for compute capability 9.0, ATen's flash elsewhere.
constexpr Card kCards[] = {
    {"h100-80gb", 79.1, 989, Processor::kGpuWithKernels},
    {"h200-141gb", 139.8, 989, Processor::kGpuWithKernels},
    {"gh200-96gb", 94.5, 989, Processor::kGpuWithKernels},
    {"a100-80gb", 79.2, 312, Processor::kGpuJoinedAttention},
    {"a100-40gb", 39.4, 312, Processor::kGpuJoinedAttention},
    {"l40s-48gb", 44.4, 362, Processor::kGpuJoinedAttention},
    {"rtx-4090-24gb", 23.5, 165, Processor::kGpuJoinedAttention}};

} // namespace

std::int64_t Card::planned_bytes() const {
  return static_cast<std::int64_t>(kPlannedShare * memory_gib * 0x1p30);
}

std::span<const Card> cards() {
  return kCards;
}

const Card& card_by_name(const std::string& name) {
  std::vector<std::string> names;
  std::string list;
  for (const Card& card : kCards) {
    if (card.name == name) {
      return card;
    }
    names.emplace_back(card.name);
    list += (list.empty() ? "" : ", ") + names.back();
  }
  throw ConfigError("--for", "must be one of " + list, name, nearest_hint(name, names));
}

} // namespace fcc
