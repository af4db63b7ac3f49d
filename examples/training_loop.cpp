// A training loop of one's own: model, data, executor and optimizer put together by hand, in place
// of `fcc::Trainer`. Trains a tiny model to find a number in a text, and saves it in Hugging Face's
// layout, which load_and_stream.cpp reads.
//
// usage: training_loop FOLDER [STEPS]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <vector>

#include "fcc/fcc.h"

namespace {

constexpr std::int64_t kSegmentLength = 32; // tokens
constexpr double kLearningRate = 3e-3, kClip = 1.0;

fcc::ModelConfig tiny_model(const fcc::Tokenizer& tokenizer) {
  fcc::ModelConfig model;
  model.vocab_size = tokenizer.vocab_size();
  model.hidden_size = 64;
  model.intermediate_size = 160;
  model.num_hidden_layers = 2;
  model.num_attention_heads = 4;
  model.num_key_value_heads = 2;
  model.head_dim = 16;
  model.fcc.emplace().segment_length = kSegmentLength; // memory: folded context condensation
  return model;
}

/// One optimizer step on one batch; returns its mean loss a target.
double train_step(
    const fcc::Batch& batch,
    fcc::FlatParameters& parameters,
    fcc::Executor& executor,
    fcc::Optimizer& optimizer) {
  fcc::LossCounts counts;
  fcc::count_targets(batch, counts); // of several micro-batches: add all of them up first
  const std::vector<double> coefficients =
      fcc::loss_coefficients(batch, counts, fcc::LossKind::kTokenMean);
  const at::Tensor& master = parameters.master();

  executor.clear_gradients();
  const fcc::PassResult pass = executor.train(
      fcc::to_micro_batch(batch, coefficients, master.device(), master.scalar_type()));
  const double norm = std::sqrt(fcc::squared_norm(parameters.grad()).item<double>());
  optimizer.step(kLearningRate, fcc::clip_factor(norm, kClip));
  return pass.loss.item<double>(); // the coefficients of kTokenMean add up to 1
}

void train(const std::filesystem::path& folder, std::int64_t num_steps) {
  fcc::TokenizerConfig tokenizer_config;
  tokenizer_config.type = fcc::TokenizerKind::kBytes;
  const auto tokenizer = fcc::make_tokenizer(tokenizer_config);
  fcc::FlatParameters parameters(
      tiny_model(*tokenizer), fcc::ComputeDType::kFloat32, at::kCPU, /*seed=*/1);

  fcc::EngineSection engine; // every default: `auto` is the reference on a CPU, `fused` on a GPU
  const auto executor = fcc::make_executor(parameters, engine);
  const auto optimizer = fcc::make_optimizer(fcc::OptimSection(), parameters);

  fcc::DatasetConfig passkey;
  passkey.type = fcc::DatasetKind::kPasskey;
  passkey.filler = "The grass is green.";
  fcc::Loader loader = fcc::make_loader({passkey}, tokenizer, /*seed=*/2);
  const fcc::BatchShape shape{.batch_size = 2, .num_segments = 6, .segment_length = kSegmentLength};

  for (std::int64_t step = 0; step < num_steps; ++step) {
    const double loss = train_step(loader.next(shape), parameters, *executor, *optimizer);
    if (step == 0 || step == num_steps - 1) {
      std::printf("step %lld: loss %.4f\n", static_cast<long long>(step), loss);
    }
  }

  std::filesystem::create_directories(folder);
  fcc::save_model(parameters, parameters.master(), fcc::DType::kF32, folder);
  fcc::save_tokenizer(*tokenizer, tokenizer_config, folder);
}

} // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FOLDER [STEPS]\n", argv[0]);
    return 2;
  }
  try {
    train(argv[1], argc > 2 ? std::atoll(argv[2]) : 30);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
