#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "fcc/core/error.h"
#include "fcc/generate/stream.h"
#include "fcc/io/safetensors.h"
#include "fcc/model/memory_state.h"
#include "model.h"

namespace fcc::python {
namespace {

using namespace nb::literals;

/// `fcc.State`: what a stream carries, and the hash of the model that it is of.
struct State {
  MemoryState memory;
  std::string model_hash;

  std::int64_t num_tokens() const {
    return memory.position + (memory.partial_ids.defined() ? memory.partial_ids.size(-1) : 0);
  }
};

nb::object array_or_none(const at::Tensor& tensor) {
  return tensor.defined() ? to_array(tensor.clone(), ArrayKind::kNumpy) : nb::none();
}

State read_state(const std::filesystem::path& path) {
  const nb::gil_scoped_release no_gil;
  const SafetensorsFile file(path);
  const auto found = file.metadata().find("model_hash");
  const std::string hash = found == file.metadata().end() ? std::string() : found->second;
  return {load_memory_state(path, hash), hash};
}

/// A token stream that keeps its model, and the last ids, which text needs to go on.
class Stream {
 public:
  Stream(ModelPointer model, std::int64_t batch_size, const std::optional<State>& state)
      : model_(std::move(model)),
        batch_size_(batch_size),
        stream_(start(*model_, batch_size, state)) {
    if (state) {
      const MemoryState& memory = state->memory;
      const at::Tensor& known = memory.last_ids.defined() ? memory.last_ids : memory.partial_ids;
      if (known.defined()) {
        keep_last(known.to(at::kCPU, at::kLong).reshape({batch_size, -1}));
      }
    }
  }

  Stream fork() const {
    const std::lock_guard lock(mutex_);
    return {model_, batch_size_, stream_.fork(), last_ids_};
  }
  // Of two streams one is locked, and the other nobody knows yet.
  Stream(Stream&& other) noexcept
      : model_(std::move(other.model_)),
        batch_size_(other.batch_size_),
        stream_(std::move(other.stream_)),
        last_ids_(std::move(other.last_ids_)) {}

  void feed(const at::Tensor& ids) {
    const std::lock_guard lock(mutex_);
    stream_.prefill(ids);
    keep_last(ids.to(at::kCPU));
  }
  at::Tensor logits() const {
    const std::lock_guard lock(mutex_);
    return stream_.logits();
  }
  bool has_logits() const {
    const std::lock_guard lock(mutex_);
    return stream_.has_logits();
  }
  std::int32_t draw(const Sampler& sampler) const {
    const std::lock_guard lock(mutex_);
    return stream_.draw(sampler);
  }
  /// Draws a token and feeds it, unless it is one of `ends`.
  std::optional<std::int32_t> step(const Sampler& sampler, std::span<const std::int32_t> ends) {
    const std::lock_guard lock(mutex_);
    const std::int32_t id = stream_.draw(sampler);
    if (std::find(ends.begin(), ends.end(), id) != ends.end()) {
      return std::nullopt;
    }
    const at::Tensor row = at::full({1, 1}, id, at::kLong);
    stream_.prefill(row);
    keep_last(row);
    return id;
  }
  std::int64_t num_tokens() const {
    const std::lock_guard lock(mutex_);
    return stream_.num_tokens();
  }
  std::int64_t batch_size() const {
    return batch_size_;
  }
  State state() const {
    const std::lock_guard lock(mutex_);
    State state{stream_.state(), model_->hash()};
    state.memory.last_ids = last_ids_;
    return state;
  }
  /// Of the only row.
  std::vector<std::int32_t> last_ids() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::int32_t> ids;
    if (last_ids_.defined()) {
      const std::int64_t* first = last_ids_.const_data_ptr<std::int64_t>();
      std::transform(first, first + last_ids_.size(1), std::back_inserter(ids), [](auto id) {
        return static_cast<std::int32_t>(id);
      });
    }
    return ids;
  }
  const SharedModel& model() const {
    return *model_;
  }

 private:
  Stream(ModelPointer model, std::int64_t batch_size, TokenStream stream, at::Tensor last_ids)
      : model_(std::move(model)),
        batch_size_(batch_size),
        stream_(std::move(stream)),
        last_ids_(std::move(last_ids)) {}

  static TokenStream
  start(const SharedModel& model, std::int64_t batch_size, const std::optional<State>& state) {
    if (state && state->model_hash != model.hash()) {
      throw FormatError(
          "state", "must be of the model that goes on from it", state->model_hash.substr(0, 12));
    }
    return {
        model.loaded().config(),
        model.loaded().weights,
        batch_size,
        state ? state->memory : MemoryState{}};
  }

  void keep_last(const at::Tensor& ids) { // [B, t]
    constexpr std::int64_t kLastIds = 8;  // more than any tokenizer looks back
    const at::Tensor all = last_ids_.defined() ? at::cat({last_ids_, ids}, 1) : ids;
    last_ids_ = all.narrow(
                       1,
                       std::max<std::int64_t>(0, all.size(1) - kLastIds),
                       std::min(kLastIds, all.size(1)))
                    .clone();
  }

  ModelPointer model_;
  std::int64_t batch_size_;
  TokenStream stream_;
  at::Tensor last_ids_;      ///< [B, k] int64 on the CPU, k <= 8; undefined: none
  mutable std::mutex mutex_; ///< a stream is one place in a text: threads take turns
};

template <typename Function>
auto without_gil(Function function) {
  const nb::gil_scoped_release no_gil;
  const at::NoGradGuard no_gradients;
  return function();
}

void bind_state(nb::module_& module) {
  nb::class_<State>(
      module,
      "State",
      "What a stream carries: enough to go on from its place, of constant size except for a llama.")
      .def_prop_ro(
          "num_tokens", [](const State& self) { return self.num_tokens(); }, "Tokens so far.")
      .def_prop_ro(
          "model_hash",
          [](const State& self) { return self.model_hash; },
          "Names the model that it is of.")
      .def_prop_ro(
          "memory",
          [](const State& self) { return array_or_none(self.memory.memory); },
          nb::sig("def memory(self) -> numpy.ndarray | None"),
          "A copy of the memory; None before the end of the first segment. Its shape is the "
          "architecture's: condensation [N, B, L, D], local_global [1, B, L, D], "
          "rmt [1, B, num_memory_tokens, D], infini_attention [N, B, G (E + 1), E] and titans_mag "
          "[N, B, 2 G E, E], with G key/value heads of width E.")
      .def_prop_ro(
          "partial_ids",
          [](const State& self) { return array_or_none(self.memory.partial_ids); },
          nb::sig("def partial_ids(self) -> numpy.ndarray | None"),
          "The tokens of the open segment, [B, p]; None: none.")
      .def(
          "save",
          [](const State& self, const std::filesystem::path& path) {
            without_gil([&] {
              MemoryState state = self.memory;
              if (state.memory.defined()) {
                state.memory = state.memory.cpu();
              }
              save_memory_state(state, path, self.model_hash);
            });
          },
          "path"_a,
          "Writes a file that `read_state`, `Model.stream` and fcc-generate's --load-state read.");
  module.def(
      "read_state",
      &read_state,
      "path"_a,
      "The state in a file that a stream or fcc-generate saved.");
}

} // namespace

void bind_stream(nb::module_& module) {
  bind_state(module);
  nb::class_<Sampler>(module, "Sampler")
      .def(
          "__init__",
          [](Sampler* self,
             double temperature,
             std::int64_t top_k,
             double top_p,
             std::uint64_t seed,
             std::int64_t num_ids) {
            new (self) Sampler(SamplerOptions{
                .temperature = temperature,
                .top_k = top_k,
                .top_p = top_p,
                .seed = seed,
                .num_ids = num_ids});
          },
          "temperature"_a,
          "top_k"_a,
          "top_p"_a,
          "seed"_a,
          "num_ids"_a);
  nb::class_<Stream>(module, "Stream")
      .def(
          "__init__",
          [](Stream* self,
             ModelPointer model,
             std::int64_t batch_size,
             std::optional<State> state) {
            without_gil([&] { new (self) Stream(std::move(model), batch_size, state); });
          },
          "model"_a,
          "batch_size"_a,
          "state"_a.none())
      .def(
          "feed",
          [](Stream& self, const IdArray& array) {
            const at::Tensor ids = to_ids(array);
            without_gil([&] { self.feed(ids); });
          },
          "ids"_a)
      .def(
          "logits",
          [](const Stream& self) {
            const at::Tensor logits = without_gil([&] { return self.logits(); });
            return to_array(logits, self.model().array_kind());
          })
      .def(
          "has_logits",
          [](const Stream& self) { return without_gil([&] { return self.has_logits(); }); })
      .def(
          "draw",
          [](const Stream& self, const Sampler& sampler) {
            return without_gil([&] { return self.draw(sampler); });
          },
          "sampler"_a)
      .def(
          "step",
          [](Stream& self, const Sampler& sampler, const std::vector<std::int32_t>& ends) {
            return without_gil([&] { return self.step(sampler, ends); });
          },
          "sampler"_a,
          "ends"_a)
      .def("fork", [](const Stream& self) { return without_gil([&] { return self.fork(); }); })
      .def("state", [](const Stream& self) { return without_gil([&] { return self.state(); }); })
      .def(
          "last_ids",
          [](const Stream& self) { return without_gil([&] { return self.last_ids(); }); })
      .def(
          "num_tokens",
          [](const Stream& self) { return without_gil([&] { return self.num_tokens(); }); })
      .def_prop_ro("batch_size", &Stream::batch_size);
}

} // namespace fcc::python
