#include "fcc/engine/memory_estimate.h"

#include <algorithm>

#include "engine/chunk.h"
#include "fcc/ops/cross_entropy.h"

namespace fcc {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kNormPiece = std::int64_t{1} << 25; // (src/optim/grad_norm)
constexpr std::int64_t kProductWorkspaceBytes = 64 * kMiB; // cuBLAS and cuBLASLt on Hopper

/// The sizes that every formula reads.
struct Sizes {
  ChunkPlan plan; ///< shape and schedule; no tensors
  at::ScalarType dtype = at::kFloat;
  std::int64_t num_parameters = 0;
  std::int64_t vocab = 0;   ///< V
  std::int64_t element = 4; ///< bytes of a value
  std::int64_t wide = 4;    ///< bytes of a sum
  bool kernels = false;
  Processor processor = Processor::kCpu;
  bool cpu = false;
};

Sizes sizes_of(const EnginePlan& plan, const ModelConfig& model, const StepShape& step) {
  Sizes sizes;
  sizes.plan = measured_chunk_plan(
      plan,
      model,
      step.batch,
      step.segment_length,
      MemoryPolicy(model).is_seen(step.num_segments + step.num_prefix_segments, /*carried=*/false));
  sizes.dtype = plan.dtype;
  sizes.num_parameters = count_parameters(model);
  sizes.vocab = model.vocab_size;
  sizes.wide = plan.dtype == at::kDouble ? 8 : 4;
  sizes.element = static_cast<std::int64_t>(c10::elementSize(plan.dtype));
  sizes.cpu = plan.processor == Processor::kCpu;
  sizes.processor = plan.processor;
  sizes.kernels =
      plan.processor != Processor::kCpu && plan.processor != Processor::kGpu && sizes.element == 2;
  return sizes;
}

void add_states(const Sizes& sizes, const OptimizerMemory& optimizer, MemoryEstimate& estimate) {
  const std::int64_t P = sizes.num_parameters;
  estimate.items.push_back({"master weights", P * sizes.wide});
  if (sizes.element != sizes.wide) {
    estimate.items.push_back({"weights in the compute dtype", P * sizes.element});
  }
  estimate.items.push_back({"gradients", P * sizes.wide});
  estimate.items.insert(estimate.items.end(), optimizer.states.begin(), optimizer.states.end());
}

/// The buffers of a chunk that keeps its activations, as it lays them out; those of one name as
/// one.
void add_chunk(const Sizes& sizes, std::int64_t num_segments, MemoryEstimate& estimate) {
  for (const PlacedTensor& placed :
       Chunk::layout(sizes.plan, num_segments, Chunk::Keep::kActivations, sizes.dtype)) {
    const auto same =
        std::find_if(estimate.items.begin(), estimate.items.end(), [&](const MemoryItem& item) {
          return item.name == placed.name;
        });
    if (same != estimate.items.end()) {
      same->bytes += placed.bytes;
    } else {
      estimate.items.push_back({std::string(placed.name), placed.bytes});
    }
  }
}

/// Final norm, logits and their gradient (`run_head`, `linear_cross_entropy_with_gradient`).
std::int64_t head_scratch(const Sizes& sizes, std::int64_t tokens) {
  const std::int64_t D = sizes.plan.shape.width, e = sizes.element, w = sizes.wide;
  const std::int64_t rows = tokens * (2 * D * e + 3 * w + 8); // hidden, its gradient, losses …
  if (sizes.kernels) {
    return rows; // the logits lie in the workspace
  }
  const std::int64_t logits = head_chunk_tokens(tokens, sizes.vocab, sizes.kernels) * sizes.vocab;
  const std::int64_t narrow = e == w ? 0 : e;
  // The logits and the exponentials of their sum; or the logits, a narrow copy, a gradient of the
  // weight in the compute dtype. After the head: the norm's temporaries.
  const std::int64_t sweep =
      std::max(logits * 2 * w, logits * (w + narrow) + (narrow > 0 ? sizes.vocab * D * e : 0));
  return rows + std::max(sweep, tokens * D * 5 * w);
}

/// Flash's backward pass over the cells of a diagonal: keys and values joined, then their
/// gradients, those of every query head before they are summed; queries, output and its gradient as
/// copies; the queries' gradient in float32, for each of as many splits as fill the card.
std::int64_t joined_attention_scratch(
    const CellShape& shape,
    std::int64_t cells,
    std::int64_t keys,
    std::int64_t element) {
  constexpr std::int64_t kMultiprocessors = 132; // of an H100
  const std::int64_t rows = cells * shape.rows(), blocks = cells * shape.batch * shape.heads;
  const std::int64_t splits = (kMultiprocessors + blocks - 1) / blocks;
  const std::int64_t padded = (shape.length + 127) / 128 * 128 * cells * shape.batch;
  const std::int64_t key_rows = cells * shape.batch * keys;
  const std::int64_t expanded = shape.heads == shape.groups ? 0 : 2 * key_rows * shape.q_width();
  return element * (2 * key_rows * shape.kv_width() + expanded + 4 * rows * shape.q_width()) +
         4 * (splits + 1) * padded * shape.q_width() / shape.head_dim *
             ((shape.head_dim + 31) / 32 * 32);
}

/// Where operators are plain: SwiGLU's products, or the scores with their gradients, of one
/// diagonal's backward pass (`backward_cells`). Kernels: attention's statistics, norms' sums.
std::int64_t diagonal_scratch(const Sizes& sizes, std::int64_t num_segments) {
  const CellShape& shape = sizes.plan.shape;
  const std::int64_t cells =
      sizes.plan.schedule == Schedule::kSequential ? 1 : std::min(shape.num_layers, num_segments);
  const std::int64_t rows = cells * shape.rows(), e = sizes.element, w = sizes.wide;
  const std::int64_t keys = shape.length * (sizes.plan.has_memory ? 2 : 1);
  if (sizes.kernels && sizes.processor == Processor::kGpuJoinedAttention) {
    return joined_attention_scratch(shape, cells, keys, e);
  }
  if (sizes.kernels && sizes.processor == Processor::kGpuWithKernels) {
    return rows * shape.heads * 8 + kMiB;
  }
  const std::int64_t converted = e == w ? 0 : 3;
  const std::int64_t swiglu = rows * shape.mlp_width * (7 + converted) * w;
  const std::int64_t scores = rows * shape.heads * keys * w;
  const std::int64_t attention =
      4 * scores + rows * w * (3 * shape.q_width() + 2 * shape.kv_width());
  return sizes.kernels ? attention : std::max(swiglu, attention);
}

/// On a CPU: temporaries of the norm, or widened factors, in the weight products of one window
/// (`weight_gradients`).
std::int64_t product_scratch(const Sizes& sizes, std::int64_t num_segments) {
  const CellShape& shape = sizes.plan.shape;
  if (!sizes.cpu) {
    return 0;
  }
  const std::int64_t deferred = gradient_width(shape, sizes.plan.has_memory) * shape.num_layers;
  const std::int64_t rows = std::min(
      num_segments * shape.rows(), Chunk::workspace_elements(sizes.plan, num_segments) / deferred);
  const std::int64_t norm = rows * shape.width * 3 * sizes.wide;
  const std::int64_t widened =
      sizes.element == sizes.wide ? 0 : rows * (2 * shape.mlp_width + shape.width) * sizes.wide;
  return std::max(norm, widened);
}

/// `add_input_gradients`: rows in the gradient's dtype; on a GPU also the ids, sorted, on a CPU the
/// gradient of the whole embedding.
std::int64_t embedding_scratch(const Sizes& sizes, std::int64_t tokens) {
  const std::int64_t rows =
      sizes.element == sizes.wide && sizes.cpu ? 0 : tokens * sizes.plan.shape.width * sizes.wide;
  return rows + (sizes.cpu ? sizes.vocab * sizes.plan.shape.width * sizes.wide : tokens * 40);
}

} // namespace

std::int64_t MemoryEstimate::total_bytes() const {
  std::int64_t sum = 0;
  for (const MemoryItem& item : items) {
    sum += item.bytes;
  }
  return sum;
}

namespace {

MemoryEstimate estimate_fused(
    const EnginePlan& plan,
    const ModelConfig& model,
    const StepShape& step,
    const OptimizerMemory& optimizer) {
  const Sizes sizes = sizes_of(plan, model, step);
  const CellShape& shape = sizes.plan.shape;
  const std::int64_t chunk = even_chunk_segments(step.num_segments, plan.chunk_segments);
  const std::int64_t num_chunks = (step.num_segments + chunk - 1) / chunk;
  const std::int64_t tokens = chunk * shape.rows();
  const std::int64_t all_tokens = (step.num_segments + step.num_prefix_segments) * shape.rows();

  MemoryEstimate estimate;
  add_states(sizes, optimizer, estimate);
  // Ids, targets and coefficients as given and, where rows are several, by segment; the losses.
  const std::int64_t a_token = 16 + sizes.wide;
  estimate.items.push_back(
      {"tokens and losses", all_tokens * (a_token * (shape.batch > 1 ? 2 : 1) + sizes.wide)});
  add_chunk(sizes, chunk, estimate);

  const std::int64_t border = shape.num_layers * shape.rows() * shape.width * sizes.element;
  if (sizes.plan.has_memory) {
    const bool on_host = plan.boundary_memory_on_host && !sizes.cpu;
    estimate.items.push_back(
        {"memory between chunks", border * (on_host ? 3 : num_chunks + (num_chunks > 1 ? 2 : 0))});
  }

  const std::int64_t deferred = Chunk::workspace_elements(sizes.plan, chunk);
  const std::int64_t logits =
      sizes.kernels ? head_chunk_tokens(tokens, sizes.vocab, sizes.kernels) * sizes.vocab : 0;
  estimate.items.push_back(
      {logits > deferred ? "workspace: logits, then deferred gradients"
                         : "workspace: deferred gradients",
       std::max(deferred, logits) * sizes.element});

  // After the pass, while the chunk waits for the next, where kernels do not serve: pieces of the
  // gradient in float64; then the optimizer's temporaries.
  const std::int64_t norm =
      sizes.cpu || sizes.kernels ? 0 : std::min(sizes.num_parameters, kNormPiece) * 8;
  MemoryItem fullest{"scratch: head", head_scratch(sizes, tokens)};
  const std::int64_t diagonal = diagonal_scratch(sizes, chunk);
  if (!sizes.cpu && plan.cuda_graphs) { // kept in the graphs' pool, beside what others take
    estimate.items.push_back({"temporaries of recorded operators", diagonal});
  }
  for (const MemoryItem& moment :
       {MemoryItem{"scratch: a diagonal's backward pass", diagonal},
        MemoryItem{"scratch: weight products", product_scratch(sizes, chunk)},
        MemoryItem{"scratch: the embedding's gradient", embedding_scratch(sizes, tokens)},
        MemoryItem{"scratch: the gradient's norm", norm},
        MemoryItem{"scratch: the optimizer", optimizer.scratch_bytes}}) {
    if (moment.bytes > fullest.bytes) {
      fullest = moment;
    }
  }
  estimate.items.push_back(fullest);
  if (!sizes.cpu) {
    estimate.items.push_back({"workspace of the product library", kProductWorkspaceBytes});
  }
  return estimate;
}

MemoryEstimate estimate_reference(
    const EnginePlan& plan,
    const ModelConfig& model,
    const StepShape& step,
    const OptimizerMemory& optimizer) {
  Sizes sizes = sizes_of(plan, model, step);
  sizes.kernels = false; // the head as plain operators compute it, which takes no less
  const CellShape& shape = sizes.plan.shape;
  const std::int64_t tokens = step.num_segments * shape.rows();
  const std::int64_t layers =
      model.num_hidden_layers + (model.fcc ? model.fcc->num_local_layers : 0);
  const std::int64_t keys = shape.length * (MemoryPolicy(model).carries() ? 2 : 1);
  // Norms of [M ; X], q, k and v before and after rotation, scores and softmax, attention's output,
  // the second norm, the gate's four products.
  const std::int64_t width = 8 * shape.width + 3 * shape.q_width() + 3 * shape.kv_width() +
                             2 * shape.heads * keys + 4 * shape.mlp_width;
  MemoryEstimate estimate;
  add_states(sizes, optimizer, estimate);
  estimate.items.push_back({"activations, about", tokens * layers * width * sizes.element});
  const std::int64_t head = head_scratch(sizes, tokens);
  estimate.items.push_back(
      optimizer.scratch_bytes > head ? MemoryItem{"scratch: the optimizer", optimizer.scratch_bytes}
                                     : MemoryItem{"scratch: head", head});
  return estimate;
}

} // namespace

MemoryEstimate estimate_memory(
    const EnginePlan& plan,
    const ModelConfig& model,
    const StepShape& step,
    const OptimizerMemory& optimizer) {
  return plan.execution == Execution::kFused ? estimate_fused(plan, model, step, optimizer)
                                             : estimate_reference(plan, model, step, optimizer);
}

std::int64_t segments_that_fit(
    EnginePlan plan,
    const ModelConfig& model,
    const StepShape& step,
    std::int64_t most,
    std::int64_t budget_bytes,
    const OptimizerMemory& optimizer) {
  const auto fits = [&](std::int64_t count) {
    plan.chunk_segments = count;
    return estimate_memory(plan, model, step, optimizer).total_bytes() <= budget_bytes;
  };
  if (fits(most)) {
    return most;
  }
  // Longer chunks take more, but for the memory between them: halve the range.
  std::int64_t low = 0, high = most; // `high` does not fit
  while (high - low > 1) {
    const std::int64_t middle = low + (high - low) / 2;
    (fits(middle) ? low : high) = middle;
  }
  return low;
}

} // namespace fcc
