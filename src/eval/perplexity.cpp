#include "fcc/eval/perplexity.h"

#include <algorithm>
#include <string>

#include <ATen/Functions.h>
#include <ATen/ops/from_blob.h>

#include "fcc/config/model_config.h"
#include "fcc/core/error.h"
#include "fcc/engine/executor.h"

namespace fcc {
namespace {

// A host array as a tensor of its own, [rows, columns].
template <typename T>
at::Tensor copy_of(
    const std::vector<T>& values,
    std::int64_t rows,
    std::int64_t columns,
    at::ScalarType dtype) {
  check(
      static_cast<std::int64_t>(values.size()) == rows * columns,
      "add_losses",
      "the batch's arrays must have its shape",
      std::to_string(values.size()));
  // from_blob takes no const pointer; the copy is made before anything could write.
  return at::from_blob(
             const_cast<T*>(values.data()),
             {rows, columns},
             at::CPU(c10::CppTypeToScalarType<T>::value))
      .to(dtype, /*non_blocking=*/false, /*copy=*/true);
}

} // namespace

void add_losses(
    SegmentLosses& losses,
    Executor& executor,
    const ModelConfig& config,
    const Batch& batch,
    const PerplexityOptions& options) {
  const std::int64_t rows = batch.shape.batch_size;
  const std::int64_t length = batch.shape.length_tokens();
  const std::int64_t segment_length = options.segment_length;
  check(
      segment_length >= 1 && length % segment_length == 0,
      "add_losses",
      "rows must be whole segments",
      std::to_string(length) + " tokens");
  const std::int64_t num_segments = length / segment_length;
  const auto outside = std::find_if(batch.ids.begin(), batch.ids.end(), [&](std::int32_t id) {
    return id < 0 || id >= config.vocab_size;
  });
  if (outside != batch.ids.end()) {
    throw Error(
        "perplexity",
        "token ids must be below the model's vocabulary of " + std::to_string(config.vocab_size),
        std::to_string(*outside),
        "the tokens were made with another tokenizer");
  }
  at::Tensor ids = copy_of(batch.ids, rows, length, at::kLong);         // [B, T]
  at::Tensor targets = copy_of(batch.targets, rows, length, at::kLong); // [B, T]
  at::Tensor starts;                                                    // [B, S]
  if (!batch.segment_starts_document.empty() && config.arch() != Architecture::kLlama) {
    starts = copy_of(batch.segment_starts_document, rows, num_segments, at::kBool);
  }
  losses.segments.resize(std::max(losses.segments.size(), static_cast<std::size_t>(num_segments)));
  losses.num_sequences += rows;

  // token_losses [B, t·L] of the segments from `first` on.
  const auto add =
      [&](const at::Tensor& token_losses, const at::Tensor& counted, std::int64_t first) {
        const at::Tensor sums = token_losses.to(at::kCPU, at::kDouble)
                                    .reshape({rows, -1, segment_length})
                                    .sum({0, 2}); // [t]
        const at::Tensor counts =
            counted.ne(kIgnoredTarget).reshape({rows, -1, segment_length}).sum({0, 2});
        for (std::int64_t i = 0; i < sums.size(0); ++i) {
          SegmentLoss& segment = losses.segments[static_cast<std::size_t>(first + i)];
          segment.loss_sum += sums[i].item<double>();
          segment.num_targets += counts[i].item<std::int64_t>();
        }
      };
  const auto run = [&](const at::Tensor& chunk_ids,
                       const at::Tensor& chunk_targets,
                       const at::Tensor& chunk_starts,
                       MemoryState* state) {
    return executor
        .evaluate(
            {.ids = chunk_ids,
             .targets = chunk_targets,
             .coefficients = at::ones(chunk_ids.sizes(), at::kDouble),
             .segment_starts_document = chunk_starts},
            state)
        .token_losses;
  };

  const bool whole_rows = config.arch() == Architecture::kLlama && !options.cut_memory;
  const std::int64_t chunk =
      whole_rows ? num_segments : std::max<std::int64_t>(1, options.chunk_segments);
  MemoryState state;
  for (std::int64_t first = 0; first < num_segments; first += chunk) {
    const std::int64_t count = std::min(chunk, num_segments - first);
    at::Tensor chunk_ids = ids.narrow(1, first * segment_length, count * segment_length);
    const at::Tensor chunk_targets =
        targets.narrow(1, first * segment_length, count * segment_length);
    if (options.cut_memory) {
      const at::Tensor token_losses =
          run(chunk_ids.reshape({rows * count, segment_length}),
              chunk_targets.reshape({rows * count, segment_length}),
              {},
              nullptr);
      add(token_losses, chunk_targets, first);
    } else {
      add(run(chunk_ids.contiguous(),
              chunk_targets.contiguous(),
              starts.defined() ? starts.narrow(1, first, count) : at::Tensor(),
              whole_rows ? nullptr : &state),
          chunk_targets,
          first);
    }
  }
}

} // namespace fcc
