#pragma once

#include <memory>
#include <optional>

#include "fcc/ops/attention.h"
#include "fcc/ops/memory_attention_choice.h"

// The table of attention backends. A new one takes three files: its name in
// fcc/config/attention_backend.h, a source of its own, and its line here.
namespace fcc {

/// One backend of the table.
struct AttentionEntry {
  AttentionBackend name;
  bool automatic; ///< `auto` may take it
  /// Why it cannot run on this; nothing: it can.
  std::optional<AttentionRefusal> (*refusal)(const AttentionUse& use);
  std::shared_ptr<const Attention> (*make)();
};

AttentionEntry fcc_attention();       // attention_fcc.cpp
AttentionEntry flash_attention();     // attention_flash.cpp
AttentionEntry cudnn_attention();     // attention_cudnn.cpp
AttentionEntry reference_attention(); // attention_reference.cpp

/// In the order in which `auto` tries them.
inline constexpr AttentionEntry (*kAttentionBackends[])() = {
    fcc_attention,
    flash_attention,
    cudnn_attention,
    reference_attention};

/// What every GPU backend asks for first: a GPU, a build that has its code.
std::optional<AttentionRefusal> refusal_without_gpu(const AttentionUse& use);

/// bfloat16 or float16 on a GPU of compute capability 8.0 or later.
std::optional<AttentionRefusal> refusal_of_half_precision(const AttentionUse& use);

std::string capability_text(int capability); // 90 → "9.0"
std::string head_dim_text(const AttentionUse& use);

} // namespace fcc
