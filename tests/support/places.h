#pragma once

#include <string>

namespace fcc {

/// The root of the source tree and of the build tree. Functions of one source, so that the objects
/// of the tests do not depend on where the tree lies and a compiler cache serves every clone.
std::string source_dir();
std::string build_dir();

} // namespace fcc
