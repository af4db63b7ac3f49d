// cuDNN's fused attention through its C++ frontend: one graph a shape and pass, built once.
#include "ops/cudnn_attention.h"

#include <cmath>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include <dlfcn.h>

#include <ATen/cudnn/Handle.h>
#include <ATen/ops/empty.h>

#include <cudnn_frontend.h>

#include "fcc/core/error.h"

// The frontend's loader looks its functions up in this handle. torch_cuda needs the same library,
// so it is loaded by now and found by its name alone; nothing writes it again.
void* cudnn_frontend::cudnn_dlhandle = dlopen("libcudnn.so.9", RTLD_NOW);

namespace fcc {
namespace {

namespace fe = cudnn_frontend;
using fe::graph::Graph;
using fe::graph::Tensor_attributes;

enum TensorId : std::int64_t { kQ = 1, kK, kV, kOut, kLse, kGradOut, kGradQ, kGradK, kGradV };

/// What a graph depends on: pass, mask, order, dtype, device, sizes and strides, in one row.
using GraphKey = std::vector<std::int64_t>;

struct BuiltGraph {
  Graph graph;
  std::int64_t workspace_bytes = 0;
};

void check_cudnn(fe::error_t error, const char* pass) {
  if (error.is_bad()) {
    throw Error(
        "memory_attention",
        std::string("cuDNN has no ").append(pass).append(" pass for these tensors"),
        error.get_message(),
        "set engine.attention to \"auto\"");
  }
}

/// [B, rows, heads, E] in memory as cuDNN counts it: [B, heads, rows, E].
Tensor_attributes heads_first(TensorId id, const char* name, const at::Tensor& x) {
  Tensor_attributes attributes;
  attributes.set_uid(id)
      .set_name(name)
      .set_dim({x.size(0), x.size(2), x.size(1), x.size(3)})
      .set_stride({x.stride(0), x.stride(2), x.stride(1), x.stride(3)});
  return attributes;
}

Tensor_attributes lse_attributes(const at::Tensor& lse) { // [B, H, L] → [B, H, L, 1]
  Tensor_attributes attributes;
  attributes.set_uid(kLse)
      .set_name("lse")
      .set_dim({lse.size(0), lse.size(1), lse.size(2), 1})
      .set_stride({lse.stride(0), lse.stride(1), lse.stride(2), 1})
      .set_data_type(fe::DataType_t::FLOAT);
  return attributes;
}

void set_output(
    const std::shared_ptr<Tensor_attributes>& tensor,
    TensorId id,
    const at::Tensor& x) {
  tensor->set_output(true)
      .set_uid(id)
      .set_dim({x.size(0), x.size(2), x.size(1), x.size(3)})
      .set_stride({x.stride(0), x.stride(2), x.stride(1), x.stride(3)});
}

/// Figure 3 of arXiv 2405.04620: aligned at the bottom right. Without memory both corners agree,
/// and more of cuDNN's engines know the plain form.
template <typename Attributes>
void set_mask(
    Attributes& attributes,
    VisibleKeys visible,
    const at::Tensor& q,
    const at::Tensor& k) {
  if (visible == VisibleKeys::kAll) {
    return;
  }
  attributes
      .set_diagonal_alignment(
          q.size(1) == k.size(1) ? fe::DiagonalAlignment_t::TOP_LEFT
                                 : fe::DiagonalAlignment_t::BOTTOM_RIGHT)
      .set_diagonal_band_right_bound(0);
}

float softmax_scale(const at::Tensor& q) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(q.size(3))));
}

void begin_graph(Graph& graph, at::ScalarType dtype) {
  graph.set_io_data_type(dtype == at::kBFloat16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::HALF)
      .set_intermediate_data_type(fe::DataType_t::FLOAT)
      .set_compute_data_type(fe::DataType_t::FLOAT);
}

GraphKey key_of(
    std::int64_t pass,
    VisibleKeys visible,
    SumOrder order,
    const std::vector<at::Tensor>& tensors) {
  GraphKey key{
      pass,
      static_cast<std::int64_t>(visible),
      static_cast<std::int64_t>(order),
      static_cast<std::int64_t>(tensors[0].scalar_type()),
      tensors[0].device().index()};
  for (const at::Tensor& tensor : tensors) {
    key.insert(key.end(), tensor.sizes().begin(), tensor.sizes().end());
    key.insert(key.end(), tensor.strides().begin(), tensor.strides().end());
  }
  return key;
}

} // namespace

class CudnnGraphs {
 public:
  /// The graph of `key`, which `define` fills the first time.
  template <typename Define>
  BuiltGraph& find(const GraphKey& key, const char* pass, const Define& define) {
    const std::lock_guard<std::mutex> lock(mutex_); // backward passes come from autograd's threads
    const auto found = graphs_.find(key);
    if (found != graphs_.end()) {
      return *found->second;
    }
    auto built = std::make_unique<BuiltGraph>();
    define(built->graph);
    check_cudnn(
        built->graph.build(
            at::native::getCudnnHandle(), {fe::HeurMode_t::A, fe::HeurMode_t::FALLBACK}),
        pass);
    check_cudnn(built->graph.get_workspace_size(built->workspace_bytes), pass);
    return *graphs_.emplace(key, std::move(built)).first->second;
  }

 private:
  std::mutex mutex_;
  std::map<GraphKey, std::unique_ptr<BuiltGraph>> graphs_;
};

namespace cudnn_ops {
namespace {

void execute(
    BuiltGraph& built,
    std::unordered_map<std::int64_t, void*> tensors,
    const at::Tensor& like,
    const char* pass) {
  const at::Tensor workspace = at::empty({built.workspace_bytes}, like.options().dtype(at::kByte));
  // This handle runs on the current stream.
  check_cudnn(
      built.graph.execute(at::native::getCudnnHandle(), tensors, workspace.data_ptr()), pass);
}

} // namespace

std::shared_ptr<CudnnGraphs> make_graphs() {
  return std::make_shared<CudnnGraphs>();
}

void forward(
    CudnnGraphs& graphs,
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    VisibleKeys visible,
    at::Tensor out,
    at::Tensor lse) {
  const char* pass = "forward";
  const GraphKey key = key_of(/*pass=*/0, visible, SumOrder::kFixed, {q, k, v, out, lse});
  BuiltGraph& built = graphs.find(key, pass, [&](Graph& graph) {
    begin_graph(graph, q.scalar_type());
    fe::graph::SDPA_attributes options;
    options.set_name("memory_attention").set_generate_stats(true).set_attn_scale(softmax_scale(q));
    set_mask(options, visible, q, k);
    const auto outputs = graph.sdpa(
        graph.tensor(heads_first(kQ, "q", q)),
        graph.tensor(heads_first(kK, "k", k)),
        graph.tensor(heads_first(kV, "v", v)),
        options);
    set_output(outputs[0], kOut, out);
    outputs[1]
        ->set_output(true)
        .set_uid(kLse)
        .set_dim({lse.size(0), lse.size(1), lse.size(2), 1})
        .set_stride({lse.stride(0), lse.stride(1), lse.stride(2), 1})
        .set_data_type(fe::DataType_t::FLOAT);
  });
  execute(
      built,
      {{kQ, q.data_ptr()},
       {kK, k.data_ptr()},
       {kV, v.data_ptr()},
       {kOut, out.data_ptr()},
       {kLse, lse.data_ptr()}},
      q,
      pass);
}

void backward(
    CudnnGraphs& graphs,
    const at::Tensor& q,
    const at::Tensor& k,
    const at::Tensor& v,
    const AttentionForward& forward,
    const at::Tensor& grad_out,
    VisibleKeys visible,
    SumOrder order,
    AttentionGradients grads) {
  const char* pass = order == SumOrder::kFixed ? "deterministic backward" : "backward";
  const at::Tensor &out = forward.out, &lse = forward.lse;
  const GraphKey key = key_of(
      /*pass=*/1, visible, order, {q, k, v, out, lse, grad_out, grads.q, grads.k, grads.v});
  BuiltGraph& built = graphs.find(key, pass, [&](Graph& graph) {
    begin_graph(graph, q.scalar_type());
    fe::graph::SDPA_backward_attributes options;
    options.set_name("memory_attention_backward")
        .set_attn_scale(softmax_scale(q))
        .set_deterministic_algorithm(order == SumOrder::kFixed);
    set_mask(options, visible, q, k);
    const auto outputs = graph.sdpa_backward(
        graph.tensor(heads_first(kQ, "q", q)),
        graph.tensor(heads_first(kK, "k", k)),
        graph.tensor(heads_first(kV, "v", v)),
        graph.tensor(heads_first(kOut, "out", out)),
        graph.tensor(heads_first(kGradOut, "grad_out", grad_out)),
        graph.tensor(lse_attributes(lse)),
        options);
    set_output(outputs[0], kGradQ, grads.q);
    set_output(outputs[1], kGradK, grads.k);
    set_output(outputs[2], kGradV, grads.v);
  });
  execute(
      built,
      {{kQ, q.data_ptr()},
       {kK, k.data_ptr()},
       {kV, v.data_ptr()},
       {kOut, out.data_ptr()},
       {kLse, lse.data_ptr()},
       {kGradOut, grad_out.data_ptr()},
       {kGradQ, grads.q.data_ptr()},
       {kGradK, grads.k.data_ptr()},
       {kGradV, grads.v.data_ptr()}},
      q,
      pass);
}

} // namespace cudnn_ops
} // namespace fcc
