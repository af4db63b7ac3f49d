#include "model.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/generate/stream.h"
#include "fcc/model/device.h"
#include "fcc/model/hugging_face.h"
#include "fcc/model/reference.h"
#include "fcc/ops/rms_norm.h"
#include "text.h"

namespace fcc::python {
namespace {

using namespace nb::literals;

// Logits are made for so many tokens of a row at once: they take V numbers each.
constexpr std::int64_t kTokensAtOnce = 1024;

ArrayKind array_kind_from(const std::string& name) {
  if (name == "numpy") {
    return ArrayKind::kNumpy;
  }
  if (name == "torch") {
    return ArrayKind::kTorch;
  }
  if (name == "dlpack") {
    return ArrayKind::kDlpack;
  }
  throw ConfigError("arrays", "must be numpy, torch or dlpack", name);
}

ModelPointer load(
    const std::filesystem::path& directory,
    const std::string& device_name,
    const std::string& dtype,
    const std::optional<std::string>& tokenizer,
    const std::string& arrays) {
  const nb::gil_scoped_release no_gil;
  const ArrayKind kind = array_kind_from(arrays);
  const at::Device device = device_from_name(device_name, "device");
  return std::make_shared<SharedModel>(
      load_model(
          {.directory = directory,
           .tokenizer = tokenizer,
           .device = device,
           .dtype = dtype_from_option(dtype, device)}),
      kind);
}

/// X[0], …, X[N-1] and, after the final norm, X[N], each [B, T, D]; only the last where
/// `last_only`.
std::vector<at::Tensor>
hidden_states(const SharedModel& model, const at::Tensor& ids, bool last_only) {
  const LoadedModel& loaded = model.loaded();
  TokenStream stream(loaded.config(), loaded.weights, ids.size(0));
  std::vector<std::vector<at::Tensor>> pieces; // [N + 1] of [B, t, D]
  std::int64_t num_layers = loaded.weights.layers.qkv_proj.size(0);
  pieces.resize(static_cast<std::size_t>(num_layers) + 1);
  stream.observe([&](const LayerView& view) {
    if (!last_only) {
      pieces[static_cast<std::size_t>(view.layer)].push_back(view.input.clone());
    }
    if (view.layer == num_layers - 1) {
      pieces.back().push_back(
          rms_norm(view.output, loaded.weights.norm, loaded.config().rms_norm_eps));
    }
  });
  stream.prefill(ids);
  std::vector<at::Tensor> states;
  for (std::vector<at::Tensor>& layer : pieces) {
    if (!layer.empty()) {
      states.push_back(at::cat(layer, 1));
      layer.clear();
    }
  }
  return states;
}

nb::object logits(const SharedModel& model, const IdArray& array) {
  const at::Tensor ids = to_ids(array);
  at::Tensor result; // [B, T, V]
  {
    const nb::gil_scoped_release no_gil;
    const at::NoGradGuard no_gradients;
    const at::Tensor hidden = hidden_states(model, ids, /*last_only=*/true).back();
    const LoadedModel& loaded = model.loaded();
    result = at::empty({ids.size(0), ids.size(1), loaded.config().vocab_size}, hidden.options());
    for (std::int64_t first = 0; first < ids.size(1); first += kTokensAtOnce) {
      const std::int64_t count = std::min(kTokensAtOnce, ids.size(1) - first);
      result.narrow(1, first, count)
          .copy_(reference_logits(loaded.weights, hidden.narrow(1, first, count)));
    }
  }
  return to_array(array.ndim() == 1 ? result[0] : result, model.array_kind());
}

nb::object all_hidden_states(const SharedModel& model, const IdArray& array) {
  const at::Tensor ids = to_ids(array);
  at::Tensor result; // [N + 1, B, T, D]
  {
    const nb::gil_scoped_release no_gil;
    const at::NoGradGuard no_gradients;
    result = at::stack(hidden_states(model, ids, /*last_only=*/false));
  }
  return to_array(array.ndim() == 1 ? result.squeeze(1) : result, model.array_kind());
}

std::vector<std::int32_t>
prompt_ids(const SharedModel& model, const nb::object& text, bool special) {
  const std::string bytes = text_bytes(text);
  const nb::gil_scoped_release no_gil;
  return encode_prompt(
      model.loaded(), bytes, special ? SpecialTokens::kParsed : SpecialTokens::kEscaped);
}

} // namespace

const std::string& SharedModel::hash() const {
  std::call_once(once_, [&] { hash_ = model_hash(loaded_.parameters); });
  return hash_;
}

void bind_model(nb::module_& module) {
  nb::class_<SharedModel>(module, "Model")
      .def("logits", &logits, "ids"_a)
      .def("hidden_states", &all_hidden_states, "ids"_a)
      .def("prompt_ids", &prompt_ids, "text"_a, "special"_a)
      .def(
          "hash",
          [](const SharedModel& self) {
            const nb::gil_scoped_release no_gil;
            return self.hash();
          })
      .def_prop_ro(
          "config_json",
          [](const SharedModel& self) { return write_config(self.loaded().config()); })
      .def_prop_ro(
          "tokenizer",
          [](const SharedModel& self) {
            return PolicedTokenizer{self.loaded().tokenizer, self.loaded().tokenizer_policy};
          })
      .def_prop_ro(
          "num_parameters",
          [](const SharedModel& self) { return self.loaded().parameters.num_parameters(); })
      .def_prop_ro("device", [](const SharedModel& self) { return self.device().str(); })
      .def_prop_ro("dtype", [](const SharedModel& self) {
        return std::string(enum_name(self.loaded().dtype));
      });
  module.def("load", &load, "directory"_a, "device"_a, "dtype"_a, "tokenizer"_a.none(), "arrays"_a);
}

} // namespace fcc::python
