#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fcc/config/attention_backend.h"
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

enum class DatasetKind { kTokens, kDocuments, kPasskey, kPairs, kRecall, kTask };
enum class DocumentMemory { kCarry, kReset };
enum class LossOn { kAll, kAnswer };

/// Where the answer of a made row ends.
enum class RowLength {
  kExact, ///< at the row's last token: always on the same place of its segment
  kFree   ///< at any token of the row's last segment, drawn anew; what follows it is padding
};

/// How the filler of `passkey` is cut so that a sample has the length that is asked for.
enum class FillerBlocks {
  kCut,           ///< wherever the needle and the question come
  kWholeButFirst, ///< whole repeats but for the first, which lacks its beginning
  kWhole          ///< whole repeats alone, as in the paper: the sample may be shorter than asked
};

/// What needles of tasks hide.
enum class NeedleValue { kDigits, kWords, kUuid };

/// What may be changed of a task (data/task.h); absent: as its name says. An option that a task
/// has no use for is refused.
struct TaskOptions {
  std::optional<NeedleValue> values;
  std::optional<std::int64_t> digits;         ///< of a number
  std::optional<std::int64_t> keys;           ///< names that have a value (variables: chains)
  std::optional<std::int64_t> asked;          ///< names that are asked for
  std::optional<std::int64_t> values_per_key; ///< needles of each name
  std::optional<std::int64_t> hops;           ///< assignments after the first
  std::optional<std::int64_t> facts;          ///< sentences of a story
  std::optional<std::int64_t> words;          ///< of a passage
  std::optional<std::string> wording;         ///< a built-in one or a JSON file
  std::optional<std::string> intro, filler, needle, question;
};

/// How a fact is told and asked for; `{key}` stands for its value, `{name}` for what it is of,
/// `{kind}` for the sort of value.
struct RecallTemplate {
  std::string needle, question;
};

/// One source of training or validation sequences.
struct DatasetConfig {
  DatasetKind type = DatasetKind::kTokens;
  std::string name; ///< in reports; default: type and index
  /// token file (tokens, documents, recall, task), JSONL or Parquet (pairs)
  std::optional<std::string> path;
  double weight = 1.0; ///< share of the rows among the section's datasets
  DocumentMemory document_memory = DocumentMemory::kCarry; ///< does memory cross document borders
  // passkey (appendix C of arXiv 2405.04620); texts default to the paper's
  std::int64_t digits = 4;
  double first_share = 0.0;    ///< share of samples with the needle at the very start
  std::optional<double> depth; ///< fixed depth in 0..1; default: uniform
  std::optional<std::string> intro, filler, needle, question; ///< `{key}` stands for the digits
  FillerBlocks filler_blocks = FillerBlocks::kCut;
  // passkey, task
  RowLength length = RowLength::kExact;
  // task (data/task.h)
  std::optional<std::string> task;    ///< its name
  std::optional<TaskOptions> options; ///< what is changed of it
  // recall (data/recall.h); templates and fillers default to built-in ones
  IntDistribution keys = IntDistribution::fixed(1);      ///< facts a row
  IntDistribution questions = IntDistribution::fixed(1); ///< questions a row
  double composed_share = 0.0; ///< share of facts in wordings put together at random
  double text_share = 0.0;     ///< share of rows whose filler is text of `path`
  std::optional<std::vector<RecallTemplate>> templates;
  std::optional<std::vector<std::string>> fillers; ///< one of them is repeated in a row
  // pairs
  std::optional<std::string> prompt_key, answer_key; ///< default: the names of known data sets
  /// `{prompt}` stands for the text; the answer follows. Default: appendix D of arXiv 2405.04620
  std::string prompt_template = "Summarize this text:\n{prompt}\n----Summary:\n";
  bool shuffle = true; ///< each epoch in an order of its own
  // passkey, pairs, recall, task
  LossOn loss_on = LossOn::kAll;
  double context_weight = 1.0; ///< target weight outside the answer (loss_on all)
  double answer_weight = 1.0;  ///< target weight of the answer
};

struct DataSection {
  TokenizerConfig tokenizer;
  std::vector<DatasetConfig> train;
  std::vector<DatasetConfig> validation;
};

/// Ends a stage early: `metric` stays under `below` over the last `window` values, or a
/// validation's has not fallen for `patience` validations.
struct UntilConfig {
  /// loss (plain mean per token), answer_loss, validation_loss or validation_answer_loss
  std::string metric = "loss";
  std::optional<double> below;
  std::int64_t window = 20;             ///< steps, or validations
  std::optional<std::int64_t> patience; ///< validations without a new lowest value
  std::string dataset;                  ///< name of the validation's data set; empty: the first

  bool looks_at_validation() const {
    return metric.starts_with("validation_");
  }
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
  std::optional<std::int64_t> batch_size;         ///< rows a micro-batch, of all ranks
  std::optional<std::int64_t> accumulate;         ///< micro-batches a step
  std::optional<double> lr;                       ///< peak of this stage
  std::optional<std::vector<DatasetConfig>> data; ///< in place of data.train
};

struct TrainSection {
  std::int64_t seed = 0;
  std::int64_t batch_size = 1; ///< rows a micro-batch, of all ranks
  std::int64_t accumulate = 1; ///< micro-batches a step
  std::vector<StageConfig> stages;
  std::int64_t validate_every = 0; ///< steps; 0: only at the end
  std::int64_t validation_batches = 8;
  std::int64_t validation_segments = 8;            ///< segments a validation sequence
  std::int64_t max_skipped_steps = 100;            ///< non-finite steps in all before the run ends
  std::int64_t max_consecutive_skipped_steps = 10; ///< the same of steps in a row
  std::int64_t threads = 0;                        ///< CPU threads; 0: torch's choice
};

enum class LossKind { kSegmentMeanSum, kTokenMean };

struct LossSection {
  LossKind kind = LossKind::kSegmentMeanSum;
};

enum class OptimKind { kAdamW, kMuon };

struct OptimSection {
  OptimKind kind = OptimKind::kAdamW;
  double lr = 3e-4;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double momentum = 0.95;    ///< muon: of the matrices in the layers
  bool nesterov = true;      ///< muon
  std::int64_t ns_steps = 5; ///< muon: Newton-Schulz iterations
  double weight_decay = 0.1; ///< on matrices only
  double clip = 1.0;         ///< global norm; 0: off
  LrSchedule schedule = LrSchedule::kCosine;
  std::int64_t warmup_steps = 0;
  double decay_share = 1.0; ///< the last share of all steps decays (linear: 0.3 is a good start)
  double final_lr_ratio = 0.1;
  std::vector<std::string> freeze = {}; ///< Hugging Face names or `prefix*`
};

enum class Execution { kAuto, kReference, kFused };
enum class Schedule { kWavefront, kSequential };
enum class Activations { kStore, kRecompute, kAuto };
enum class ComputeDType { kFloat64, kFloat32, kBFloat16 };

struct EngineSection {
  std::string device = "auto"; ///< auto, cpu, cuda, cuda:N
  ComputeDType dtype = ComputeDType::kFloat32;
  AttentionBackend attention = AttentionBackend::kAuto;
  std::optional<std::int64_t> bptt_segments; ///< null: gradient through all memory
  Execution execution = Execution::kAuto;
  KernelSet kernels = KernelSet::kAuto;         ///< fused only
  Schedule schedule = Schedule::kWavefront;     ///< fused only
  Activations activations = Activations::kAuto; ///< fused only
  std::optional<std::int64_t> chunk_segments;   ///< fused: segments a chunk; null: by `activations`
  std::optional<double> memory_gib; ///< fused, auto: GiB to plan for; null: what is free
  bool boundary_memory_on_host =
      false;                    ///< fused: memory between chunks waits in pinned host memory
  bool cuda_graphs = true;      ///< fused, GPU: a chunk's launches are recorded and replayed
  std::int64_t layer_ranks = 1; ///< fused: ranks that the layers are split over
};

struct CheckpointSection {
  std::int64_t every = 0; ///< steps; 0: only at the end and on a signal
  std::int64_t keep_last = 3;
  bool keep_best = false;     ///< `best/`: the model of the validation with the lowest loss
  bool in_background = true;  ///< written from a copy in main memory while training goes on
  bool stop_on_error = false; ///< false: one that cannot be written is tried again when next due
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
