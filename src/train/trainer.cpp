#include "fcc/train/trainer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/core/log.h"
#include "fcc/data/loss_coefficients.h"
#include "fcc/engine/make_executor.h"
#include "fcc/model/device.h"
#include "fcc/optim/grad_norm.h"
#include "fcc/train/micro_batch.h"
#include "fcc/train/ranks.h"
#include "fcc/train/resume.h"

namespace fcc {
/// What the micro-batches of a step add up to. The tensors are [] float64 on the device, of this
/// rank's rows; the numbers are of all ranks.
struct Trainer::StepSums {
  at::Tensor loss;    ///< Σ coefficient × cross-entropy
  at::Tensor all;     ///< Σ cross-entropy over the counted targets
  at::Tensor answers; ///< Σ cross-entropy over the counted targets of answers
  double num_targets = 0;
  double num_answer_targets = 0;
  double num_padding = 0;
};

namespace {

/// Σ over the ranks, in their order, of numbers that lie on a device; read back.
std::vector<double> read_sums(Communicator& ranks, const at::Tensor& numbers) {
  const at::Tensor all = at::empty({ranks.size() * numbers.numel()}, numbers.options());
  ranks.all_gather(numbers, all);
  ranks.wait_for_device();
  const at::Tensor values = all.cpu().view({ranks.size(), -1});
  std::vector<double> sums(static_cast<std::size_t>(numbers.numel()), 0.0);
  const double* value = values.const_data_ptr<double>();
  for (std::int64_t rank = 0; rank < ranks.size(); ++rank) {
    for (double& sum : sums) {
      sum += *value++;
    }
  }
  return sums;
}

/// Adds up over all ranks what the coefficients of a step divide by.
LossCounts count_over_ranks(Communicator& ranks, const std::vector<Batch>& batches) {
  LossCounts counts;
  for (const Batch& batch : batches) {
    count_targets(batch, counts);
  }
  std::vector<double> numbers = counts.per_segment;
  numbers.push_back(counts.weight_sum);
  numbers = sum_over_ranks(ranks, numbers);
  counts.weight_sum = numbers.back();
  numbers.pop_back();
  counts.per_segment = std::move(numbers);
  return counts;
}

} // namespace

Trainer::Trainer(RunConfig config, TrainerParts parts)
    : config_(std::move(config)),
      requested_engine_(config_.engine),
      parts_(std::move(parts)),
      exchange_(std::make_unique<WeightExchange>(*parts_.copies, *parts_.parameters)),
      optimizer_(make_optimizer(
          config_.optim,
          *parts_.parameters,
          parts_.copies->rank(),
          parts_.copies->size())),
      lr_plan_(config_.optim, config_.train),
      curriculum_(config_.train) {
  config_.data.tokenizer = parts_.data.tokenizer_config;
  config_.engine = parts_.engine;
  set_cpu_threads(config_.train.threads, parts_.parameters->master().device());
}

StepReport Trainer::step() {
  // 1. Draw how long this step's sequences are.
  take_segment_length();
  const BatchShape shape = curriculum_.draw_shape(segment_length_);

  // 2. Draw the micro-batches.
  const std::vector<Batch> batches = draw_micro_batches(shape);

  // 3. Forward and backward of each, with coefficients that cover the whole step.
  parts_.executor->clear_gradients();
  const StepSums sums = accumulate_gradients(batches);

  exchange_->finish_sums();

  // 4. Read the losses and the gradient's norm, all at once.
  const at::Tensor norm = norm_is_by_weight() ? at::zeros_like(sums.loss) : squared_norm_of_share();
  std::vector<double> figure =
      read_sums(*parts_.ranks, at::stack({sums.loss, sums.all, sums.answers, norm}));
  if (norm_is_by_weight()) {
    figure[3] = squared_norm_by_weight(*parts_.copy, *parts_.parameters, whole_layout());
  }

  StepReport report;
  report.stage = stage_name(config_.train, curriculum_.state().stage);
  report.loss = figure[0];
  report.mean_loss = sums.num_targets > 0 ? figure[1] / sums.num_targets : 0.0;
  if (sums.num_answer_targets > 0) {
    report.answer_loss = figure[2] / sums.num_answer_targets;
  }
  report.grad_norm = std::sqrt(figure[3]);
  report.skipped = !std::isfinite(report.loss) || !std::isfinite(report.grad_norm);
  const bool counts = sums.num_targets > 0; // else there is nothing to learn from, nor to report

  // 5. Clip and update, unless something was not finite.
  const Curriculum::State& at = curriculum_.state();
  report.lr = lr_plan_.rate(at.step, at.stage, at.step_in_stage);
  if (!report.skipped && counts) {
    optimizer_->step(report.lr, clip_factor(report.grad_norm, config_.optim.clip));
    exchange_->begin_gathering();
    share_tied_embedding();
  }

  // 6. Count the step.
  std::int64_t num_tokens = 0;
  for (const Batch& batch : batches) {
    num_tokens += static_cast<std::int64_t>(batch.ids.size()) * parts_.copies->size();
  }
  tokens_seen_ += num_tokens;
  skipped_steps_ += report.skipped ? 1 : 0;
  curriculum_.advance(
      report.skipped || !counts
          ? std::nullopt
          : std::optional<StepLosses>({report.mean_loss, report.answer_loss}));
  report.step = curriculum_.state().step;
  report.num_segments = shape.num_segments;
  report.num_prefix_segments = shape.num_prefix_segments;
  report.segment_length = shape.segment_length;
  report.tokens_seen = tokens_seen_;
  report.padded_share = sums.num_padding / static_cast<double>(num_tokens);
  return report;
}

void Trainer::take_segment_length() {
  const std::int64_t num_stages = static_cast<std::int64_t>(config_.train.stages.size());
  const auto stage = static_cast<std::size_t>(std::min(curriculum_.state().stage, num_stages - 1));
  FlatParameters& parameters = *parts_.parameters;
  segment_length_ =
      stage_segment_length(config_.train, stage, segment_length_of(parameters.config()));
  if (parameters.config().fcc && segment_length_ != parameters.config().fcc->segment_length) {
    parameters.set_segment_length(segment_length_);
    whole_layout_.reset();
    parts_.executor =
        make_executor(parameters, config_.engine, parts_.link.get()); // made for the old length
  }
}

std::vector<Batch> Trainer::draw_micro_batches(const BatchShape& shape) {
  const Communicator& ranks = *parts_.copies;
  BatchShape own = shape;
  own.batch_size /= ranks.size();
  std::vector<Batch> batches;
  for (std::int64_t i = 0; i < curriculum_.accumulate(); ++i) {
    batches.push_back(stage_loader().next(own, ranks.rank(), ranks.size()));
  }
  return batches;
}

Trainer::StepSums Trainer::accumulate_gradients(const std::vector<Batch>& batches) {
  const LossCounts counts = count_over_ranks(*parts_.copies, batches);
  const at::Tensor& master = parts_.parameters->master();
  const at::Tensor zero = at::zeros({}, master.options().dtype(at::kDouble));
  StepSums sums{.loss = zero.clone(), .all = zero.clone(), .answers = zero.clone()};
  for (const double count : counts.per_segment) {
    sums.num_targets += count;
  }
  for (const Batch& batch : batches) {
    const std::vector<double> coefficients = loss_coefficients(batch, counts, config_.loss.kind);
    const MicroBatch micro_batch =
        to_micro_batch(batch, coefficients, master.device(), master.scalar_type());
    const PassResult result =
        parts_.executor->train(micro_batch, exchange_->hooks(&batch == &batches.back()));
    const at::Tensor token_losses = result.token_losses.to(at::kDouble);
    sums.loss.add_(result.loss);
    sums.all.add_((token_losses * micro_batch.coefficients.ne(0)).sum());
    const at::Tensor answers = answer_mask(batch, coefficients, master.device(), at::kDouble);
    if (answers.defined()) {
      sums.answers.add_((token_losses * answers).sum());
      for (std::size_t i = 0; i < coefficients.size(); ++i) {
        sums.num_answer_targets += batch.answer[i] != 0 && coefficients[i] != 0.0 ? 1.0 : 0.0;
      }
    }
    sums.num_padding += static_cast<double>(batch.num_padding);
  }
  const std::vector<double> all =
      sum_over_ranks(*parts_.copies, {sums.num_answer_targets, sums.num_padding});
  sums.num_answer_targets = all[0];
  sums.num_padding = all[1];
  return sums;
}

at::Tensor Trainer::squared_norm_of_share() const {
  const at::Tensor& grad = parts_.parameters->grad();
  at::Tensor sum;
  for (const FlatRange& range : exchange_->shares().of(parts_.copies->rank())) {
    const at::Tensor norm = squared_norm(grad.slice(0, range.first, range.end));
    sum = sum.defined() ? sum + norm : norm;
  }
  return sum.defined() ? sum : at::zeros({}, grad.options().dtype(at::kDouble));
}

Loader& Trainer::stage_loader() {
  RunData& data = parts_.data;
  return data.loaders[data.loader_of_stage[static_cast<std::size_t>(curriculum_.state().stage)]];
}

std::vector<ValidationReport> Trainer::validate() {
  // After a stage's last step the length is still that stage's: what was trained is validated.
  if (segment_length_ == 0) {
    take_segment_length();
  }
  exchange_->finish_gathering();
  return parts_.data.validator->run(
      *parts_.executor, *parts_.parameters, segment_length_, *parts_.copies);
}

TrainerState Trainer::state() const {
  TrainerState state;
  state.curriculum = curriculum_.state();
  state.num_updates = optimizer_->num_updates();
  state.skipped_steps = skipped_steps_;
  state.tokens_seen = tokens_seen_;
  for (const Loader& loader : parts_.data.loaders) {
    state.loaders.push_back(loader.state());
  }
  state.threads = at::get_num_threads();
  state.device = parts_.parameters->master().device().is_cpu() ? "cpu" : "cuda";
  state.tokenizer_hash = parts_.data.tokenizer->hash();
  state.sources = parts_.data.fingerprints;
  state.config = course_of_config(write_config(config_));
  state.course_changes = course_changes_;
  state.best_validation = best_validation_;
  return state;
}

CheckpointData Trainer::checkpoint_data() const {
  exchange_->finish_gathering();
  const FlatParameters& parameters = *parts_.parameters;
  Communicator& ranks = *parts_.copies;
  CheckpointData data{
      .compute = parameters.compute(),
      .master = parameters.master(),
      .optimizer = optimizer_->states(),
      .state = state()};
  if (ranks.size() > 1) {
    gather_copies(data);
  }
  if (parts_.link != nullptr && ranks.is_first()) { // the first copy of the model
    const OptimizerPlan plan = plan_optimizer(
        config_.optim, whole_layout(), config_.engine.dtype, parameters.master().device().type());
    data = join_stages(*parts_.copy, parameters, whole_layout(), plan.states, std::move(data));
  }
  return data;
}

void Trainer::gather_copies(CheckpointData& data) const {
  const FlatParameters& parameters = *parts_.parameters;
  Communicator& ranks = *parts_.copies;
  const auto on_cpu = parameters.master().options().device(at::kCPU);
  if (!parameters.compute().is_same(parameters.master())) { // else all have gathered it
    const OptimizerState every{{"master", {{0, data.master.numel()}}}, data.master};
    OptimizerState share{shared_out(every.layout, exchange_->shares().of(ranks.rank())), {}};
    share.values = at::empty({share.layout.numel()}, data.master.options());
    take_share(every, share);
    // What is frozen belongs to no one, and is alike everywhere.
    OptimizerState whole{every.layout, {}};
    whole.values = ranks.is_first() ? data.master.to(on_cpu, false, /*copy=*/true) : at::Tensor();
    gather_shares(ranks, exchange_->shares(), share, whole);
    data.master = whole.values;
  }
  for (std::size_t i = 0; i < data.optimizer.size(); ++i) {
    OptimizerState whole{optimizer_->whole_states()[i], {}};
    whole.values = ranks.is_first() ? at::zeros({whole.layout.numel()}, on_cpu) : at::Tensor();
    gather_shares(ranks, exchange_->shares(), data.optimizer[i], whole);
    data.optimizer[i] = std::move(whole);
  }
}

const FlatParameters& Trainer::whole_layout() const {
  if (parts_.link == nullptr) {
    return *parts_.parameters;
  }
  if (!whole_layout_) {
    whole_layout_ = FlatParameters::layout(parts_.parameters->whole_config(), config_.optim.freeze);
  }
  return *whole_layout_;
}

bool Trainer::norm_is_by_weight() const {
  const bool is_cpu = parts_.parameters->master().device().is_cpu();
  return parts_.copies->size() == 1 && (is_cpu || parts_.link != nullptr);
}

/// The last stage trains it; the first one embeds with a copy.
void Trainer::share_tied_embedding() {
  const FlatParameters& parameters = *parts_.parameters;
  if (parts_.link == nullptr || !parameters.config().tie_word_embeddings) {
    return;
  }
  exchange_->finish_gathering();
  const at::Tensor weight = parameters.view(parameters.compute()).embed_tokens;
  if (parts_.link->is_last()) {
    parts_.copy->send(weight, 0);
  } else if (parts_.link->is_first()) {
    parts_.copy->receive(weight, parts_.copy->size() - 1);
  }
}

void Trainer::save(const std::filesystem::path& directory, const CheckpointData& data) const {
  save_checkpoint(directory, data, whole_layout(), *parts_.data.tokenizer, config_.data.tokenizer);
}

void Trainer::adopt_engine(const EngineSection& saved) {
  const EngineSection engine = resume_engine(
      requested_engine_,
      parts_.engine,
      saved,
      engine_context(config_, parts_.parameters->config(), parts_.ranks->size()));
  if (write_config(engine) != write_config(config_.engine)) {
    parts_.executor = make_executor(*parts_.parameters, engine, parts_.link.get());
    config_.engine = engine;
  }
}

void Trainer::restore(const std::filesystem::path& directory, Course course) {
  TrainerState saved = load_trainer_state(directory);
  adopt_engine(engine_of_course(saved.config));
  course_changes_ = std::move(saved.course_changes);
  best_validation_ = saved.best_validation;
  const std::string before = course_of_config(saved.config);
  const std::string now = course_of_config(write_config(config_));
  if (course == Course::kNew) {
    if (std::string keys = check_new_course(before, now); !keys.empty()) {
      log(LogLevel::kInfo, "new course: " + keys);
      course_changes_.push_back({saved.curriculum.step, std::move(keys)});
    }
    saved.curriculum = position_on_new_course(before, config_.train, std::move(saved.curriculum));
  } else {
    check_same_course(before, now);
  }
  const auto must_equal = [](const char* what, const std::string& was, const std::string& is) {
    if (was != is) {
      throw ConfigError(
          "resume", std::string(what) + " must be that of the run; it was " + was, is);
    }
  };
  if (course == Course::kSame) {
    must_equal("engine.device", saved.device, state().device);
  }
  if (const Tokenizer& tokenizer = *parts_.data.tokenizer;
      !tokenizer.has_hash(saved.tokenizer_hash)) {
    must_equal("the tokenizer's hash", saved.tokenizer_hash, tokenizer.hash());
  }
  if (saved.loaders.size() != parts_.data.loaders.size() ||
      saved.sources.size() != parts_.data.fingerprints.size()) {
    throw FormatError(
        (directory / "trainer.json").string(),
        "must hold one state for each data source of the run",
        std::to_string(saved.loaders.size()));
  }
  std::size_t source = 0;
  for (const Loader& loader : parts_.data.loaders) {
    for (const auto& dataset : loader.datasets()) {
      const std::string what = "the file of data `" + dataset->name() + "`";
      must_equal(what.c_str(), saved.sources[source], parts_.data.fingerprints[source]);
      ++source;
    }
  }
  load_optimizer(directory, *parts_.parameters, *optimizer_);
  optimizer_->set_num_updates(saved.num_updates);
  curriculum_.restore(std::move(saved.curriculum));
  take_segment_length(); // a run that had ended saves its model without another step
  for (std::size_t i = 0; i < parts_.data.loaders.size(); ++i) {
    parts_.data.loaders[i].restore(std::move(saved.loaders[i]));
  }
  skipped_steps_ = saved.skipped_steps;
  tokens_seen_ = saved.tokens_seen;
  // Sums depend on how work is split over threads: keep what `auto` became then.
  if (course == Course::kSame || config_.train.threads == 0) {
    at::set_num_threads(static_cast<int>(saved.threads));
  }
}

} // namespace fcc
