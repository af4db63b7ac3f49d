#pragma once

// The keys of everything in run_config.h, which includes this file; those of datasets are in
// dataset_fields.h.

#include "fcc/config/dataset_fields.h"
#include "fcc/config/run_config.h"
#include "fcc/config/run_config_names.h"

namespace fcc {

template <typename Visitor>
void visit(Visitor& v, TokenizerConfig& c) {
  v.field(
      "type",
      c.type,
      {.doc = "Kind of tokenizer; auto: by the files found in `path` or `model.path`."});
  v.field("path", c.path, {.doc = "Vocabulary file or model directory (not for bytes)."});
  v.field(
      "add_bos",
      c.add_bos,
      {.doc = "Documents begin with the BOS token; null: as fcc_tokenizer.json says, else false."});
  v.field(
      "add_eos",
      c.add_eos,
      {.doc = "Documents end with the EOS token; null: as fcc_tokenizer.json says, else true."});
}

template <typename Visitor>
void visit(Visitor& v, InitScales& c) {
  v.field(
      "layers",
      c.layers,
      {.doc = "Factor on initializer_range for all matrices of the layers; the embedding keeps it.",
       .min = 0});
  v.field(
      "outputs",
      c.outputs,
      {.doc = "Factor on top for o_proj and down_proj; below 1 (say 1/sqrt(2N) for N layers) keeps "
              "the gradient through many segments tame.",
       .min = 0});
}

template <typename Visitor>
void visit(Visitor& v, ModelSection& c) {
  v.field("path", c.path, {.doc = "Hugging Face directory to start from, weights included."});
  v.field(
      "preset",
      c.preset,
      {.doc = "A named shape with new weights: llama-3.2-1b, llama-3.2-3b, table-1."});
  v.field(
      "config",
      c.config,
      {.doc = "A full shape with new weights, in the words of a Hugging Face config.json."});
  v.field(
      "fcc",
      c.fcc,
      {.doc = "Segments and memory; replaces the `fcc` section of path, preset or config."});
  v.field("init", c.init, {.doc = "How large new weights are."});
}

template <typename Visitor>
void visit(Visitor& v, UntilConfig& c) {
  v.field(
      "metric",
      c.metric,
      {.doc = "loss (plain mean per token) or answer_loss (mean over the answers' tokens) of the "
              "steps; validation_loss or validation_answer_loss of the validations."});
  v.field(
      "below",
      c.below,
      {.doc = "Bound that the metric's every value in the window stays under.",
       .min = 0,
       .above_min = true});
  v.field("window", c.window, {.doc = "Last steps, or validations, that count.", .min = 1});
  v.field(
      "patience",
      c.patience,
      {.doc = "Validations without a new lowest value of the metric, after which the stage ends.",
       .min = 1});
  v.field(
      "dataset",
      c.dataset,
      {.doc = "Name of the validation's dataset whose metric it is; empty: the first."});
}

template <typename Visitor>
void visit(Visitor& v, StageConfig& c) {
  v.field("name", c.name, {.doc = "Name in reports; empty: `stage_` and the index."});
  v.field(
      "steps",
      c.steps,
      {.doc = "Optimizer steps (at most, with `until`).", .min = 1, .required = true});
  v.field("until", c.until, {.doc = "Ends the stage before its steps are done."});
  v.field(
      "segments",
      c.segments,
      {.doc = "Segments with gradient, drawn anew each step.", .min = 1, .max = 1 << 24});
  v.field(
      "prefix_segments",
      c.prefix_segments,
      {.doc = "Segments before them, run without gradient, their memory carried in; drawn anew "
              "each step.",
       .min = 0,
       .max = 1 << 24});
  v.field(
      "segment_length",
      c.segment_length,
      {.doc = "Tokens in a segment from this stage on; null: as in the stage before, the first: as "
              "the model has it. The trained model keeps the last.",
       .min = 1,
       .max = 1 << 24});
  v.field(
      "batch_size",
      c.batch_size,
      {.doc = "Rows of a micro-batch, of all ranks; null: train.batch_size.",
       .min = 1,
       .max = 1 << 20});
  v.field(
      "accumulate",
      c.accumulate,
      {.doc = "Micro-batches of a step; null: train.accumulate.", .min = 1, .max = 1 << 20});
  v.field("lr", c.lr, {.doc = "Peak learning rate of this stage; null: optim.lr.", .min = 0});
  v.field("data", c.data, {.doc = "Datasets in place of data.train."});
}

template <typename Visitor>
void visit(Visitor& v, TrainSection& c) {
  v.field("seed", c.seed, {.doc = "Seed of weights, data and drawn lengths.", .min = 0});
  v.field(
      "batch_size",
      c.batch_size,
      {.doc = "Rows of a micro-batch, of all ranks.", .min = 1, .max = 1 << 20});
  v.field(
      "accumulate", c.accumulate, {.doc = "Micro-batches of a step.", .min = 1, .max = 1 << 20});
  v.field(
      "stages", c.stages, {.doc = "The curriculum, one stage after another.", .required = true});
  v.field(
      "validate_every",
      c.validate_every,
      {.doc = "Steps between validations; 0: only at the end.", .min = 0});
  v.field(
      "validation_batches",
      c.validation_batches,
      {.doc = "Batches of a validation.", .min = 1, .max = 1 << 20});
  v.field(
      "validation_segments",
      c.validation_segments,
      {.doc = "Segments of a validation sequence.", .min = 1, .max = 1 << 24});
  v.field(
      "max_skipped_steps",
      c.max_skipped_steps,
      {.doc = "Steps with a non-finite loss or gradient, in all, before the run ends.", .min = 0});
  v.field(
      "max_consecutive_skipped_steps",
      c.max_consecutive_skipped_steps,
      {.doc = "Such steps in a row before the run ends.", .min = 0});
  v.field(
      "threads",
      c.threads,
      {.doc = "CPU threads; 0: torch's choice, beside a GPU four at most.", .min = 0, .max = 4096});
}

template <typename Visitor>
void visit(Visitor& v, LossSection& c) {
  v.field(
      "kind",
      c.kind,
      {.doc = "Sum over segments of their mean (arXiv 2405.04620, eq. 17), or the weighted mean "
              "over all tokens."});
}

template <typename Visitor>
void visit(Visitor& v, OptimSection& c) {
  v.field(
      "kind",
      c.kind,
      {.doc = "adamw; or muon: orthogonalised momentum for the matrices in the layers, AdamW for "
              "the rest."});
  v.field("lr", c.lr, {.doc = "Peak learning rate.", .min = 0});
  v.field(
      "beta1",
      c.beta1,
      {.doc = "AdamW's decay of the mean gradient; below 1.", .min = 0, .max = 1});
  v.field(
      "beta2",
      c.beta2,
      {.doc = "AdamW's decay of the mean squared gradient; below 1.", .min = 0, .max = 1});
  v.field(
      "eps", c.eps, {.doc = "Added to the root of the mean square.", .min = 0, .above_min = true});
  v.field(
      "momentum", c.momentum, {.doc = "muon: decay of the momentum; below 1.", .min = 0, .max = 1});
  v.field(
      "nesterov",
      c.nesterov,
      {.doc = "muon: orthogonalise the gradient plus the momentum, not the momentum alone."});
  v.field(
      "ns_steps",
      c.ns_steps,
      {.doc = "muon: Newton-Schulz iterations of the orthogonalisation.", .min = 1, .max = 100});
  v.field(
      "weight_decay",
      c.weight_decay,
      {.doc = "Decoupled weight decay, on matrices only.", .min = 0});
  v.field("clip", c.clip, {.doc = "Largest global gradient norm; 0: off.", .min = 0});
  v.field("schedule", c.schedule, {.doc = "Course of the learning rate after the warm-up."});
  v.field("warmup_steps", c.warmup_steps, {.doc = "Steps of linear rise from 0.", .min = 0});
  v.field(
      "decay_share",
      c.decay_share,
      {.doc = "The last share of all steps, over which the learning rate falls; where a stage has "
              "`until`, the last share of the last stage's steps (its most).",
       .min = 0,
       .max = 1});
  v.field(
      "final_lr_ratio",
      c.final_lr_ratio,
      {.doc = "Learning rate at the end, as a share of the peak.", .min = 0, .max = 1});
  v.field(
      "freeze",
      c.freeze,
      {.doc = "Weights that stay as they are: Hugging Face names, or `prefix*`."});
}

template <typename Visitor>
void visit(Visitor& v, EngineSection& c) {
  v.field("device", c.device, {.doc = "auto, cpu, cuda or cuda:N."});
  v.field(
      "dtype",
      c.dtype,
      {.doc = "Type of the computation; master weights stay float32 (float64 where that is). bf16, "
              "fp32 and fp64 mean the same."});
  v.field(
      "attention",
      c.attention,
      {.doc =
           "Attention backend; auto: the fastest that supports the device, dtype and head width."});
  v.field(
      "bptt_segments",
      c.bptt_segments,
      {.doc = "The gradient is cut every so many segments; null: it flows through all memory.",
       .min = 1});
  v.field(
      "execution",
      c.execution,
      {.doc =
           "reference: plain operators and autograd, the definition; fused: passes by hand over "
           "diagonals of cells; auto: fused on a GPU, where it supports the model and the options, "
           "else reference."});
  v.field(
      "kernels",
      c.kernels,
      {.doc =
           "fused, on a GPU: the kernels for compute capability 9.0 among others (hopper), those "
           "of every GPU from 8.0 on (portable), or hopper where they can run (auto)."});
  v.field(
      "schedule",
      c.schedule,
      {.doc = "fused: all cells of a diagonal at once (wavefront), or one after another "
              "(sequential)."});
  v.field(
      "activations",
      c.activations,
      {.doc = "fused: keep all activations (store), recompute them chunk by chunk (recompute), or "
              "store if memory_gib holds them, else recompute (auto)."});
  v.field(
      "chunk_segments",
      c.chunk_segments,
      {.doc = "fused: segments in a chunk; null: all (store), or the most that fit (recompute).",
       .min = 1});
  v.field(
      "memory_gib",
      c.memory_gib,
      {.doc = "fused: GiB to plan for; null: what the device has free, less a margin.",
       .min = 0,
       .above_min = true});
  v.field(
      "boundary_memory_on_host",
      c.boundary_memory_on_host,
      {.doc = "fused: memory between chunks waits in pinned host memory."});
  v.field(
      "cuda_graphs",
      c.cuda_graphs,
      {.doc = "fused, on a GPU: launches that repeat are recorded and replayed as CUDA graphs."});
  v.field(
      "layer_ranks",
      c.layer_ranks,
      {.doc = "fused: ranks that the layers are split over; every such group trains on rows of its "
              "own.",
       .min = 1});
}

template <typename Visitor>
void visit(Visitor& v, CheckpointSection& c) {
  v.field(
      "every",
      c.every,
      {.doc = "Steps between checkpoints; 0: only at the end and on a signal.", .min = 0});
  v.field("keep_last", c.keep_last, {.doc = "Checkpoints that are kept.", .min = 1});
  v.field(
      "stop_on_error",
      c.stop_on_error,
      {.doc =
           "End the run when a checkpoint cannot be written (a full disk); false: a warning, and "
           "another attempt when the next one is due. The last one of a run must be written."});
  v.field(
      "keep_best",
      c.keep_best,
      {.doc = "Keep the model of the validation with the lowest loss (of its first dataset) as "
              "`best/`, beside `final/`."});
  v.field(
      "in_background",
      c.in_background,
      {.doc =
           "Write a checkpoint from a copy in main memory while training goes on; false: training "
           "waits, and no copy is made."});
}

template <typename Visitor>
void visit(Visitor& v, LogSection& c) {
  v.field("every", c.every, {.doc = "Steps between progress lines.", .min = 1});
  v.field("tensorboard", c.tensorboard, {.doc = "Write TensorBoard events."});
}

template <typename Visitor>
void visit(Visitor& v, RunConfig& c) {
  v.field("output", c.output, {.doc = "Run directory.", .required = true});
  v.field("model", c.model, {.doc = "Which model: one of path, preset, config.", .required = true});
  v.field("data", c.data, {.doc = "Tokenizer and datasets."});
  v.field("train", c.train, {.doc = "Stages, batches, validation.", .required = true});
  v.field("loss", c.loss, {.doc = "How targets are weighed."});
  v.field("optim", c.optim, {.doc = "The optimizer and its learning rate."});
  v.field("engine", c.engine, {.doc = "Where and how it is computed."});
  v.field("checkpoint", c.checkpoint, {.doc = "When the state is saved."});
  v.field("log", c.log, {.doc = "What is reported."});
}

class Problems;

/// Rules between the keys: one source for the model, datasets that can be opened, stages that can
/// end, and whatever else no single key can tell.
void check_rules(const RunConfig& config, Problems& problems);

} // namespace fcc
