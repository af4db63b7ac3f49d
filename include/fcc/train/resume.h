#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "fcc/config/run_config.h"
#include "fcc/train/curriculum.h"
#include "fcc/train/run_directory.h"

namespace fcc {

/// The keys of a resolved configuration (JSON) that decide the course of a run: all but comments,
/// the paths of training data and tokenizer (their content is compared by fingerprint and hash),
/// `output`, `log`, `checkpoint`, and what only looks on (`data.validation`,
/// `train.validate_every`, `train.validation_batches`, `train.validation_segments`) or ends a run
/// that fails (`train.max_skipped_steps`, `train.max_consecutive_skipped_steps`).
std::string course_of_config(const std::string& resolved_json);

/// The engine's section of such a course. Errors: `FormatError`.
EngineSection engine_of_course(const std::string& course);

/// Does a resumed run keep its course, or take the changed keys of its configuration?
enum class Course { kSame, kNew };

/// Refuses to go on with a run under a configuration that would alter its course: a resumed run
/// equals an uninterrupted one bit for bit. Both arguments are from `course_of_config`. A key that
/// a checkpoint of an older version lacks had its default.
/// Errors: `ConfigError` that names every changed key with its old and new value, or a key that
/// this version does not know.
void check_same_course(const std::string& saved, const std::string& now);

/// The changed keys of a run that takes a new course (`optim.lr (was 0.1, is 0.05), …`), or ""
/// where there are none. `optim`, `train`, `loss` and `engine` may change; the model and the data
/// stay. Errors: `ConfigError` naming what may not.
std::string check_new_course(const std::string& saved, const std::string& now);

/// Where a run that stood at `position` of the stages in `saved` stands in those of `now`. A stage
/// that has become shorter than its steps so far is over; a finished run goes on with the stages
/// that were added, or with the last one, if that has become longer.
/// Errors: `ConfigError` where nothing is left to train, or the last stage ended by `until`.
Curriculum::State position_on_new_course(
    const std::string& saved,
    const TrainSection& now,
    Curriculum::State position);

/// The checkpoint that `--resume` asks for.
///
/// `auto`: the newest in the run directory that is whole; a broken one is reported (log, warning)
/// and the one before it is taken. One that cannot be read is an error: going back over what a disk
/// refuses for a moment would lose steps. Nothing there: a new run. Every checkpoint broken:
/// `FormatError`. A path: that checkpoint, which must be whole. Absent: a new run, refused where
/// checkpoints are. Errors: `ConfigError`, `FormatError` naming the file that is broken, `IoError`.
std::optional<std::filesystem::path> find_checkpoint(
    const RunFiles& run,
    const std::optional<std::string>& resume);

} // namespace fcc
