// config.json of a Hugging Face directory: what is admitted is written, and read back equal.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "fcc/core/dtype.h"
#include "fcc/core/error.h"
#include "fcc/model/hugging_face.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  try {
    const ModelConfig config = parse_model_config(std::string(fuzz::text_of(data, size)), "input");
    const std::string once = model_config_json(config, DType::kF32);
    if (model_config_json(parse_model_config(once, "once"), DType::kF32) != once) {
      std::abort();
    }
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
