// Programs that use torch: memory that it cannot get is an error to be told, not an abort.
#include <c10/util/Logging.h>

namespace {

[[maybe_unused]] const bool kNoAbort = [] {
  FLAGS_caffe2_use_fatal_for_enforce = false;
  return true;
}();

} // namespace
