#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fcc {

/// A key that other frameworks have, and what stands here in its place.
struct ForeignName {
  std::string_view name; ///< lower case; ends in `*`: every name that begins so
  std::string_view key;  ///< path of the key here (`train.stages.N.steps`); empty: there is none
  std::string_view note; ///< after the key, how it differs; without one, what to do instead
};

/// All of them (Hugging Face Trainer, PyTorch Lightning, DeepSpeed, Megatron, nanoGPT, torchtune).
std::span<const ForeignName> foreign_names();

/// The hint for an unknown key at `path` (`train.learning_rate`), if its last part is a name of
/// another framework and this tree has the key that answers it. Case and hyphens do not count.
/// `key_paths` has every key of the tree.
std::optional<std::string> foreign_hint(
    std::string_view path,
    const std::vector<std::string>& key_paths);

} // namespace fcc
