// Every task of a sweep: who knows the answer scores 100 %, who cannot know it scores chance.
#include "fcc/eval/sweep_task.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "data/text_pieces.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

constexpr std::int64_t kSamples = 40;

const std::shared_ptr<const Tokenizer>& bytes() {
  static const std::shared_ptr<const Tokenizer> tokenizer = make_tokenizer(TokenizerConfig());
  return tokenizer;
}

/// A task with real text where it needs one.
SweepTaskConfig config_of(const std::string& name) {
  SweepTaskConfig config = sweep_task_config(name);
  if (config.needs_haystack) {
    std::string text;
    for (int i = 0; i < 300; ++i) {
      text += "In year " + std::to_string(i) + " nothing of note was seen there.\n";
    }
    config.haystack = bytes()->encode(text);
    config.haystack_name = "chronicle";
  }
  return config;
}

SweepSample sample_of(const SweepTask& task, std::int64_t trial, double depth = 0.5) {
  Random random(5, 3, static_cast<std::uint64_t>(trial) << 24);
  return task.make(4000, depth, random);
}

/// What a reader who understands the sample's values answers, as long as the task lets it.
std::vector<std::int32_t> said(const SweepSample& sample, const std::string& text) {
  std::vector<std::int32_t> ids = bytes()->encode(text);
  ids.resize(static_cast<std::size_t>(sample.answer_tokens), ' ');
  return ids;
}

std::string joined(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) {
    text += " " + value;
  }
  return text;
}

double score(const SweepTask& task, const std::function<std::string(const SweepSample&)>& answer) {
  std::int64_t right = 0, all = 0;
  for (std::int64_t trial = 0; trial < kSamples; ++trial) {
    const SweepSample sample = sample_of(task, trial);
    right += task.count_right(sample, said(sample, answer(sample)));
    all += static_cast<std::int64_t>(sample.values.size());
  }
  return static_cast<double>(right) / static_cast<double>(all);
}

class EverySweepTask : public testing::TestWithParam<std::string> {
 protected:
  SweepTaskConfig config_ = config_of(GetParam());
  std::unique_ptr<SweepTask> task_ = make_sweep_task(config_, bytes(), /*add_bos=*/false);
};

TEST_P(EverySweepTask, GivesFullMarksToWhoKnowsTheAnswerAndNoneToWhoDoesNot) {
  EXPECT_EQ(score(*task_, [](const SweepSample& sample) { return joined(sample.values); }), 1.0);
  EXPECT_EQ(score(*task_, [](const SweepSample&) { return " 1234567"; }), 0.0);
  EXPECT_EQ(score(*task_, [](const SweepSample&) { return ""; }), 0.0);
}

TEST_P(EverySweepTask, GivesNothingForTheAnswersOfAnotherSample) {
  std::int64_t right = 0;
  for (std::int64_t trial = 0; trial < kSamples; ++trial) {
    const SweepSample sample = sample_of(*task_, trial),
                      other = sample_of(*task_, trial + kSamples);
    right += task_->count_right(sample, said(sample, joined(other.values)));
  }
  EXPECT_EQ(right, 0);
}

TEST_P(EverySweepTask, TellsEachValueInThePromptOfTheLengthThatIsAskedFor) {
  for (const double depth : {0.0, 0.37, 1.0}) {
    for (std::int64_t trial = 0; trial < 5; ++trial) {
      const SweepSample sample = sample_of(*task_, trial, depth);
      const std::string text = bytes()->decode(sample.prompt);
      for (const std::string& value : sample.values) {
        EXPECT_NE(text.find(value), std::string::npos) << value;
      }
      const auto room = 4000 - static_cast<std::int64_t>(sample.prompt.size());
      EXPECT_GT(room, 0);
      EXPECT_LE(room, sample.answer_tokens);
      EXPECT_GE(room + 16, sample.answer_tokens);
    }
  }
}

TEST_P(EverySweepTask, DrawsEverySampleAnewAndTheSameOneAgain) {
  std::set<std::vector<std::int32_t>> prompts;
  for (std::int64_t trial = 0; trial < kSamples; ++trial) {
    const SweepSample sample = sample_of(*task_, trial);
    EXPECT_EQ(sample.prompt, sample_of(*task_, trial).prompt);
    prompts.insert(sample.prompt);
  }
  EXPECT_EQ(prompts.size(), static_cast<std::size_t>(kSamples));
}

TEST_P(EverySweepTask, RefusesALengthThatDoesNotHoldIt) {
  Random random(1);
  try {
    task_->make(20, 0.5, random);
    FAIL() << "must be refused";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("need "), std::string::npos) << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(
    All,
    EverySweepTask,
    testing::ValuesIn(sweep_task_names()),
    [](const auto& each) {
      std::string name = each.param;
      std::replace(name.begin(), name.end(), '-', '_');
      return name;
    });

/// The value that the prompt tells of the needle number `which` in it, in RULER's words.
std::string value_of_needle(const std::string& prompt, std::size_t which) {
  std::size_t at = prompt.find("One of the special magic numbers");
  for (std::size_t i = 0; i < which; ++i) {
    at = prompt.find("One of the special magic numbers", at + 1);
  }
  const std::size_t begin = prompt.find("is: ", at) + 4;
  return prompt.substr(begin, prompt.find('.', begin) - begin);
}

TEST(NeedleTask, OfFourKeysGivesAQuarterToWhoDoesNotKnowWhichIsAskedFor) {
  const auto task = make_sweep_task(config_of("multi-key"), bytes(), false);
  std::int64_t right = 0;
  constexpr std::int64_t kMany = 400;
  for (std::int64_t trial = 0; trial < kMany; ++trial) {
    const SweepSample sample = sample_of(*task, trial);
    const std::string prompt = bytes()->decode(sample.prompt);
    right += task->count_right(
        sample,
        said(
            sample,
            std::string(" ") + value_of_needle(prompt, static_cast<std::size_t>(trial % 4))));
  }
  EXPECT_NEAR(static_cast<double>(right) / kMany, 0.25, 0.07);
}

TEST(NeedleTask, CountsEachOfSeveralValuesForItself) {
  const auto task = make_sweep_task(config_of("multi-value"), bytes(), false);
  const SweepSample sample = sample_of(*task, 0);
  ASSERT_EQ(sample.values.size(), 4U);
  EXPECT_EQ(
      task->count_right(sample, said(sample, " " + sample.values[3] + ", " + sample.values[1])), 2);
  EXPECT_EQ(task->count_right(sample, said(sample, " 9" + sample.values[0])), 0) << "not a word";
}

TEST(NeedleTask, AsksForAllNamesOfAMultiQuery) {
  const auto task = make_sweep_task(config_of("multi-query"), bytes(), false);
  const SweepSample sample = sample_of(*task, 0);
  const std::string prompt = bytes()->decode(sample.prompt);
  const std::string question = prompt.substr(prompt.rfind("mentioned in the provided text?"));
  EXPECT_EQ(std::count(question.begin(), question.end(), ','), 3) << question;
}

TEST(NeedleTask, StandsBehindAWholeSentence) {
  SweepTaskConfig config = config_of("single-2");
  const auto task = make_sweep_task(config, bytes(), false);
  for (std::int64_t trial = 0; trial < kSamples; ++trial) {
    const std::string prompt = bytes()->decode(sample_of(*task, trial).prompt);
    const std::size_t needle = prompt.find(" One of the special magic numbers");
    ASSERT_NE(needle, std::string::npos);
    EXPECT_TRUE(prompt[needle - 1] == '\n' || prompt[needle - 1] == '.')
        << prompt.substr(needle - 9);
  }
}

TEST(NeedleTask, StandsAnywhereInAMillionTokens) {
  const auto task = make_sweep_task(config_of("single-1"), bytes(), false);
  for (const double depth : {0.0, 0.5, 1.0}) {
    Random random(1);
    const std::int64_t length = 1 << 20;
    const SweepSample sample = task->make(length, depth, random);
    EXPECT_EQ(static_cast<std::int64_t>(sample.prompt.size()) + sample.answer_tokens, length);
    const std::string prompt = bytes()->decode(sample.prompt);
    const auto at = static_cast<double>(prompt.find(sample.values.front()));
    EXPECT_NEAR(at / static_cast<double>(length), depth, 1e-3);
  }
}

TEST(NeedleTask, HidesDigitsWordsOrUuids) {
  SweepTaskConfig config = config_of("needle");
  config.digits = 5;
  const auto value = [&] {
    return sample_of(*make_sweep_task(config, bytes(), false), 1).values.front();
  };
  EXPECT_EQ(value().size(), 5U);
  config.values = NeedleValue::kUuid;
  EXPECT_EQ(value().size(), 36U);
  EXPECT_EQ(value()[14], '4') << "version 4";
  config.values = NeedleValue::kWords;
  EXPECT_NE(value().find('-'), std::string::npos);
}

TEST(NeedleTask, TakesEveryBuiltInWordingAndOneOfAFile) {
  const auto file = std::filesystem::temp_directory_path() /
                    ("fcc_needle_template_" + std::to_string(::getpid()) + ".json");
  std::ofstream(file) << R"({"needle": "{name} drinks {key}.", "question": "{name} drinks"})";
  std::vector<std::string> wordings = needle_template_names();
  EXPECT_GE(wordings.size(), 4U);
  wordings.push_back(file.string());
  for (const std::string& wording : wordings) {
    SweepTaskConfig config = config_of("needle");
    config.texts = needle_template(wording);
    const auto task = make_sweep_task(config, bytes(), false);
    EXPECT_EQ(score(*task, [](const SweepSample& s) { return joined(s.values); }), 1.0) << wording;
  }
  EXPECT_EQ(needle_template(file.string()).needle, "{name} drinks {key}.");
  std::ofstream(file) << R"({"needel": "{key}", "question": "?"})";
  EXPECT_THROW(needle_template(file.string()), ConfigError);
  std::filesystem::remove(file);
  EXPECT_THROW(needle_template("nonsense"), ConfigError);
}

TEST(NeedleTask, RefusesOptionsThatContradictEachOther) {
  const auto refused = [](const SweepTaskConfig& config, const std::string& what) {
    try {
      make_sweep_task(config, bytes(), false);
      FAIL() << "must be refused: " << what;
    } catch (const ConfigError& error) {
      EXPECT_NE(std::string(error.what()).find(what), std::string::npos) << error.what();
    }
  };
  const SweepTaskConfig good = config_of("needle");
  SweepTaskConfig config = good;
  config.texts = needle_template("passkey");
  config.keys = 4; // four passkeys of no name
  refused(config, "{name}");
  config = good;
  config.asked = 2;
  refused(config, "--asked");
  config = good;
  config.digits = 0;
  refused(config, "--digits");
  config = good;
  config.texts.needle = "nothing";
  refused(config, "{key}");
  config = good;
  config.texts.question = "Is it {key}?";
  refused(config, "only the needle");
  config = good;
  config.values_per_key = 2;
  config.texts.questions.clear();
  refused(config, "`questions`");
  config = good;
  config.filler.clear();
  refused(config, "--filler");
  config = sweep_task_config("single-2");
  refused(config, "--haystack");
  config = config_of("variables");
  config.hops = 0;
  refused(config, "--hops");
  config.task = "nonsense";
  refused(config, "single-1");
}

TEST(VariableTask, AssignsEachVariableAfterTheOneItRefersTo) {
  SweepTaskConfig config = config_of("variables");
  config.keys = 3;
  const auto task = make_sweep_task(config, bytes(), false);
  for (std::int64_t trial = 0; trial < kSamples; ++trial) {
    const SweepSample sample = sample_of(*task, trial, 0.1);
    ASSERT_EQ(sample.values.size(), 5U);
    const std::string prompt = bytes()->decode(sample.prompt);
    std::size_t before = 0;
    for (std::size_t i = 0; i < sample.values.size(); ++i) {
      const std::size_t at = prompt.find("VAR " + sample.values[i] + " = ");
      ASSERT_NE(at, std::string::npos);
      EXPECT_GT(at, before);
      before = at;
      if (i > 0) {
        EXPECT_EQ(prompt.find("VAR " + sample.values[i] + " = VAR " + sample.values[i - 1]), at);
      }
    }
  }
}

} // namespace
} // namespace fcc
