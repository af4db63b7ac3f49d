#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/field.h"
#include "fcc/config/int_distribution.h"
#include "fcc/config/model_config.h"

namespace fcc {

enum class TokenizerKind { kAuto, kBytes, kWords, kSentencePiece, kHuggingFace, kTiktoken };

/// Which tokenizer, from where, and whether documents begin with BOS and end with EOS.
struct TokenizerConfig {
  TokenizerKind type = TokenizerKind::kAuto; ///< auto: by the files found in `path`
  std::optional<std::string> path;           ///< file or model directory (not for bytes)
  /// Absent: as the tokenizer was saved with a model (fcc_tokenizer.json), else BOS no, EOS yes.
  std::optional<bool> add_bos = std::nullopt;
  std::optional<bool> add_eos = std::nullopt;

  bool begins_with_bos() const {
    return add_bos.value_or(false);
  }
  bool ends_with_eos() const {
    return add_eos.value_or(true);
  }
};

/// Factors on `initializer_range`, the standard deviation of new matrices; the embedding keeps it.
struct InitScales {
  double layers = 1.0;  ///< all matrices of the layers
  double outputs = 1.0; ///< o_proj and down_proj, on top
};

struct ModelSection {
  std::optional<std::string> path;   ///< Hugging Face directory to start from, weights included
  std::optional<std::string> preset; ///< a named shape, new weights
  std::optional<ModelConfig> config; ///< a full shape, new weights
  std::optional<FccConfig> fcc;      ///< replaces the `fcc` section of path, preset or config
  InitScales init;                   ///< of new weights
};

enum class DatasetKind { kTokens, kDocuments, kPasskey, kPairs };
enum class DocumentMemory { kCarry, kReset };
enum class LossOn { kAll, kAnswer };

/// One way to tell a key and to ask for it.
struct PasskeyWording {
  std::string needle, question;
};

/// One source of training or validation sequences.
struct DatasetConfig {
  DatasetKind type = DatasetKind::kTokens;
  std::string name;                ///< in reports; default: type and index
  std::optional<std::string> path; ///< token file (tokens, documents), JSONL (pairs)
  double weight = 1.0;             ///< share of the rows among the section's datasets
  DocumentMemory document_memory = DocumentMemory::kCarry; ///< does memory cross document borders
  // passkey (appendix C of arXiv 2405.04620); texts default to the paper's
  std::int64_t digits = 4;
  double first_share = 0.0;    ///< share of samples with the needle at the very start
  std::optional<double> depth; ///< fixed depth in 0..1; default: uniform
  std::optional<std::string> intro, filler, needle, question; ///< `{key}` stands for the digits
  IntDistribution keys = IntDistribution::fixed(1);      ///< needles of a row; several have names
  IntDistribution questions = IntDistribution::fixed(0); ///< anywhere in a row; 0: one, at its end
  std::optional<std::vector<std::string>> names;         ///< what `{name}` stands for
  std::optional<std::vector<PasskeyWording>> wordings;   ///< in place of `needle`, `question`
  std::optional<std::string> filler_path; ///< token file of text, in place of `filler`
  // passkey, pairs
  LossOn loss_on = LossOn::kAll;
  double context_weight = 1.0; ///< target weight outside the answer (loss_on all)
  double answer_weight = 1.0;  ///< target weight of the answer
};

struct DataSection {
  TokenizerConfig tokenizer;
  std::vector<DatasetConfig> train;
  std::vector<DatasetConfig> validation;
};

/// Ends a stage early: `metric` stays under `below` over the last `window` steps.
struct UntilConfig {
  std::string metric = "loss"; ///< loss (plain mean per token) or answer_loss
  double below = 0.0;
  std::int64_t window = 20; ///< steps
};

enum class LrSchedule { kCosine, kLinear, kConstant };

/// A stretch of training with its own lengths; what is absent is inherited from `train`/`optim`.
struct StageConfig {
  std::string name;
  std::int64_t steps = 0; ///< at most, with `until`
  std::optional<UntilConfig> until;
  IntDistribution segments = IntDistribution::fixed(1); ///< segments with gradient, drawn each step
  IntDistribution prefix_segments = IntDistribution::fixed(0); ///< before them, without gradient
  std::optional<std::int64_t> segment_length;     ///< L from this stage on; absent: as before it
  std::optional<std::int64_t> batch_size;         ///< rows a micro-batch and rank
  std::optional<std::int64_t> accumulate;         ///< micro-batches a step
  std::optional<double> lr;                       ///< peak of this stage
  std::optional<std::vector<DatasetConfig>> data; ///< in place of data.train
};

struct TrainSection {
  std::int64_t seed = 0;
  std::int64_t batch_size = 1; ///< rows a micro-batch and rank
  std::int64_t accumulate = 1; ///< micro-batches a step
  std::vector<StageConfig> stages;
  std::int64_t validate_every = 0; ///< steps; 0: only at the end
  std::int64_t validation_batches = 8;
  std::int64_t validation_segments = 8; ///< segments a validation sequence
  std::int64_t max_skipped_steps = 100; ///< non-finite steps in all before the run ends
  std::int64_t threads = 0;             ///< CPU threads; 0: torch's choice
};

enum class LossKind { kSegmentMeanSum, kTokenMean };

struct LossSection {
  LossKind kind = LossKind::kSegmentMeanSum;
};

struct OptimSection {
  double lr = 3e-4;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1; ///< on matrices only
  double clip = 1.0;         ///< global norm; 0: off
  LrSchedule schedule = LrSchedule::kCosine;
  std::int64_t warmup_steps = 0;
  double decay_share = 1.0; ///< the last share of all steps decays (linear: 0.3 is a good start)
  double final_lr_ratio = 0.1;
  std::vector<std::string> freeze; ///< Hugging Face names or `prefix*`
};

enum class Execution { kAuto, kReference, kFused };
enum class Schedule { kWavefront, kSequential };
enum class Activations { kStore, kRecompute, kAuto };
enum class AttentionBackend { kAuto, kFcc, kFlash, kCudnn, kReference };
enum class ComputeDType { kFloat64, kFloat32, kBFloat16 };

struct EngineSection {
  std::string device = "auto"; ///< auto, cpu, cuda, cuda:N
  ComputeDType dtype = ComputeDType::kFloat32;
  AttentionBackend attention = AttentionBackend::kAuto;
  std::optional<std::int64_t> bptt_segments; ///< null: gradient through all memory
  Execution execution = Execution::kAuto;
  Schedule schedule = Schedule::kWavefront;     ///< fused only
  Activations activations = Activations::kAuto; ///< fused only
  std::optional<std::int64_t> chunk_segments;   ///< fused: segments a chunk; null: by `activations`
  std::optional<double> memory_gib; ///< fused, auto: GiB to plan for; null: what is free
  bool boundary_memory_on_host =
      false;               ///< fused: memory between chunks waits in pinned host memory
  bool cuda_graphs = true; ///< fused, GPU: a chunk's launches are recorded and replayed
};

struct CheckpointSection {
  std::int64_t every = 0; ///< steps; 0: only at the end and on SIGTERM/SIGINT
  std::int64_t keep_last = 3;
  bool in_background = true; ///< written from a copy in main memory while training goes on
};

struct LogSection {
  std::int64_t every = 10; ///< steps a progress line
  bool tensorboard = true;
};

/// Everything `fcc-train` reads.
struct RunConfig {
  std::string output; ///< run directory
  ModelSection model;
  DataSection data;
  TrainSection train;
  LossSection loss;
  OptimSection optim;
  EngineSection engine;
  CheckpointSection checkpoint;
  LogSection log;
};

} // namespace fcc

#include "fcc/config/run_config_fields.h"
