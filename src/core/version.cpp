#include "fcc/version.h"

#define FCC_TEXT_OF(number) #number
#define FCC_TEXT(number) FCC_TEXT_OF(number)

namespace fcc {

const char* version() {
  return FCC_TEXT(FCC_VERSION_MAJOR) "." FCC_TEXT(FCC_VERSION_MINOR) "." FCC_TEXT(
      FCC_VERSION_PATCH);
}

} // namespace fcc
