// The module fcc._fcc: what the Python files of the package are made of. It is no interface.

#include <c10/util/Logging.h>
#include <nanobind/nanobind.h>

#include "bindings.h"
#include "fcc/core/log.h"

NB_MODULE(_fcc, module) {
  // Memory that torch cannot get is an error to be told, not an abort.
  FLAGS_caffe2_use_fatal_for_enforce = false;
  fcc::set_standard_error_level(fcc::LogLevel::kWarning);
  fcc::python::bind_errors(module);
  fcc::python::bind_text(module);
  fcc::python::bind_model(module);
  fcc::python::bind_stream(module);
  fcc::python::bind_token_files(module);
  fcc::python::bind_training(module);
}
