// The files beside a tokenizer: the first byte picks which, the rest is the file.

#include <array>
#include <cstdint>
#include <string>

#include "fcc/config/run_config.h"
#include "fcc/core/error.h"
#include "fuzz/input_file.h"
#include "fuzz/try_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  if (size == 0) {
    return 0;
  }
  constexpr std::array<const char*, 6> kNames{
      "tokenizer_config.json",
      "special_tokens_map.json",
      "generation_config.json",
      "config.json",
      "fcc_tokenizer.json",
      "vocabulary.txt"};
  const fuzz::InputFolder folder;
  if (data[0] % kNames.size() != kNames.size() - 1) {
    folder.write(
        "tokenizer.json",
        R"({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
            "added_tokens": [{"id": 3, "content": "<s>", "special": true},
                             {"id": 4, "content": "</s>", "special": true}]})");
  }
  folder.write(kNames[data[0] % kNames.size()], fuzz::text_of(data + 1, size - 1));
  try {
    const auto tokenizer =
        make_tokenizer(with_saved_policy(TokenizerConfig{.path = folder.path().string()}));
    fuzz::try_tokenizer(*tokenizer);
    tokenizer->end_ids();
    save_token_ids(*tokenizer, folder.path());
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
