#include "fcc/train/metrics.h"

#include "train/tensorboard.h"

#include <bit>
#include <cmath>
#include <cstdarg>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "train/append_buffer.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

[[gnu::format(printf, 1, 2)]] std::string format(const char* pattern, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text, sizeof text, pattern, arguments);
  va_end(arguments);
  return text;
}

std::string with_unit(double value) {
  if (value >= 1e6) {
    return format("%.2fM", value / 1e6);
  }
  return value >= 1e3 ? format("%.1fK", value / 1e3) : format("%.0f", value);
}

std::string duration(double seconds) {
  const auto whole = static_cast<long long>(std::llround(std::max(seconds, 0.0)));
  if (whole >= 3600) {
    return format("%lldh%02lldm", whole / 3600, whole / 60 % 60);
  }
  return whole >= 60 ? format("%lldm%02llds", whole / 60, whole % 60) : format("%llds", whole);
}

/// JSON has no infinity: a value that is not finite becomes null.
Json number(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json number(const std::optional<double>& value) {
  return value ? number(*value) : Json(nullptr);
}

double to_milliseconds(double seconds) {
  return std::round(seconds * 1e3) / 1e3;
}

/// The number under `key` of the last line that has one; 0 if none has.
double last_number(const std::string& lines, const char* key) {
  double last = 0;
  std::size_t start = 0;
  for (std::size_t end = lines.find('\n'); end != std::string::npos;
       end = lines.find('\n', start)) {
    const Json parsed = Json::parse(lines.substr(start, end - start), nullptr, false);
    if (parsed.is_object() && parsed.contains(key) && parsed[key].is_number()) {
      last = parsed[key].get<double>();
    }
    start = end + 1;
  }
  return last;
}

/// The lines of `content` that belong to steps up to `last_step`; a torn last line goes too.
std::string lines_up_to(const std::string& content, std::int64_t last_step) {
  std::string kept;
  std::size_t start = 0;
  for (std::size_t end = content.find('\n'); end != std::string::npos;
       end = content.find('\n', start)) {
    const std::string line = content.substr(start, end - start + 1);
    const Json parsed = Json::parse(line, nullptr, false);
    const bool whole = line.find('\0') == std::string::npos; // a crash may leave NULs
    if (whole && parsed.is_object() && parsed.contains("step") &&
        parsed["step"].is_number_integer() && parsed["step"].get<std::int64_t>() <= last_step) {
      kept += line;
    }
    start = end + 1;
  }
  return kept;
}

} // namespace

std::string progress_line(const StepReport& report, const Pace& pace) {
  std::string line = format(
      "step %lld/%lld",
      static_cast<long long>(report.step),
      static_cast<long long>(pace.most_steps));
  line += " | stage " + report.stage;
  line += report.skipped ? " | SKIPPED, not finite" : format(" | loss %.4f", report.loss);
  line += format(" | mean %.4f", report.mean_loss);
  if (report.answer_loss) {
    line += format(" | answer %.4f", *report.answer_loss);
  }
  line += " | " + with_unit(pace.tokens_per_second) + " tok/s";
  line += format(" | lr %.2e | norm %.3f", report.lr, report.grad_norm);
  if (report.padded_share > 0) {
    line += format(" | padding %.1f %%", 100 * report.padded_share);
  }
  line += " | " + format("%.0f MB", static_cast<double>(pace.memory_bytes) / 1e6);
  line +=
      std::string(" | ") + (pace.at_most ? "at most " : "") + duration(pace.seconds_left) + " left";
  return line;
}

// Of more than these only the 1st, 2nd, 4th, … and the last: metrics.jsonl has them all.
constexpr std::size_t kMostSegmentsShown = 16;

std::string validation_line(std::int64_t step, const ValidationReport& report) {
  std::string line = format(
      "validation at step %lld | %s | mean %.4f (perplexity %.3f)",
      static_cast<long long>(step),
      report.dataset.c_str(),
      report.mean_loss,
      std::exp(report.mean_loss));
  if (report.answer_loss) {
    line += format(" | answer %.4f", *report.answer_loss);
  }
  if (report.answers_certain) {
    line += format(" | answers certain %.1f %%", 100 * *report.answers_certain);
  }
  line += " | by segment";
  const std::size_t count = report.segment_losses.size();
  const bool all = count <= kMostSegmentsShown;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t number = i + 1;
    if (!all && !std::has_single_bit(number) && number != count) {
      continue;
    }
    const std::optional<double>& loss = report.segment_losses[i];
    line += all ? " " : format(" %zu: ", number);
    line += loss ? format("%.4f", *loss) : "-";
  }
  return line;
}

MetricsLog::MetricsLog(const fs::path& run_directory, std::int64_t first_step, bool tensorboard) {
  const fs::path path = run_directory / "metrics.jsonl";
  std::string kept;
  if (first_step > 0 && fs::exists(path)) {
    kept = lines_up_to(read_file(path), first_step);
    seconds_before_ = last_number(kept, "seconds");
    last_time_ = last_number(kept, "time");
  }
  write_file_atomic(path, kept);
  file_ = std::make_unique<AppendBuffer>(path);
  if (tensorboard) {
    events_ = std::make_unique<EventFile>(run_directory / "events", first_step);
  }
}

MetricsLog::~MetricsLog() = default;

void MetricsLog::write(const StepReport& report, const std::optional<Pace>& pace) {
  Json line;
  line["step"] = report.step;
  line["stage"] = report.stage;
  line["loss"] = number(report.loss);
  line["mean_loss"] = number(report.mean_loss);
  if (report.answer_loss) {
    line["answer_loss"] = number(report.answer_loss);
  }
  line["lr"] = report.lr;
  line["grad_norm"] = number(report.grad_norm);
  line["segments"] = report.num_segments;
  line["prefix_segments"] = report.num_prefix_segments;
  line["segment_length"] = report.segment_length;
  line["tokens_seen"] = report.tokens_seen;
  line["time"] = to_milliseconds(time());
  line["seconds"] = to_milliseconds(seconds());
  if (report.padded_share > 0) {
    line["padded_share"] = report.padded_share;
  }
  if (report.skipped) {
    line["skipped"] = true;
  }
  if (pace) {
    line["tokens_per_second"] = pace->tokens_per_second;
    line["memory_bytes"] = pace->memory_bytes;
  }
  write_line(line.dump());
  if (events_) {
    std::vector<Scalar> scalars = {
        {"train/loss", report.loss},
        {"train/mean_loss", report.mean_loss},
        {"train/lr", report.lr},
        {"train/grad_norm", report.grad_norm},
        {"train/segments", static_cast<double>(report.num_segments)}};
    if (report.answer_loss) {
      scalars.push_back({"train/answer_loss", *report.answer_loss});
    }
    if (report.padded_share > 0) {
      scalars.push_back({"train/padded_share", report.padded_share});
    }
    if (pace) {
      scalars.push_back({"speed/tokens_per_second", pace->tokens_per_second});
      scalars.push_back({"speed/memory_bytes", static_cast<double>(pace->memory_bytes)});
    }
    events_->add(report.step, scalars);
  }
}

void MetricsLog::write(std::int64_t step, const std::vector<ValidationReport>& reports) {
  Json line;
  line["step"] = step;
  line["time"] = to_milliseconds(time());
  line["seconds"] = to_milliseconds(seconds());
  for (const ValidationReport& report : reports) {
    Json& entry = line["validation"][report.dataset];
    entry["mean_loss"] = number(report.mean_loss);
    if (report.answer_loss) {
      entry["answer_loss"] = number(report.answer_loss);
    }
    if (report.answers_certain) {
      entry["answers_certain"] = number(report.answers_certain);
    }
    for (const std::optional<double>& loss : report.segment_losses) {
      entry["segment_losses"].push_back(number(loss));
    }
    if (events_) {
      const std::string prefix = "validation/" + report.dataset + "/";
      const std::string mean = prefix + "mean_loss", answer = prefix + "answer_loss";
      std::vector<Scalar> scalars = {{mean, report.mean_loss}};
      if (report.answer_loss) {
        scalars.push_back({answer, *report.answer_loss});
      }
      events_->add(step, scalars);
    }
  }
  write_line(line.dump());
}

void MetricsLog::sync() {
  file_->sync();
  if (events_) {
    events_->sync();
  }
}

double MetricsLog::seconds() const {
  const std::chrono::duration<double> here = std::chrono::steady_clock::now() - began_;
  return seconds_before_ + here.count();
}

double MetricsLog::time() {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  last_time_ = std::max(last_time_, now.count()); // a clock may be set back
  return last_time_;
}

void MetricsLog::write_line(const std::string& line) {
  file_->add(line + '\n');
  if (observer_) {
    observer_(line);
  }
}

} // namespace fcc
