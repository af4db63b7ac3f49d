// Names of other frameworks, and slips of the pen, are answered with the key that was meant.

#include "config/foreign_names.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "config/edits.h"
#include "fcc/config/run_config.h"
#include "fcc/config/strict_json.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

const char* const kSmall = R"({
  "output": "runs/a",
  "model": {"preset": "table-1", "fcc": {"segment_length": 32}},
  "data": {
    "tokenizer": {"type": "bytes"},
    "train": [{"type": "passkey"}, {"type": "passkey", "name": "second"}],
    "validation": [{"type": "passkey"}]
  },
  "train": {
    "validate_every": 5,
    "stages": [{"steps": 10, "segments": 2}, {"steps": 5}, {"steps": 3, "name": "last"}]
  },
  "optim": {"lr": 0.1, "schedule": "linear"},
  "engine": {"dtype": "float32"},
  "log": {"every": 3}
})";

std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    read_config<RunConfig>(text, "run.json", overrides);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(ForeignNames, LeadToKeysThatThereAreAndOccurOnce) {
  const std::vector<std::string> paths = key_paths<RunConfig>();
  std::set<std::string_view> seen;
  EXPECT_GE(foreign_names().size(), 100U);
  for (const ForeignName& foreign : foreign_names()) {
    EXPECT_TRUE(seen.insert(foreign.name).second) << foreign.name;
    if (foreign.key.empty()) {
      EXPECT_FALSE(foreign.note.empty()) << foreign.name;
    } else if (foreign.key != "comment") {
      EXPECT_NE(std::find(paths.begin(), paths.end(), foreign.key), paths.end()) << foreign.key;
    }
  }
}

TEST(ForeignNames, AreAllAnsweredInAFileAndBySet) {
  for (const ForeignName& foreign : foreign_names()) {
    std::string name(foreign.name);
    std::replace(name.begin(), name.end(), '*', 'x');
    const std::string answer =
        foreign.key.empty() ? std::string(foreign.note) : "`" + std::string(foreign.key) + "`";
    for (const std::string& place : {std::string(), std::string("train.")}) {
      const std::string error = error_of(kSmall, {place + name + "=1"});
      EXPECT_TRUE(has(error, answer)) << error;
    }
    const std::string text = kSmall;
    const std::string error = error_of("{\"" + name + "\": 1," + text.substr(1));
    EXPECT_TRUE(has(error, answer)) << error;
    EXPECT_FALSE(has(error, "problems")) << error;
  }
}

TEST(ForeignNames, AreReadWithoutRegardToCaseAndHyphens) {
  EXPECT_TRUE(has(error_of(kSmall, {"Learning-Rate=1"}), "(here it is `optim.lr`)"));
  EXPECT_TRUE(has(error_of(kSmall, {"use_lora=1"}), "no such key")) << "and no false hint";
  EXPECT_TRUE(has(error_of(kSmall, {"lora_alpha=1"}), "libfcc has no LoRA; instead"));
  EXPECT_TRUE(has(error_of(kSmall, {"_comment=x"}), "`comment`"));
  EXPECT_TRUE(has(error_of(kSmall, {"coment=x"}), "did you mean `comment`?"));
}

TEST(Causes, AreToldWithoutTheirConsequences) {
  std::string text = kSmall;
  text.replace(text.find("\"data\""), 6, "\"dta\"");
  EXPECT_EQ(error_of(text), "run.json:4: dta: no such key (did you mean `data`?)");
  text = kSmall;
  text.replace(text.find("\"stages\""), 8, "\"stagse\"");
  EXPECT_EQ(error_of(text), "run.json:11: train.stagse: no such key (did you mean `stages`?)");
  text = kSmall;
  text.replace(text.find("\"output\""), 8, "\"output_dir\"");
  EXPECT_EQ(error_of(text), "run.json:2: output_dir: no such key (here it is `output`)");
}

TEST(Causes, AnEmptyListOfDataIsOneProblemForAllStages) {
  EXPECT_EQ(
      error_of(kSmall, {"data.train=[]"}),
      "--set data.train=[]: data.train: must hold a dataset for stages without data of their own");
}

TEST(Edits, OfOneCharacterAreNeverAcceptedAndNearlyAlwaysAnsweredByOneRightHint) {
  const std::string whole = kSmall;
  std::size_t num_edits = 0, num_right = 0, num_single = 0;
  for (std::size_t open = whole.find('"'); open != std::string::npos;) {
    const std::size_t close = whole.find('"', open + 1);
    const std::string word = whole.substr(open + 1, close - open - 1);
    if (whole[close + 1] == ':') { // a key
      for (const std::string& edit : test::edits_of(word, "as1")) {
        const std::string error = error_of(whole.substr(0, open + 1) + edit + whole.substr(close));
        EXPECT_FALSE(error.empty()) << word << " as " << edit;
        ++num_edits;
        num_right += has(error, "`" + word + "`") || has(error, "." + word + "`") ? 1U : 0U;
        num_single += has(error, " problems\n") ? 0U : 1U;
      }
    }
    open = whole.find('"', close + 1);
  }
  EXPECT_GT(num_edits, 1000U);
  EXPECT_GE(static_cast<double>(num_right), 0.99 * static_cast<double>(num_edits))
      << num_right << " of " << num_edits;
  EXPECT_GE(static_cast<double>(num_single), 0.95 * static_cast<double>(num_edits))
      << num_single << " of " << num_edits;
}

TEST(Edits, OfNamesOfValuesAreNeverAccepted) {
  const auto check = [](const std::string& key, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      for (const std::string& edit : test::edits_of(name, "as1")) {
        const bool is_name = std::find(names.begin(), names.end(), edit) != names.end();
        EXPECT_TRUE(is_name || !error_of(kSmall, {key + "=" + edit}).empty()) << key << "=" << edit;
      }
    }
  };
  check("optim.schedule", enum_names<LrSchedule>());
  check("engine.dtype", enum_names<ComputeDType>());
  check("engine.execution", enum_names<Execution>());
  check("engine.activations", enum_names<Activations>());
  check("engine.attention", enum_names<AttentionBackend>());
  check("engine.schedule", enum_names<Schedule>());
  check("data.train.0.type", enum_names<DatasetKind>());
  check("data.train.0.loss_on", enum_names<LossOn>());
  check("data.tokenizer.type", enum_names<TokenizerKind>());
  check("loss.kind", enum_names<LossKind>());
  check("model.fcc.memory_norm", enum_names<MemoryNorm>());
  check("model.fcc.memory_positions", enum_names<MemoryPositions>());
  check("model.fcc.first_memory", enum_names<FirstMemory>());
}

} // namespace
} // namespace fcc
