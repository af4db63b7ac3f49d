#include <exception>
#include <string>

#include <c10/util/Exception.h>
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include "bindings.h"
#include "fcc/core/error.h"

namespace fcc::python {
namespace {

namespace nb = nanobind;

/// The classes of fcc/_errors.py, for as long as the process lives.
struct ErrorTypes {
  PyObject* error = nullptr;
  PyObject* config_error = nullptr;
  PyObject* io_error = nullptr;
  PyObject* format_error = nullptr;
};

void raise(PyObject* type, const Error& error) {
  const nb::object raised =
      nb::handle(type)(error.what(), error.where(), error.rule(), error.value(), error.hint());
  PyErr_SetObject(type, raised.ptr());
}

void translate(const std::exception_ptr& thrown, void* payload) {
  const auto& types = *static_cast<const ErrorTypes*>(payload);
  try {
    std::rethrow_exception(thrown);
  } catch (const ConfigError& error) {
    raise(types.config_error, error);
  } catch (const IoError& error) {
    raise(types.io_error, error);
  } catch (const FormatError& error) {
    raise(types.format_error, error);
  } catch (const Error& error) {
    raise(types.error, error);
  } catch (const c10::Error& error) {
    // Its message goes on with a stack of addresses.
    raise(types.error, Error("torch", error.what_without_backtrace()));
  }
}

} // namespace

void bind_errors(nb::module_&) {
  static ErrorTypes types;
  const nb::module_ errors = nb::module_::import_("fcc._errors");
  const auto type_of = [&](const char* name) {
    nb::object type = errors.attr(name);
    return type.release().ptr(); // never given back: the translator needs it to the end
  };
  types.error = type_of("Error");
  types.config_error = type_of("ConfigError");
  types.io_error = type_of("IoError");
  types.format_error = type_of("FormatError");
  nb::register_exception_translator(translate, &types);
}

} // namespace fcc::python
