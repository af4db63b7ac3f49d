#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "fcc/config/run_config.h"
#include "fcc/data/loader.h"
#include "fcc/model/parameters.h"
#include "fcc/optim/optimizer.h"
#include "fcc/text/tokenizer.h"
#include "fcc/train/curriculum.h"

namespace fcc {

/// Keys that a run was told to go on with in place of others.
struct CourseChange {
  std::int64_t step = 0;
  std::string keys; ///< `optim.lr (was 0.001, is 0.0005), …`
};

/// Everything a resumed run needs besides tensors: `trainer.json`. No clock value is in it, so that
/// equal runs write equal files.
struct TrainerState {
  Curriculum::State curriculum;
  std::int64_t num_updates = 0; ///< of the optimizer: steps without the skipped ones
  std::int64_t skipped_steps = 0;
  std::int64_t tokens_seen = 0;
  std::vector<Loader::State> loaders; ///< data.train first, then each stage with data of its own
  std::int64_t threads = 0;           ///< what `auto` became
  std::string device;                 ///< what `auto` became: cpu or cuda
  std::string tokenizer_hash;
  std::vector<std::string> sources; ///< fingerprints of all loaders' datasets, in order
  std::string config; ///< JSON: the keys that decide the course (see course_of_config)
  std::vector<CourseChange> course_changes; ///< of `--new-course`, oldest first
  std::optional<double> best_validation;    ///< mean loss of the model in `best/`
};

/// What a checkpoint is written from.
struct CheckpointData {
  at::Tensor compute, master; ///< [P] flat buffers
  std::vector<OptimizerState> optimizer;
  TrainerState state;

  /// Puts the same into memory on the CPU, which training does not change. The copy's buffers are
  /// made the first time: fresh memory is several times as slow to fill.
  void copy_to(CheckpointData& copy) const;
};

/// Writes a whole checkpoint directory, or nothing (`AtomicDirectory`):
///
///     model.safetensors, config.json, tokenizer files   a model directory like any other
///     optimizer.safetensors    master.<Hugging Face name> of every weight, and each state of the
///                              optimizer alike (exp_avg.<…>); float32 or float64
///     trainer.json, manifest.json
///
/// Of `layout` only the shapes and names count.
/// Errors: `IoError` (a full disk too), `Error` if a weight or state is not finite; what stood at
/// `directory` before stays.
void save_checkpoint(
    const std::filesystem::path& directory,
    const CheckpointData& data,
    const FlatParameters& layout,
    const Tokenizer& tokenizer,
    const TokenizerConfig& tokenizer_config);

/// Only what inference needs: model, config and tokenizer, as one directory that is there whole or
/// not at all. Errors: as `save_checkpoint`.
void save_final_model(
    const std::filesystem::path& directory,
    const at::Tensor& compute,
    const FlatParameters& layout,
    const Tokenizer& tokenizer,
    const TokenizerConfig& tokenizer_config);

/// Reads a checkpoint back: every file is as its manifest says, and what a resumed run needs is
/// among them. Returns its step. Errors: `FormatError` naming what is broken, `IoError` if a file
/// that is there cannot be read.
std::int64_t verify_checkpoint(const std::filesystem::path& directory);

/// Errors: `FormatError` naming the key.
TrainerState load_trainer_state(const std::filesystem::path& directory);

/// Restores master, compute and the optimizer's states, bit for bit. Every tensor must be there
/// with its shape and dtype, and no other. Errors: `FormatError` naming the tensor.
void load_optimizer(
    const std::filesystem::path& directory,
    FlatParameters& parameters,
    Optimizer& optimizer);

} // namespace fcc
