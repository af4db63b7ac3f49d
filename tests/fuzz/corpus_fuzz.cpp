// The readers of texts: the first byte picks format and name, the rest is the file.

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "fcc/core/error.h"
#include "fcc/data/corpus.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  if (size == 0) {
    return 0;
  }
  constexpr std::array<const char*, 8> kEndings{
      ".txt", ".jsonl", ".json", "", ".txt.gz", ".jsonl.zst", ".json.gz", ".parquet"};
  const fuzz::InputFile file({data + 1, size - 1}, kEndings[data[0] % kEndings.size()]);
  CorpusOptions options;
  options.separator = data[0] & 64 ? "\n\n" : "";
  options.allow_invalid_utf8 = (data[0] & 128) != 0;
  options.max_document_bytes = 1 << 20;
  try {
    Corpus corpus({file.path()}, options);
    std::string text, again;
    while (corpus.next(text)) {
      // What goes on from behind a document reads the same next one.
      const Corpus::Position here = corpus.position();
      Corpus rest({file.path()}, options, here);
      if (rest.next(again) && rest.position().offset < here.offset &&
          rest.position().file == here.file) {
        std::abort();
      }
    }
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
