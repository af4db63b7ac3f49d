#include <atomic>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"
#include "fcc/core/log.h"
#include "fcc/io/files.h"
#include "fcc/train/trainer.h"

namespace fcc::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

/// One training; `stop` may be called from another thread while `run` is at work.
class Run {
 public:
  /// `json`: absent, what the file `source` holds.
  Run(const std::optional<std::string>& json,
      const std::string& source,
      const std::vector<std::string>& overrides)
      : config_(read_config<RunConfig>(json ? *json : read_file(source), source, overrides)) {
    if (config_.model.path && is_same_path(config_.output, *config_.model.path)) {
      throw ConfigError(
          "output", "must not be model.path", config_.output, "the model would be written over");
    }
  }

  const std::string& output() const {
    return config_.output;
  }
  void stop() {
    stop_ = true;
  }

  /// Trains until the end or a stop, and tells whether it was the end. `on_line` gets every line of
  /// metrics.jsonl; false stops the run. What it raises, and Ctrl-C on the main thread, does so too
  /// and comes up again once the checkpoint is written.
  bool
  run(const std::optional<std::string>& resume, bool new_course, bool verbose, nb::object on_line) {
    const nb::gil_scoped_release no_gil;
    const LogToStandardError level(verbose);
    const RunDirectory directory(config_.output);
    const LogFile file(directory.root() / "log.txt");
    std::exception_ptr raised;
    Trainer::End end = Trainer::End::kStopped;
    try {
      const auto checkpoint = find_checkpoint(directory, resume);
      Trainer trainer(config_, make_trainer_parts(config_, checkpoint));
      trainer.observe_metrics([&](const std::string& line) {
        const nb::gil_scoped_acquire gil;
        try {
          if (PyErr_CheckSignals() != 0) {
            throw nb::python_error();
          }
          if (!raised && !nb::cast<bool>(on_line(line))) {
            stop_ = true;
          }
        } catch (...) {
          raised = raised ? raised : std::current_exception();
          stop_ = true;
        }
      });
      end = trainer.run(directory, checkpoint, stop_, new_course ? Course::kNew : Course::kSame);
    } catch (const std::exception& error) {
      log_to_file_only(LogLevel::kError, error.what());
      throw;
    }
    if (raised) {
      std::rethrow_exception(raised);
    }
    return end == Trainer::End::kFinished;
  }

 private:
  struct LogFile {
    explicit LogFile(const std::filesystem::path& path) {
      log_to_file(path.c_str());
    }
    ~LogFile() {
      close_log_files();
    }
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;
  };
  struct LogToStandardError {
    explicit LogToStandardError(bool verbose) {
      set_standard_error_level(verbose ? LogLevel::kInfo : LogLevel::kWarning);
    }
    ~LogToStandardError() {
      set_standard_error_level(LogLevel::kWarning);
    }
    LogToStandardError(const LogToStandardError&) = delete;
    LogToStandardError& operator=(const LogToStandardError&) = delete;
  };

  RunConfig config_;
  std::atomic<bool> stop_ = false;
};

} // namespace

void bind_training(nb::module_& module) {
  nb::class_<Run>(module, "Run")
      .def(
          nb::init<
              const std::optional<std::string>&,
              const std::string&,
              const std::vector<std::string>&>(),
          "json"_a.none(),
          "source"_a,
          "overrides"_a)
      .def_prop_ro("output", &Run::output)
      .def("stop", &Run::stop)
      .def("run", &Run::run, "resume"_a.none(), "new_course"_a, "verbose"_a, "on_line"_a);
}

} // namespace fcc::python
