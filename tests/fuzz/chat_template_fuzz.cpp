// Chat templates: programs in Jinja, run on a conversation.

#include <cstdint>
#include <string>

#include "fcc/core/error.h"
#include "fcc/text/chat_template.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  try {
    const ChatTemplate chat(std::string(fuzz::text_of(data, size)), "input", "<s>", "</s>");
    chat.render(
        {{"system", "Be brief."}, {"user", " Hello {{ x }} "}, {"assistant", ""}, {"user", "\xff"}},
        size % 2 == 0,
        0);
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
