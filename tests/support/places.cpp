#include "support/places.h"

namespace fcc {

std::string source_dir() {
  return FCC_SOURCE_DIR;
}
std::string build_dir() {
  return FCC_BINARY_DIR;
}

} // namespace fcc
