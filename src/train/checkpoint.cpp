#include "fcc/train/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"
#include "fcc/model/hugging_face.h"
#include "fcc/model/tensor_io.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::int64_t kTrainerFormat = 1;
constexpr const char* kOptimizerFile = "optimizer.safetensors";
constexpr const char* kTrainerFile = "trainer.json";

/// The weights that training updates, as a state of the optimizer's file.
OptimizerState master_state(const at::Tensor& master) {
  return {{"master", {{0, master.numel()}}}, master};
}

/// Everything in the optimizer's file, in order. A tensor's name there is `<state>.<weight>`.
std::vector<OptimizerState> file_states(
    const at::Tensor& master,
    const std::vector<OptimizerState>& optimizer) {
  std::vector<OptimizerState> states = {master_state(master)};
  states.insert(states.end(), optimizer.begin(), optimizer.end());
  return states;
}

std::string file_name(const OptimizerState& state, const std::string& weight) {
  return state.layout.name + "." + weight;
}

void save_optimizer(
    const fs::path& directory,
    const CheckpointData& data,
    const FlatParameters& layout) {
  std::vector<at::Tensor> kept; // the bytes must live until they are written
  std::vector<TensorView> views;
  for (OptimizerState& state : file_states(data.master, data.optimizer)) {
    state.values = state.values.to(at::kCPU);
    for (NamedTensor& named : named_state(layout, state)) {
      const at::Tensor& tensor = kept.emplace_back(named.tensor.contiguous());
      views.push_back(file_view(file_name(state, named.name), tensor));
    }
  }
  write_safetensors(directory / kOptimizerFile, views);
}

/// A broken state must not be sealed: nothing could be made of it, and it would push a good one
/// out.
void check_finite(const fs::path& directory, const char* what, const at::Tensor& flat) {
  constexpr std::int64_t kPiece = std::int64_t{1} << 22; // elements: bounds the memory this takes
  for (std::int64_t start = 0; start < flat.numel(); start += kPiece) {
    const at::Tensor piece = flat.narrow(0, start, std::min(kPiece, flat.numel() - start));
    if (!at::isfinite(piece).all().item<bool>()) {
      throw Error(
          directory.string(),
          std::string(what) + " must be finite to be saved",
          "infinity or NaN",
          "the run has diverged: go back to an earlier checkpoint with a lower optim.lr or a "
          "longer "
          "optim.warmup_steps");
    }
  }
}

void save_model_files(
    const fs::path& directory,
    const at::Tensor& compute,
    const FlatParameters& layout,
    const Tokenizer& tokenizer,
    const TokenizerConfig& tokenizer_config) {
  save_model(layout, compute, file_dtype(compute.scalar_type()), directory);
  save_tokenizer(tokenizer, tokenizer_config, directory);
}

Json optional_number(const std::optional<double>& value) {
  return value ? Json(*value) : Json(nullptr);
}

/// Absent in checkpoints of versions that did not know it.
std::optional<double> read_optional_number(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found == json.end() || found->is_null() ? std::nullopt
                                                 : std::optional(found->get<double>());
}

Json to_json(const TrainerState& state) {
  Json json;
  json["format"] = kTrainerFormat;
  json["step"] = state.curriculum.step;
  json["stage"] = state.curriculum.stage;
  json["step_in_stage"] = state.curriculum.step_in_stage;
  json["until_window"] = state.curriculum.window;
  json["until_lowest"] = optional_number(state.curriculum.lowest);
  json["until_waited"] = state.curriculum.waited;
  json["best_validation"] = optional_number(state.best_validation);
  json["num_updates"] = state.num_updates;
  json["skipped_steps"] = state.skipped_steps;
  json["tokens_seen"] = state.tokens_seen;
  json["loaders"] = Json::array();
  for (const Loader::State& loader : state.loaders) {
    json["loaders"].push_back({{"positions", loader.positions}, {"rows_drawn", loader.rows_drawn}});
  }
  json["threads"] = state.threads;
  json["device"] = state.device;
  json["tokenizer_hash"] = state.tokenizer_hash;
  json["sources"] = state.sources;
  json["course_changes"] = Json::array();
  for (const CourseChange& change : state.course_changes) {
    json["course_changes"].push_back({{"step", change.step}, {"keys", change.keys}});
  }
  json["config"] = Json::parse(state.config);
  return json;
}

} // namespace

void CheckpointData::copy_to(CheckpointData& copy) const {
  const auto put = [](const at::Tensor& flat, at::Tensor& copied) {
    if (!copied.defined()) {
      copied = at::empty_like(flat, flat.options().device(at::kCPU));
    }
    copied.copy_(flat);
  };
  put(master, copy.master);
  copy.optimizer.resize(optimizer.size());
  for (std::size_t i = 0; i < optimizer.size(); ++i) {
    copy.optimizer[i].layout = optimizer[i].layout;
    put(optimizer[i].values, copy.optimizer[i].values);
  }
  if (compute.is_same(master)) {
    copy.compute = copy.master;
  } else {
    put(compute, copy.compute);
  }
  copy.state = state;
}

void save_checkpoint(
    const fs::path& directory,
    const CheckpointData& data,
    const FlatParameters& layout,
    const Tokenizer& tokenizer,
    const TokenizerConfig& tokenizer_config) {
  check_finite(directory, "weights", data.compute);
  check_finite(directory, "weights", data.master);
  for (const OptimizerState& state : data.optimizer) {
    check_finite(directory, "the optimizer's states", state.values);
  }
  AtomicDirectory writer(directory);
  save_model_files(writer.path(), data.compute, layout, tokenizer, tokenizer_config);
  save_optimizer(writer.path(), data, layout);
  write_file_atomic(writer.path() / kTrainerFile, to_json(data.state).dump(2) + "\n");
  writer.commit();
}

void save_final_model(
    const fs::path& directory,
    const at::Tensor& compute,
    const FlatParameters& layout,
    const Tokenizer& tokenizer,
    const TokenizerConfig& tokenizer_config) {
  check_finite(directory, "weights", compute);
  AtomicDirectory writer(directory);
  save_model_files(writer.path(), compute, layout, tokenizer, tokenizer_config);
  writer.commit();
}

std::int64_t verify_checkpoint(const fs::path& directory) {
  std::error_code error;
  for (const char* name : {"manifest.json", kTrainerFile, kOptimizerFile, "config.json"}) {
    if (fs::status(directory / name, error).type() == fs::file_type::not_found) {
      throw FormatError((directory / name).string(), "must be there: a checkpoint has it");
    }
  }
  verify_manifest(directory);
  return load_trainer_state(directory).curriculum.step;
}

TrainerState load_trainer_state(const fs::path& directory) {
  const fs::path path = directory / kTrainerFile;
  try {
    const std::string text = read_file(path);
    refuse_nul(text, path.string());
    const Json json = Json::parse(text);
    if (json.at("format").get<std::int64_t>() != kTrainerFormat) {
      throw FormatError(
          path.string(), "format must be " + std::to_string(kTrainerFormat), json["format"].dump());
    }
    TrainerState state;
    json.at("step").get_to(state.curriculum.step);
    json.at("stage").get_to(state.curriculum.stage);
    json.at("step_in_stage").get_to(state.curriculum.step_in_stage);
    json.at("until_window").get_to(state.curriculum.window);
    state.curriculum.lowest = read_optional_number(json, "until_lowest");
    state.curriculum.waited = json.value("until_waited", std::int64_t{0});
    state.best_validation = read_optional_number(json, "best_validation");
    json.at("num_updates").get_to(state.num_updates);
    json.at("skipped_steps").get_to(state.skipped_steps);
    json.at("tokens_seen").get_to(state.tokens_seen);
    for (const Json& loader : json.at("loaders")) {
      Loader::State& restored = state.loaders.emplace_back();
      loader.at("positions").get_to(restored.positions);
      loader.at("rows_drawn").get_to(restored.rows_drawn);
    }
    json.at("threads").get_to(state.threads);
    if (state.threads < 1) {
      throw FormatError(path.string(), "threads must be at least 1", std::to_string(state.threads));
    }
    json.at("device").get_to(state.device);
    json.at("tokenizer_hash").get_to(state.tokenizer_hash);
    json.at("sources").get_to(state.sources);
    for (const Json& change : json.value("course_changes", Json::array())) {
      state.course_changes.push_back(
          {change.at("step").get<std::int64_t>(), change.at("keys").get<std::string>()});
    }
    state.config = json.at("config").dump();
    return state;
  } catch (const Json::exception& error) {
    throw FormatError(path.string(), "is no trainer state", error.what());
  }
}

void load_optimizer(const fs::path& directory, FlatParameters& parameters, Optimizer& optimizer) {
  const SafetensorsFile file(directory / kOptimizerFile);
  std::size_t num_read = 0;
  std::vector<StateLayout> layouts = {master_state(parameters.master()).layout};
  layouts.insert(layouts.end(), optimizer.whole_states().begin(), optimizer.whole_states().end());
  const auto own = file_states(parameters.master(), optimizer.states());
  for (std::size_t i = 0; i < layouts.size(); ++i) {
    const OptimizerState state{
        layouts[i],
        at::zeros({layouts[i].numel()}, parameters.master().options().device(at::kCPU))};
    for (const NamedTensor& named : named_state(parameters, state)) {
      const TensorView& stored = file.at(file_name(state, named.name));
      const DType dtype = file_dtype(named.tensor.scalar_type());
      if (stored.dtype != dtype || stored.shape != named.tensor.sizes().vec()) {
        throw FormatError(
            (directory / kOptimizerFile).string(),
            stored.name + " must have the shape and dtype of this run");
      }
      const at::Tensor target = named.tensor;
      check(target.is_contiguous(), "load_optimizer", "needs contiguous views of the flat buffer");
      std::memcpy(target.data_ptr(), stored.bytes.data(), stored.bytes.size());
      ++num_read;
    }
    take_share(state, own[i]);
  }
  if (!parameters.stage() && num_read != file.tensors().size()) { // a stage reads its part
    throw FormatError(
        (directory / kOptimizerFile).string(), "holds tensors that this model does not have");
  }
  parameters.update_compute();
}

} // namespace fcc
