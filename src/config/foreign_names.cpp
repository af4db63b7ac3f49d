#include "config/foreign_names.h"

#include <algorithm>
#include <cctype>

namespace fcc {
namespace {

constexpr ForeignName kNames[] = {
    // the optimizer and its rate
    {"learning_rate", "optim.lr", ""},
    {"max_lr", "optim.lr", ""},
    {"peak_lr", "optim.lr", ""},
    {"base_lr", "optim.lr", ""},
    {"min_lr", "optim.final_lr_ratio", "a share of optim.lr"},
    {"min_lr_ratio", "optim.final_lr_ratio", ""},
    {"max_grad_norm", "optim.clip", ""},
    {"grad_clip", "optim.clip", ""},
    {"clip_grad", "optim.clip", ""},
    {"clip_grad_norm", "optim.clip", ""},
    {"gradient_clipping", "optim.clip", ""},
    {"gradient_clip_val", "optim.clip", ""},
    {"adam_beta1", "optim.beta1", ""},
    {"adam_beta2", "optim.beta2", ""},
    {"betas", "optim.beta1", "and optim.beta2"},
    {"adam_betas", "optim.beta1", "and optim.beta2"},
    {"adam_epsilon", "optim.eps", ""},
    {"adam_eps", "optim.eps", ""},
    {"epsilon", "optim.eps", ""},
    {"wd", "optim.weight_decay", ""},
    {"optimizer", "optim", "the optimizer is AdamW"},
    {"optimizer_type", "optim", "the optimizer is AdamW"},
    {"optimizer_name", "optim", "the optimizer is AdamW"},
    {"adam", "optim", ""},
    {"adamw", "optim", ""},
    {"lr_scheduler", "optim.schedule", ""},
    {"lr_scheduler_type", "optim.schedule", ""},
    {"lr_schedule", "optim.schedule", ""},
    {"lr_decay_style", "optim.schedule", ""},
    {"scheduler", "optim.schedule", ""},
    {"warmup_ratio", "optim.warmup_steps", "in steps"},
    {"warmup", "optim.warmup_steps", ""},
    {"num_warmup_steps", "optim.warmup_steps", ""},
    {"warmup_iters", "optim.warmup_steps", ""},
    {"lr_warmup_iters", "optim.warmup_steps", ""},
    {"lr_decay_iters", "optim.decay_share", "a share of all steps"},
    {"frozen_parameters", "optim.freeze", ""},
    {"freeze_layers", "optim.freeze", ""},
    // how long, how much at once
    {"max_steps", "train.stages.N.steps", ""},
    {"max_iters", "train.stages.N.steps", ""},
    {"train_iters", "train.stages.N.steps", ""},
    {"total_steps", "train.stages.N.steps", ""},
    {"num_steps", "train.stages.N.steps", ""},
    {"num_train_steps", "train.stages.N.steps", ""},
    {"iterations", "train.stages.N.steps", ""},
    {"num_epochs", "train.stages.N.steps", "in steps; --dry-run says how often the data is read"},
    {"num_train_epochs",
     "train.stages.N.steps",
     "in steps; --dry-run says how often the data is read"},
    {"epochs", "train.stages.N.steps", "in steps; --dry-run says how often the data is read"},
    {"max_epochs", "train.stages.N.steps", "in steps; --dry-run says how often the data is read"},
    {"curriculum", "train.stages", ""},
    {"gradient_accumulation_steps", "train.accumulate", ""},
    {"gradient_accumulation", "train.accumulate", ""},
    {"grad_accum", "train.accumulate", ""},
    {"grad_accumulation_steps", "train.accumulate", ""},
    {"accumulate_grad_batches", "train.accumulate", ""},
    {"micro_batch_size", "train.batch_size", ""},
    {"train_micro_batch_size_per_gpu", "train.batch_size", ""},
    {"per_device_train_batch_size", "train.batch_size", ""},
    {"per_device_eval_batch_size", "train.batch_size", "validation has the same"},
    {"device_batch_size", "train.batch_size", ""},
    {"global_batch_size", "train.batch_size", "times train.accumulate"},
    {"train_batch_size", "train.batch_size", "times train.accumulate"},
    {"seq_length", "train.stages.N.segments", "segments of model.fcc.segment_length tokens"},
    {"seq_len", "train.stages.N.segments", "segments of model.fcc.segment_length tokens"},
    {"sequence_length", "train.stages.N.segments", "segments of model.fcc.segment_length tokens"},
    {"max_seq_len", "train.stages.N.segments", "segments of model.fcc.segment_length tokens"},
    {"max_seq_length", "train.stages.N.segments", "segments of model.fcc.segment_length tokens"},
    {"max_length", "train.stages.N.segments", "segments of model.fcc.segment_length tokens"},
    {"block_size", "train.stages.N.segments", "segments of model.fcc.segment_length tokens"},
    {"context_length", "train.stages.N.segments", "segments of model.fcc.segment_length tokens"},
    {"random_seed", "train.seed", ""},
    {"data_seed", "train.seed", "one seed for weights, data and drawn lengths"},
    {"num_threads", "train.threads", ""},
    {"num_workers", "train.threads", "data is read by mmap, without workers"},
    {"dataloader_num_workers", "train.threads", "data is read by mmap, without workers"},
    // validation, saving, telling
    {"eval_steps", "train.validate_every", ""},
    {"eval_interval", "train.validate_every", ""},
    {"eval_every", "train.validate_every", ""},
    {"val_check_interval", "train.validate_every", ""},
    {"evaluation_strategy", "train.validate_every", "in steps"},
    {"eval_strategy", "train.validate_every", "in steps"},
    {"eval_iters", "train.validation_batches", ""},
    {"eval_batches", "train.validation_batches", ""},
    {"limit_val_batches", "train.validation_batches", ""},
    {"output_dir", "output", ""},
    {"out_dir", "output", ""},
    {"save_dir", "output", ""},
    {"run_name", "output", "the run's directory is its name"},
    {"save_steps", "checkpoint.every", ""},
    {"save_interval", "checkpoint.every", ""},
    {"save_every", "checkpoint.every", ""},
    {"checkpoint_every", "checkpoint.every", ""},
    {"checkpoint_interval", "checkpoint.every", ""},
    {"save_strategy", "checkpoint.every", "in steps"},
    {"save_total_limit", "checkpoint.keep_last", ""},
    {"async_save", "checkpoint.in_background", ""},
    {"logging_steps", "log.every", ""},
    {"log_interval", "log.every", ""},
    {"log_every_n_steps", "log.every", ""},
    {"log_every", "log.every", ""},
    {"report_to", "log.tensorboard", "true or false; metrics.jsonl has every step"},
    {"early_stopping", "train.stages.N.until", ""},
    {"early_stopping_patience", "train.stages.N.until", ""},
    {"resume_from_checkpoint", "", "resuming is a flag: fcc-train --resume auto"},
    {"resume", "", "resuming is a flag: fcc-train --resume auto"},
    {"load_checkpoint", "", "resuming is a flag: fcc-train --resume auto"},
    // the model
    {"model_name_or_path", "model.path", ""},
    {"model_name", "model.path", "or model.preset"},
    {"model_path", "model.path", ""},
    {"pretrained_model", "model.path", ""},
    {"init_from", "model.path", ""},
    {"base_model", "model.path", ""},
    {"tokenizer_name", "data.tokenizer.path", ""},
    {"tokenizer_path", "data.tokenizer.path", ""},
    {"tokenizer_model", "data.tokenizer.path", ""},
    {"n_layer", "model.config.num_hidden_layers", ""},
    {"n_layers", "model.config.num_hidden_layers", ""},
    {"num_layers", "model.config.num_hidden_layers", ""},
    {"n_head", "model.config.num_attention_heads", ""},
    {"n_heads", "model.config.num_attention_heads", ""},
    {"num_heads", "model.config.num_attention_heads", ""},
    {"n_kv_heads", "model.config.num_key_value_heads", ""},
    {"num_kv_heads", "model.config.num_key_value_heads", ""},
    {"n_embd", "model.config.hidden_size", ""},
    {"d_model", "model.config.hidden_size", ""},
    {"dim", "model.config.hidden_size", ""},
    {"ffn_hidden_size", "model.config.intermediate_size", ""},
    {"d_ff", "model.config.intermediate_size", ""},
    {"segment_size", "model.fcc.segment_length", ""},
    {"mem_len", "model.fcc.segment_length", "memory is one segment"},
    {"memory_length", "model.fcc.segment_length", "memory is one segment"},
    // the data
    {"dataset", "data.train", ""},
    {"datasets", "data.train", ""},
    {"train_data", "data.train", ""},
    {"train_file", "data.train.N.path", ""},
    {"data_path", "data.train.N.path", ""},
    {"train_data_path", "data.train.N.path", ""},
    {"eval_dataset", "data.validation", ""},
    {"val_data", "data.validation", ""},
    {"eval_data", "data.validation", ""},
    {"validation_file", "data.validation.N.path", ""},
    {"validation_data", "data.validation", ""},
    {"shuffle", "", "documents are shuffled by fcc-data tokenize --shuffle-seed"},
    {"packing", "data.train.N.type", "`tokens` packs documents into one stream"},
    // how it is computed
    {"bf16", "engine.dtype", "`bfloat16`"},
    {"fp32", "engine.dtype", "`float32`"},
    {"tf32", "", "libfcc has no TF32; instead set engine.dtype to `bfloat16`"},
    {"fp16", "", "libfcc has no float16; instead set engine.dtype to `bfloat16`"},
    {"fp8", "", "libfcc has no FP8; instead set engine.dtype to `bfloat16`"},
    {"loss_scale", "", "libfcc has no float16 and needs no loss scale: bfloat16 does without"},
    {"loss_scaling", "", "libfcc has no float16 and needs no loss scale: bfloat16 does without"},
    {"mixed_precision", "engine.dtype", "`bfloat16`; master weights stay float32"},
    {"precision", "engine.dtype", ""},
    {"torch_dtype", "engine.dtype", ""},
    {"amp", "engine.dtype", "`bfloat16`; master weights stay float32"},
    {"compute_dtype", "engine.dtype", ""},
    {"param_dtype", "engine.dtype", "master weights stay float32"},
    {"use_cpu", "engine.device", "`cpu`"},
    {"no_cuda", "engine.device", "`cpu`"},
    {"accelerator", "engine.device", ""},
    {"gpu", "engine.device", "`cuda`"},
    {"gradient_checkpointing", "engine.activations", "`recompute`"},
    {"activation_checkpointing", "engine.activations", "`recompute`"},
    {"activation_checkpoint", "engine.activations", "`recompute`"},
    {"recompute_granularity", "engine.activations", "`recompute`"},
    {"recompute_activations", "engine.activations", "`recompute`"},
    {"cpu_offload", "engine.boundary_memory_on_host", "of memory; optimizer states stay"},
    {"offload", "engine.boundary_memory_on_host", "of memory; optimizer states stay"},
    {"attn_implementation", "engine.attention", ""},
    {"attention_backend", "engine.attention", ""},
    {"flash_attention", "engine.attention", "`auto` takes the fastest that supports the shape"},
    {"flash_attention_2", "engine.attention", "`auto` takes the fastest that supports the shape"},
    {"use_flash_attn", "engine.attention", "`auto` takes the fastest that supports the shape"},
    {"use_flash_attention", "engine.attention", "`auto` takes the fastest that supports the shape"},
    {"bptt", "engine.bptt_segments", ""},
    {"tbptt_steps", "engine.bptt_segments", ""},
    {"torch_compile", "", "libfcc has no compiler step; instead engine.execution `fused`"},
    {"compile", "", "libfcc has no compiler step; instead engine.execution `fused`"},
    {"use_cuda_graph", "engine.cuda_graphs", ""},
    // what there is not
    {"lora*", "", "libfcc has no LoRA; instead optim.freeze trains a part of the weights"},
    {"qlora*", "", "libfcc has no LoRA; instead optim.freeze trains a part of the weights"},
    {"peft*", "", "libfcc has no adapters; instead optim.freeze trains a part of the weights"},
    {"load_in_4bit", "", "libfcc has no quantisation; instead set engine.dtype to `bfloat16`"},
    {"load_in_8bit", "", "libfcc has no quantisation; instead set engine.dtype to `bfloat16`"},
    {"quantization*", "", "libfcc has no quantisation; instead set engine.dtype to `bfloat16`"},
    {"deepspeed", "", "libfcc has no DeepSpeed; instead engine.activations and engine.memory_gib"},
    {"zero_*", "", "libfcc has no ZeRO; instead engine.activations and engine.memory_gib"},
    {"fsdp*", "", "libfcc has no FSDP; instead engine.activations and engine.memory_gib"},
    {"tensor_parallel*", "", "libfcc has no tensor parallelism; a model fits one device"},
    {"tensor_model_parallel*", "", "libfcc has no tensor parallelism; a model fits one device"},
    {"pipeline_parallel*", "", "libfcc has no pipeline parallelism; a model fits one device"},
    {"pipeline_model_parallel*", "", "libfcc has no pipeline parallelism; a model fits one device"},
    {"context_parallel*",
     "",
     "libfcc has no context parallelism; long rows need none, see segments"},
    {"sequence_parallel*", "", "libfcc has no sequence parallelism; long rows need none"},
    {"num_nodes", "", "libfcc has no runs over several nodes; see docs/limits.md"},
    {"nnodes", "", "libfcc has no runs over several nodes; see docs/limits.md"},
    {"dropout", "", "libfcc has no dropout; instead optim.weight_decay and fewer passes"},
    {"attention_dropout", "", "libfcc has no dropout; instead optim.weight_decay"},
    {"hidden_dropout", "", "libfcc has no dropout; instead optim.weight_decay"},
    {"label_smoothing*", "", "libfcc has no label smoothing; leave it out"},
    {"ema*", "", "libfcc keeps no averaged weights; leave it out"},
    {"wandb*", "", "libfcc has no W&B; instead log.tensorboard, or read metrics.jsonl"},
    {"mlflow*", "", "libfcc has no MLflow; instead log.tensorboard, or read metrics.jsonl"},
    {"push_to_hub", "", "libfcc uploads nothing; `final/` is a Hugging Face directory"},
    {"chat_template", "", "libfcc trains no chats; instead datasets of type `pairs`"},
    {"trust_remote_code", "", "libfcc runs no code of models; leave it out"},
    // comments
    {"_comment", "comment", ""},
    {"//", "comment", ""},
    {"#", "comment", ""},
    {"description", "comment", ""},
    {"note", "comment", ""},
    {"notes", "comment", ""},
    {"remark", "comment", ""},
};

std::string folded(std::string_view name) {
  std::string result(name);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) {
    return c == '-' ? '_' : static_cast<char>(std::tolower(c));
  });
  return result;
}

bool is_name(const ForeignName& foreign, std::string_view name) {
  return foreign.name.ends_with('*')
             ? name.starts_with(foreign.name.substr(0, foreign.name.size() - 1))
             : name == foreign.name;
}

} // namespace

std::span<const ForeignName> foreign_names() {
  return kNames;
}

std::optional<std::string> foreign_hint(
    std::string_view path,
    const std::vector<std::string>& key_paths) {
  const auto has_key = [&](std::string_view key) {
    return std::find(key_paths.begin(), key_paths.end(), key) != key_paths.end();
  };
  const std::string name = folded(path.substr(path.rfind('.') + 1));
  for (const ForeignName& foreign : kNames) {
    if (!is_name(foreign, name)) {
      continue;
    }
    if (foreign.key.empty()) { // an answer for runs, not for a part of the tree
      return has_key("optim.lr") ? std::optional<std::string>(foreign.note) : std::nullopt;
    }
    if (foreign.key != "comment" && !has_key(foreign.key)) {
      return std::nullopt;
    }
    std::string hint = "here it is `" + std::string(foreign.key) + "`";
    return foreign.note.empty() ? hint : hint + ": " + std::string(foreign.note);
  }
  return std::nullopt;
}

} // namespace fcc
