// Rank files and their settings: two files with a NUL between them.

#include <cstdint>

#include "fcc/core/error.h"
#include "fuzz/input_file.h"
#include "fuzz/try_tokenizer.h"
#include "text/tokenizer_loaders.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const std::string_view both = fuzz::text_of(data, size);
  const std::size_t cut = both.find('\0');
  const fuzz::InputFolder folder;
  folder.write("tokenizer.model", both.substr(0, cut));
  if (cut != std::string_view::npos) {
    folder.write("tiktoken.json", both.substr(cut + 1));
  }
  try {
    fuzz::try_tokenizer(*load_tiktoken_tokenizer(
        folder.path() / "tokenizer.model",
        cut == std::string_view::npos ? WithoutSettings::kLlama3 : WithoutSettings::kRefuse));
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
