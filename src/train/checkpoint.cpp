#include "fcc/train/checkpoint.h"

#include <array>
#include <cstring>
#include <utility>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <nlohmann/json.hpp>

#include "fcc/core/error.h"
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

using NamedBuffers = std::array<std::pair<std::string, at::Tensor>, 3>;

/// The flat buffers of the optimizer's file and the prefix of their tensors' names.
NamedBuffers
named_buffers(const at::Tensor& master, const at::Tensor& exp_avg, const at::Tensor& exp_avg_sq) {
  return {{{"master.", master}, {"exp_avg.", exp_avg}, {"exp_avg_sq.", exp_avg_sq}}};
}

void save_optimizer(
    const fs::path& directory,
    const CheckpointData& data,
    const FlatParameters& layout) {
  std::vector<at::Tensor> kept; // the bytes must live until they are written
  std::vector<TensorView> views;
  for (const auto& [prefix, flat] : named_buffers(data.master, data.exp_avg, data.exp_avg_sq)) {
    for (NamedTensor& named : layout.named(flat.to(at::kCPU))) {
      const at::Tensor& tensor = kept.emplace_back(named.tensor.contiguous());
      views.push_back(file_view(prefix + named.name, tensor));
    }
  }
  write_safetensors(directory / kOptimizerFile, views);
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
  put(exp_avg, copy.exp_avg);
  put(exp_avg_sq, copy.exp_avg_sq);
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
  AtomicDirectory writer(directory);
  save_model_files(writer.path(), data.compute, layout, tokenizer, tokenizer_config);
  save_optimizer(writer.path(), data, layout);
  write_file_atomic(writer.path() / kTrainerFile, to_json(data.state).dump(2) + "\n");
  writer.commit();
}

void save_final_model(
    const fs::path& directory,
    const FlatParameters& parameters,
    const Tokenizer& tokenizer,
    const TokenizerConfig& tokenizer_config) {
  AtomicDirectory writer(directory);
  save_model_files(writer.path(), parameters.compute(), parameters, tokenizer, tokenizer_config);
  writer.commit();
}

TrainerState load_trainer_state(const fs::path& directory) {
  const fs::path path = directory / kTrainerFile;
  try {
    const Json json = Json::parse(read_file(path));
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

void load_optimizer(const fs::path& directory, FlatParameters& parameters, AdamW& optimizer) {
  const SafetensorsFile file(directory / kOptimizerFile);
  std::size_t num_read = 0;
  for (const auto& [prefix, flat] :
       named_buffers(parameters.master(), optimizer.exp_avg(), optimizer.exp_avg_sq())) {
    const at::Tensor on_cpu = at::zeros_like(flat, flat.options().device(at::kCPU));
    for (const NamedTensor& named : parameters.named(on_cpu)) {
      const TensorView& stored = file.at(prefix + named.name);
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
    flat.copy_(on_cpu);
  }
  if (num_read != file.tensors().size()) {
    throw FormatError(
        (directory / kOptimizerFile).string(), "holds tensors that this model does not have");
  }
  parameters.update_compute();
}

} // namespace fcc
