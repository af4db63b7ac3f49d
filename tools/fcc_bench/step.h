#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fcc/config/model_config.h"
#include "fcc/engine/executor.h"
#include "fcc/model/parameters.h"
#include "fcc/optim/optimizer.h"
#include "fcc/train/layer_split.h"
#include "fcc/train/weight_exchange.h"
#include "fcc_bench/device.h"

namespace CLI {
class App;
}

namespace fcc::tools {

/// What a measured training step is made of, as the command line says it.
struct StepOptions {
  std::string preset = "table-1";
  std::string execution = "fused", attention = "auto", dtype = "auto", device = "auto";
  std::string kernels = "auto";
  std::int64_t chunk_segments = 0, weight_rows = 0;
  bool host_boundaries = false, cuda_graphs = true;
  std::int64_t steps = 10, warmup = 3;
  std::int64_t layer_ranks = 1;
  std::shared_ptr<Communicator> ranks = single_process(); ///< who measure together
};

/// Adds --preset, --layer-ranks, --execution, --attention, --kernels, --dtype, --device,
/// --chunk-segments,
/// --weight-rows, --host-boundaries, --cuda-graphs, --steps and --warmup, with the values in
/// `options` as defaults.
void add_step_options(CLI::App& app, StepOptions& options);

/// One combination to measure.
struct StepCase {
  std::int64_t segment_length = 512;      ///< L; 0: full attention (`llama`)
  std::int64_t batch = 1, tokens = 16384; ///< of each copy of the model
  std::string schedule = "wavefront", activations = "auto";
};

/// The preset's shape with segments of L tokens; L 0: plain Llama. `smollm2-135m` and
/// `llama-8b` (Llama-3.1-8B) are shapes of known models, `tiny` one for tests.
ModelConfig bench_model(const std::string& preset, std::int64_t segment_length);

/// "L 256" or "full attention".
std::string architecture_name(std::int64_t segment_length);

/// A model on random tokens, ready to be stepped: forward, backward, gradient norm and the
/// optimizer that runs have by default.
class TrainingStep {
 public:
  TrainingStep(const StepOptions& options, const StepCase& shape);

  /// One whole step; of one rank, returns when the device is done.
  void run();

  /// Waits for what the last step of several ranks began.
  void finish();

  /// Was the gradient of every step so far finite?
  bool finite() const {
    return finite_;
  }

  const ModelConfig& config() const {
    return parameters_.whole_config();
  }

 private:
  double gradient_norm();
  void share_tied_embedding();

  at::Device device_;
  std::shared_ptr<Communicator> ranks_, copies_, copy_; ///< as in `TrainerParts`
  std::unique_ptr<StageLink> link_;
  FlatParameters parameters_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<WeightExchange> exchange_;
  MicroBatch batch_;
  bool finite_ = true;
};

/// Seconds a step and the memory of a case.
struct StepTiming {
  double min = 0, median = 0, max = 0;
  std::int64_t peak_bytes = 0; ///< most memory held while the case ran; on a CPU what it added
  double flops = 0;            ///< a step's, of each rank
  std::int64_t num_copies = 1; ///< of the model, each with a batch of its own
  bool finite = true; ///< else products of NaN were timed, which draw less power and run faster

  double tokens_per_second(const StepCase& shape) const {
    return static_cast<double>(num_copies * shape.batch * shape.tokens) / median;
  }
  double tflops() const {
    return flops / median * 1e-12;
  }
};

inline constexpr const char* kNotFinite =
    "the gradient was not finite: the row above is no measurement";

/// Builds the case, runs `warmup` and `steps` steps, then `after(step)` if given (a profile,
/// outside of the figures), and frees everything. Several ranks go through it together; a step then
/// lasts from norm to norm, so that what is exchanged beside the next step's passes counts as that.
/// Errors: what the engine throws, out-of-memory
/// too.
StepTiming measure_steps(
    const StepOptions& options,
    const StepCase& shape,
    const std::function<void(TrainingStep&, const StepTiming&)>& after = {});

} // namespace fcc::tools
