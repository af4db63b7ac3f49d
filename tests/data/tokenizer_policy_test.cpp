// Which BOS/EOS policy a run has: its own, else that of the model it starts from.

#include <gtest/gtest.h>

#include "data/helpers.h"
#include "fcc/config/strict_json.h"
#include "fcc/train/trainer.h"

namespace fcc {
namespace {

using test::bytes_tokenizer;
using test::TemporaryFolder;

TokenizerConfig resolved(const TemporaryFolder& folder, const std::string& tokenizer) {
  const RunConfig run = read_config<RunConfig>(
      "{\"output\": \"out\", \"model\": {\"path\": \"" + folder.path().string() +
          "\"}, \"data\": {\"tokenizer\": " + tokenizer +
          ", \"train\": [{\"type\": \"passkey\"}]}, \"train\": {\"stages\": [{\"steps\": 1}]}}",
      "run.json");
  return resolve_tokenizer_config(run);
}

TEST(TokenizerPolicy, WhatTheConfigurationSaysItselfGoesBeforeTheModelsOwn) {
  const TemporaryFolder folder;
  TokenizerConfig saved;
  saved.add_bos = true;
  saved.add_eos = false;
  save_tokenizer(*bytes_tokenizer(), saved, folder.path());
  const std::string path = ", \"path\": \"" + folder.path().string() + "\"";
  for (const std::string& where : {std::string(), path}) {
    TokenizerConfig config = resolved(folder, "{\"type\": \"auto\"" + where + "}");
    EXPECT_TRUE(config.begins_with_bos());
    EXPECT_FALSE(config.ends_with_eos());
    config = resolved(folder, "{\"add_bos\": false" + where + "}");
    EXPECT_EQ(config.add_bos, false);
    EXPECT_EQ(config.add_eos, false);
    config = resolved(folder, "{\"add_bos\": false, \"add_eos\": true" + where + "}");
    EXPECT_EQ(config.add_bos, false);
    EXPECT_EQ(config.add_eos, true);
  }
  // The built-in tokenizer by name is not the model's.
  EXPECT_EQ(resolved(folder, "{\"type\": \"bytes\"}").add_bos, false);
}

} // namespace
} // namespace fcc
