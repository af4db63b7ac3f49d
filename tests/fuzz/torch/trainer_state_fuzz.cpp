// trainer.json of a checkpoint, and the course of the run in it.

#include <cstdint>
#include <string>

#include "fcc/core/error.h"
#include "fcc/train/checkpoint.h"
#include "fcc/train/resume.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFolder folder;
  folder.write("trainer.json", fuzz::text_of(data, size));
  try {
    const TrainerState state = load_trainer_state(folder.path());
    check_same_course(state.config, state.config);
  } catch (const Error&) {
    // Refused, as it should be.
  }
  return 0;
}
