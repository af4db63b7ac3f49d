// JSON: what is read and written again is the same.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const std::string_view text = fuzz::text_of(data, size);
  try {
    parse_json_members(text, "input", 1000, [](const JsonMember&) {});
  } catch (const Error&) {
    // No object, or a large member.
  }
  try {
    const std::string once = json_text(parse_json_without_duplicates(text, "input"));
    if (json_text(parse_json_without_duplicates(once, "once"), 2) != once) {
      std::abort();
    }
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
