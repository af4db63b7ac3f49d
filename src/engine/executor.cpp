#include "fcc/engine/executor.h"

#include "fcc/core/error.h"

namespace fcc {

void require_gradients(const FlatParameters& parameters) {
  check(
      parameters.grad().defined(),
      "Executor",
      "cannot train parameters that were made for inference");
}

} // namespace fcc
