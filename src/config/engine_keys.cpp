#include "fcc/config/engine_keys.h"

namespace fcc {

std::vector<std::string> fused_keys_in_use(const EngineSection& engine) {
  const EngineSection defaults;
  std::vector<std::string> keys;
  const auto look = [&keys](const char* key, bool is_default) {
    if (!is_default) {
      keys.emplace_back(key);
    }
  };
  look("kernels", engine.kernels == defaults.kernels);
  look("schedule", engine.schedule == defaults.schedule);
  look("activations", engine.activations == defaults.activations);
  look("chunk_segments", !engine.chunk_segments);
  look("memory_gib", !engine.memory_gib);
  look("boundary_memory_on_host", !engine.boundary_memory_on_host);
  look("layer_ranks", engine.layer_ranks == defaults.layer_ranks);
  return keys;
}

} // namespace fcc
