#pragma once

#include <filesystem>
#include <string>

#include "fcc/config/run_config.h"
#include "support/places.h"
#include "support/temporary_directory.h"

namespace fcc {

using TemporaryFolder = TemporaryDirectory;

/// A run of two stages over passkeys of two digits that takes milliseconds a step: D 8, one layer,
/// segments of 14 tokens.
inline RunConfig tiny_run(const std::filesystem::path& output) {
  RunConfig config;
  config.output = output.string();
  ModelConfig model;
  model.vocab_size = 61;
  model.hidden_size = 8;
  model.intermediate_size = 12;
  model.num_hidden_layers = 1;
  model.num_attention_heads = 2;
  model.num_key_value_heads = 1;
  model.head_dim = 4;
  model.fcc = FccConfig{.segment_length = 14};
  config.model.config = model;
  config.data.tokenizer.type = TokenizerKind::kWords;
  config.data.tokenizer.path = source_dir() + "/configs/passkey_vocabulary.txt";
  DatasetConfig passkey;
  passkey.type = DatasetKind::kPasskey;
  passkey.name = "passkey";
  passkey.digits = 2;
  passkey.context_weight = 0.25;
  config.data.train = {passkey};
  config.train.seed = 7;
  config.train.batch_size = 3;
  config.train.threads = 1;
  config.train.validation_batches = 1;
  config.train.validation_segments = 3;
  StageConfig first;
  first.name = "first";
  first.steps = 13;
  first.accumulate = 2;
  first.segments.kind = IntDistribution::Kind::kList;
  first.segments.values = {2, 3};
  StageConfig second;
  second.name = "second";
  second.steps = 17;
  second.until = UntilConfig{
      .metric = "answer_loss", .below = 1e-3, .window = 4, .patience = {}, .dataset = {}};
  second.segments = IntDistribution::fixed(2);
  second.prefix_segments.kind = IntDistribution::Kind::kList;
  second.prefix_segments.values = {0, 1, 2};
  second.data = {passkey};
  config.train.stages = {first, second};
  config.optim.lr = 1e-2;
  config.optim.warmup_steps = 5;
  config.engine.device = "cpu";
  config.log.tensorboard = false;
  return config;
}

} // namespace fcc
