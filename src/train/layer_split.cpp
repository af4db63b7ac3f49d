#include "fcc/train/layer_split.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"
#include "fcc/optim/grad_norm.h"

namespace fcc {
namespace {

/// The stages of a copy of the model, by their ranks in it.
class RankLink : public StageLink {
 public:
  explicit RankLink(Communicator& copy) : copy_(copy) {}

  bool is_first() const override {
    return copy_.rank() == 0;
  }
  bool is_last() const override {
    return copy_.rank() == last();
  }
  std::function<void()> begin_receive(const at::Tensor& values, Neighbour from) override {
    const std::shared_ptr<Transfer> transfer = copy_.begin_receive(values, rank_of(from));
    return [transfer] { transfer->wait(); };
  }
  void begin_send(const at::Tensor& values, Neighbour to) override {
    finish_sends(); // so that no stage runs away from a slower one, and messages keep their order
    sent_ = copy_.begin_send(values, rank_of(to));
  }
  void finish_sends() override {
    if (const auto sent = std::exchange(sent_, nullptr)) {
      sent->wait();
    }
  }
  void first_to_last(const at::Tensor& values) override {
    if (is_first()) {
      copy_.send(values, last());
    } else {
      copy_.receive(values, 0);
    }
  }
  void share_from_last(const at::Tensor& values) override {
    if (!is_last()) {
      copy_.receive(values, last());
      return;
    }
    for (std::int64_t rank = 0; rank < last(); ++rank) {
      copy_.send(values, rank);
    }
  }

 private:
  std::int64_t last() const {
    return copy_.size() - 1;
  }
  std::int64_t rank_of(Neighbour neighbour) const {
    return copy_.rank() + (neighbour == Neighbour::kAbove ? 1 : -1);
  }

  Communicator& copy_;
  std::unique_ptr<Transfer> sent_;
};

/// Sends the named parts of a stage's buffer, one after another; as `receive_named` takes them.
void send_named(Communicator& copy, const std::vector<NamedTensor>& parts) {
  for (const NamedTensor& part : parts) {
    copy.send(part.tensor.cpu().contiguous(), 0);
  }
}

/// Puts what the stages hold under their names into `whole`: the own first, which may have a copy
/// of a weight that a later stage trains.
void join_named(
    Communicator& copy,
    const std::vector<NamedTensor>& own,
    const std::vector<std::vector<std::string>>& names,
    const std::vector<NamedTensor>& whole) {
  std::map<std::string, at::Tensor> places;
  for (const NamedTensor& part : whole) {
    places.emplace(part.name, part.tensor);
  }
  for (const NamedTensor& part : own) {
    places.at(part.name).copy_(part.tensor);
  }
  for (std::size_t stage = 1; stage < names.size(); ++stage) {
    for (const std::string& name : names[stage]) {
      const at::Tensor& place = places.at(name);
      copy.receive(place, static_cast<std::int64_t>(stage));
    }
  }
}

std::string joined(const std::vector<NamedTensor>& parts) {
  std::string text;
  for (const NamedTensor& part : parts) {
    text += part.name + "\n";
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t first = 0;
  for (std::size_t end = 0; (end = text.find('\n', first)) != std::string::npos; first = end + 1) {
    lines.push_back(text.substr(first, end - first));
  }
  return lines;
}

/// A state of the whole model on the first stage; on the others what they have.
OptimizerState join_state(
    Communicator& copy,
    const FlatParameters& stage,
    const FlatParameters& layout,
    const StateLayout& whole,
    const OptimizerState& own) {
  const std::vector<NamedTensor> parts = named_state(stage, own);
  std::vector<std::vector<std::string>> names;
  for (const std::string& text : gather_texts(copy, joined(parts))) {
    names.push_back(lines_of(text));
  }
  if (!copy.is_first()) {
    send_named(copy, parts);
    return own;
  }
  OptimizerState state{whole, at::zeros({whole.numel()}, own.values.options().device(at::kCPU))};
  join_named(copy, parts, names, named_state(layout, state));
  return state;
}

} // namespace

RankGrid RankGrid::of(std::int64_t num_ranks, const EngineSection& engine) {
  if (num_ranks % engine.layer_ranks != 0) {
    throw ConfigError(
        "engine.layer_ranks",
        "must divide the number of ranks, " + std::to_string(num_ranks),
        std::to_string(engine.layer_ranks));
  }
  return {.num_copies = num_ranks / engine.layer_ranks, .layer_ranks = engine.layer_ranks};
}

std::optional<LayerStage>
stage_of_rank(const ModelConfig& model, const RankGrid& grid, std::int64_t rank) {
  if (grid.layer_ranks == 1) {
    return std::nullopt;
  }
  return split_layers(model, grid.layer_ranks)[static_cast<std::size_t>(rank % grid.layer_ranks)];
}

std::unique_ptr<StageLink> link_stages(Communicator& copy) {
  return std::make_unique<RankLink>(copy);
}

CheckpointData join_stages(
    Communicator& copy,
    const FlatParameters& stage,
    const FlatParameters& layout,
    const std::vector<StateLayout>& states,
    CheckpointData data) {
  const auto join_flat = [&](const at::Tensor& flat) {
    const StateLayout whole{"", {{0, layout.regions().all}}};
    return join_state(copy, stage, layout, whole, {{"", {{0, flat.numel()}}}, flat}).values;
  };
  const bool one_buffer = data.compute.is_same(data.master);
  data.master = join_flat(data.master);
  data.compute = one_buffer ? data.master : join_flat(data.compute);
  check(states.size() == data.optimizer.size(), "join_stages", "the stages' states must be alike");
  for (std::size_t i = 0; i < states.size(); ++i) {
    data.optimizer[i] = join_state(copy, stage, layout, states[i], data.optimizer[i]);
  }
  return data;
}

double squared_norm_by_weight(
    Communicator& copy,
    const FlatParameters& parameters,
    const FlatParameters& layout) {
  const std::int64_t trained = parameters.regions().no_decay;
  std::vector<at::Tensor> norms;
  std::map<std::string, std::size_t> index;
  for (const NamedTensor& weight : parameters.named(parameters.grad())) {
    if (weight.tensor.storage_offset() < trained) {
      index.emplace(weight.name, norms.size());
      norms.push_back(squared_norm(weight.tensor.reshape({-1})));
    }
  }
  at::Tensor values;
  if (!norms.empty()) {
    copy.wait_for_device();
    values = at::stack(norms).cpu();
  }
  std::vector<double> by_weight;
  for (const WeightPlace& place : layout.places()) {
    const auto found = index.find(place.name);
    by_weight.push_back(
        found == index.end() ? 0.0 : values.const_data_ptr<double>()[found->second]);
  }
  double sum = 0;
  for (const double value : sum_over_ranks(copy, by_weight)) {
    sum += value;
  }
  return sum;
}

} // namespace fcc
