// metrics.jsonl of a killed run, cut back to a step: whatever is in it, the run goes on.

#include <cstdint>
#include <optional>

#include "fcc/train/metrics.h"
#include "fuzz/input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fcc;
  const fuzz::InputFolder folder;
  folder.write("metrics.jsonl", fuzz::text_of(data, size));
  MetricsLog log(folder.path(), 3, false);
  StepReport report;
  report.step = 4;
  log.write(report, std::nullopt);
  log.sync();
  return 0;
}
