#include "common/torch/prefill.h"

#include <algorithm>

#include <ATen/ops/full_like.h>
#include <ATen/ops/zeros_like.h>

namespace fcc::tools {

Prefill::Prefill(const ModelOptions& options)
    : options_(options),
      fused_(chosen_execution(options) == Execution::kFused),
      model_(load_model(options)) {}

std::int64_t Prefill::run(const at::Tensor& ids, MemoryState& state) {
  constexpr std::int64_t kTokensAtOnce = 16384; // bounds the activations, whatever the batch size
  if (!fused_ || (state.partial_ids.defined() && state.partial_ids.numel() > 0)) {
    return 0;
  }
  const std::int64_t length = model_.config().fcc->segment_length;
  const std::int64_t num_tokens = (ids.size(1) - 1) / length * length;
  if (num_tokens <= 0) {
    return 0;
  }
  if (executor_ == nullptr) {
    executor_ = make_executor(options_, model_);
  }
  const std::int64_t at_once =
      std::max<std::int64_t>(1, kTokensAtOnce / (length * ids.size(0))) * length;
  const at::Tensor on_device = ids.to(model_.weights.embed_tokens.device());
  for (std::int64_t first = 0; first < num_tokens; first += at_once) {
    const std::int64_t count = std::min(at_once, num_tokens - first);
    MicroBatch batch;
    batch.ids = on_device.narrow(1, first, count).contiguous();
    batch.targets = at::full_like(batch.ids, -100);
    batch.coefficients = at::zeros_like(batch.ids, batch.ids.options().dtype(at::kFloat));
    batch.num_prefix_segments = count / length; // no head: memory alone
    executor_->evaluate(batch, &state);
  }
  return num_tokens;
}

} // namespace fcc::tools
