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

/// The Python classes, for as long as the process lives.
struct ErrorTypes {
  PyObject* error = nullptr;
  PyObject* config_error = nullptr;
  PyObject* io_error = nullptr;
  PyObject* format_error = nullptr;
};

PyObject* make_type(nb::module_& module, const char* name, const char* doc, PyObject* base) {
  const std::string full = std::string("fcc.") + name;
  nb::dict parts;
  for (const char* part : {"where", "rule", "value", "hint"}) {
    parts[part] = "";
  }
  PyObject* type = PyErr_NewExceptionWithDoc(full.c_str(), doc, base, parts.ptr());
  if (type == nullptr) {
    throw nb::python_error();
  }
  module.attr(name) = nb::handle(type);
  return type;
}

void raise(PyObject* type, const Error& error) {
  const nb::str message(error.what());
  nb::object raised = nb::handle(type)(message);
  raised.attr("where") = error.where();
  raised.attr("rule") = error.rule();
  raised.attr("value") = error.value();
  raised.attr("hint") = error.hint();
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

void bind_errors(nb::module_& module) {
  static ErrorTypes types;
  types.error = make_type(
      module,
      "Error",
      "What libfcc refuses: where it happened, the rule that was broken, by which value, and what "
      "to do (`where`, `rule`, `value`, `hint`; empty where there is nothing to say).",
      PyExc_RuntimeError);
  types.config_error =
      make_type(module, "ConfigError", "A configuration that breaks a rule.", types.error);
  types.io_error =
      make_type(module, "IoError", "A file that cannot be read or written.", types.error);
  types.format_error =
      make_type(module, "FormatError", "A file whose content breaks its format.", types.error);
  nb::register_exception_translator(translate, &types);
}

} // namespace fcc::python
