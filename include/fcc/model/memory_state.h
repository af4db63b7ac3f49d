#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <ATen/core/Tensor.h>

namespace fcc {

/// What a model carries from one stretch of tokens to the next; valid after any token.
struct MemoryState {
  at::Tensor
      memory; ///< `MemoryPolicy::memory_shape`, [N, B, L, D]; undefined before the first segment
  at::Tensor present; ///< [B] bool: rows whose memory counts; undefined: all (none without memory)
  std::int64_t position = 0; ///< tokens in closed segments
  at::Tensor partial_ids;    ///< [B, p] int64, p < L: tokens of the open segment; undefined: none
  /// [B, k] int64: the last tokens, of closed segments too, as whoever turns tokens into text needs
  /// them to go on with it; nothing for the model. Undefined: not told.
  at::Tensor last_ids;

  /// The same values detached from the graph.
  MemoryState detach() const;
};

/// Saves as safetensors with the model's hash in the metadata.
void save_memory_state(
    const MemoryState& state,
    const std::filesystem::path& path,
    const std::string& model_hash);

/// Errors: `FormatError` if the file was made with another model.
MemoryState load_memory_state(const std::filesystem::path& path, const std::string& model_hash);

} // namespace fcc
