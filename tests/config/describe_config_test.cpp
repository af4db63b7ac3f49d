#include "fcc/config/describe_config.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "fcc/config/run_config.h"

namespace fcc {
namespace {

const ConfigKey& key(const std::vector<ConfigKey>& keys, const std::string& path) {
  return *std::find_if(
      keys.begin(), keys.end(), [&](const ConfigKey& candidate) { return candidate.path == path; });
}

TEST(ListKeys, TellsTypeDefaultAndRangeOfEveryKey) {
  const std::vector<ConfigKey> keys = list_keys<RunConfig>();
  EXPECT_EQ(key(keys, "optim.schedule").type, "cosine | linear | constant");
  EXPECT_EQ(key(keys, "optim.schedule").default_text, "\"cosine\"");
  EXPECT_EQ(key(keys, "optim.decay_share").range, "at least 0 and at most 1");
  EXPECT_EQ(key(keys, "optim.lr").default_text, "3e-04");
  EXPECT_EQ(key(keys, "engine.bptt_segments").type, "whole number | null");
  EXPECT_EQ(key(keys, "engine.bptt_segments").default_text, "null");
  EXPECT_EQ(key(keys, "train.stages").type, "list of: object");
  EXPECT_TRUE(key(keys, "train.stages.N.steps").required);
  EXPECT_EQ(key(keys, "train.stages.N.data.N.weight").range, "above 0");
  EXPECT_EQ(key(keys, "model.fcc.segment_length").default_text, "512");
}

TEST(ListKeys, EveryKeyHasAText) {
  for (const ConfigKey& entry : list_keys<RunConfig>()) {
    EXPECT_FALSE(entry.doc.empty()) << entry.path;
  }
}

TEST(HelpText, IsWrappedToTheWidth) {
  const std::string text = help_text(list_keys<RunConfig>(), 72);
  std::size_t start = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', start)) {
    EXPECT_LE(end - start, 72U) << text.substr(start, end - start);
    start = end + 1;
  }
  EXPECT_NE(
      text.find("checkpoint.keep_last\n    whole number; at least 1; default 3\n"),
      std::string::npos);
}

TEST(ConfigSchema, AllowsWhatTheReaderAllows) {
  const JsonValue schema = config_schema<RunConfig>();
  const JsonValue& properties = *schema.find("properties");
  EXPECT_EQ(json_text(*schema.find("required"), 0), R"(["output", "model", "train"])");
  EXPECT_EQ(json_text(*schema.find("additionalProperties"), 0), "false");
  EXPECT_NE(properties.find("comment"), nullptr);
  const JsonValue& share = *properties.find("optim")->find("properties")->find("final_lr_ratio");
  EXPECT_EQ(
      json_text(share, 0),
      R"({"type": "number", "description": "Learning rate at the end, as a share of the peak.", )"
      R"("minimum": 0, "maximum": 1, "default": 0.1})");
  parse_json_without_duplicates(json_text(schema), "schema");
}

} // namespace
} // namespace fcc
