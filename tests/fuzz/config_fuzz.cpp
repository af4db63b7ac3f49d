// Configurations: the first byte picks whose, the rest is the file. What is admitted is written,
// and read back equal.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "fcc/config/model_config.h"
#include "fcc/config/run_config.h"
#include "fcc/config/run_config_fields.h"
#include "fcc/config/strict_json.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fuzz/input_file.h"

namespace {

template <typename Config>
void read_twice(const std::string& text, fcc::UnknownKeys unknown_keys) {
  const std::string once =
      fcc::write_config(fcc::read_config<Config>(text, "input", {}, unknown_keys));
  if (fcc::write_config(fcc::read_config<Config>(once, "once")) != once) {
    std::abort();
  }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  if (size == 0) {
    return 0;
  }
  const std::string text(fuzz::text_of(data + 1, size - 1));
  try {
    if (data[0] % 2 == 0) {
      read_twice<RunConfig>(text, UnknownKeys::kRefuse);
    } else {
      read_twice<ModelConfig>(text, UnknownKeys::kIgnore);
    }
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
