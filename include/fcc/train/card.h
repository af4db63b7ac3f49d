#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fcc/engine/memory_estimate.h"

namespace fcc {

/// A GPU to plan a run for.
struct Card {
  std::string_view name;      ///< `h100-80gb`
  double memory_gib = 0;      ///< as its driver tells it
  double bfloat16_tflops = 0; ///< stated peak of dense products
  Processor processor = Processor::kGpu;

  /// What a run plans for on an empty card.
  std::int64_t planned_bytes() const;
};

std::span<const Card> cards();

/// Errors: `ConfigError` that lists the cards.
const Card& card_by_name(const std::string& name);

} // namespace fcc
