#pragma once

#include <nanobind/nanobind.h>

namespace fcc::python {

/// What each file adds to the module.
void bind_errors(nanobind::module_& module);
void bind_text(nanobind::module_& module);
void bind_model(nanobind::module_& module);
void bind_stream(nanobind::module_& module);
void bind_token_files(nanobind::module_& module);
void bind_training(nanobind::module_& module);

} // namespace fcc::python
