#include "fcc/eval/perplexity.h"

#include <algorithm>
#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones.h>

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
      "perplexity",
      "the batch's arrays must have its shape",
      std::to_string(values.size()));
  // from_blob takes no const pointer; the copy is made before anything could write.
  const at::TensorOptions options = c10::CppTypeToScalarType<T>::value;
  return at::from_blob(const_cast<T*>(values.data()), {rows, columns}, options)
      .to(dtype, /*non_blocking=*/false, /*copy=*/true);
}

void check_vocabulary(const at::Tensor& ids, std::int64_t vocab_size) {
  const auto least = ids.min().item<std::int64_t>(), most = ids.max().item<std::int64_t>();
  if (least < 0 || most >= vocab_size) {
    throw Error(
        "perplexity",
        "token ids must be below the model's vocabulary of " + std::to_string(vocab_size),
        std::to_string(least < 0 ? least : most),
        "the tokens were made with another tokenizer");
  }
}

// Adds token losses [B, t·L] (or [B·t, L]) to the segments from `first` on.
void add_chunk(
    SegmentLosses& losses,
    const at::Tensor& token_losses,
    const RowChunk& chunk,
    std::int64_t first,
    std::int64_t segment_length) {
  const std::vector<std::int64_t> shape{chunk.ids.size(0), -1, segment_length}; // [B, t, L]
  const at::IntArrayRef all_but_segments{0, 2};
  const at::Tensor sums =
      token_losses.to(at::kCPU, at::kDouble).reshape(shape).sum(all_but_segments); // [t]
  const at::Tensor counts =
      chunk.targets.ne(kIgnoredTarget).reshape(shape).sum(all_but_segments); // [t]
  for (std::int64_t i = 0; i < sums.size(0); ++i) {
    SegmentLoss& segment = losses.segments[static_cast<std::size_t>(first + i)];
    segment.loss_sum += sums[i].item<double>();
    segment.num_targets += counts[i].item<std::int64_t>();
  }
}

} // namespace

void add_losses(
    SegmentLosses& losses,
    Executor& executor,
    const ModelConfig& config,
    const RowSource& rows,
    const PerplexityOptions& options) {
  const bool llama = config.arch() == Architecture::kLlama;
  const std::int64_t L = options.segment_length;
  const bool whole_rows = llama && !options.cut_memory;
  const std::int64_t chunk_segments =
      whole_rows ? rows.num_segments : std::max<std::int64_t>(1, options.chunk_segments);
  losses.segments.resize(
      std::max(losses.segments.size(), static_cast<std::size_t>(rows.num_segments)));
  losses.num_sequences += rows.num_rows;

  MemoryState state;
  for (std::int64_t first = 0; first < rows.num_segments; first += chunk_segments) {
    const std::int64_t count = std::min(chunk_segments, rows.num_segments - first);
    const RowChunk chunk = rows.read(first, count);
    check_vocabulary(chunk.ids, config.vocab_size);
    // Cut, each segment is a row of its own, and no memory is handed on.
    const std::vector<std::int64_t> shape =
        options.cut_memory ? std::vector<std::int64_t>{rows.num_rows * count, L}
                           : std::vector<std::int64_t>{rows.num_rows, count * L};
    MicroBatch batch;
    batch.ids = chunk.ids.reshape(shape).to(options.device);
    batch.targets = chunk.targets.reshape(shape).to(options.device);
    batch.coefficients = at::ones(shape, at::TensorOptions(options.device).dtype(at::kFloat));
    if (!options.cut_memory && !llama && chunk.segment_starts_document.defined()) {
      batch.segment_starts_document = chunk.segment_starts_document.to(options.device);
    }
    const bool carries = !options.cut_memory && !llama;
    const PassResult result = executor.evaluate(batch, carries ? &state : nullptr);
    add_chunk(losses, result.token_losses, chunk, first, L);
  }
}

RowSource rows_of_batch(const Batch& batch) {
  const std::int64_t B = batch.shape.batch_size, S = batch.shape.all_segments();
  const std::int64_t L = batch.shape.segment_length;
  const at::Tensor ids = copy_of(batch.ids, B, S * L, at::kLong);
  const at::Tensor targets = copy_of(batch.targets, B, S * L, at::kLong);
  at::Tensor starts;
  if (!batch.segment_starts_document.empty()) {
    starts = copy_of(batch.segment_starts_document, B, S, at::kBool);
  }
  return {
      .num_rows = B, .num_segments = S, .read = [=](std::int64_t first, std::int64_t count) {
        return RowChunk{
            .ids = ids.narrow(1, first * L, count * L),
            .targets = targets.narrow(1, first * L, count * L),
            .segment_starts_document = starts.defined() ? starts.narrow(1, first, count) : starts};
      }};
}

RowSource rows_of_text(
    const TokenText& text,
    std::int64_t first_row,
    std::int64_t num_rows,
    std::int64_t num_segments,
    std::int64_t segment_length) {
  return {
      .num_rows = num_rows,
      .num_segments = num_segments,
      .read = [=](std::int64_t first, std::int64_t count) {
        const std::int64_t length = count * segment_length;
        std::vector<std::int32_t> ids, targets;
        for (std::int64_t row = first_row; row < first_row + num_rows; ++row) {
          const std::int64_t begin = (row * num_segments + first) * segment_length;
          std::vector<std::int32_t> tokens(
              static_cast<std::size_t>(std::min(length + 1, text.num_tokens - begin)));
          text.read(begin, tokens);
          tokens.resize(static_cast<std::size_t>(length + 1), kIgnoredTarget);
          ids.insert(ids.end(), tokens.begin(), tokens.end() - 1);
          targets.insert(targets.end(), tokens.begin() + 1, tokens.end());
        }
        return RowChunk{
            .ids = copy_of(ids, num_rows, length, at::kLong),
            .targets = copy_of(targets, num_rows, length, at::kLong),
            .segment_starts_document = {}};
      }};
}

} // namespace fcc
