#include <filesystem>

#include <ATen/Context.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "generate/program_helpers.h"

namespace fcc {
namespace {

using nlohmann::json;
using test::content_of;
using test::ProgramResult;

class FccEval : public testing::Test {
 protected:
  void SetUp() override {
    at::manual_seed(1);
    config_.fcc->segment_length = 64;
    model_ = test::save_tiny_model(folder_, "model", config_);
  }
  ProgramResult run(const std::string& arguments) const {
    return test::run_fcc(folder_, "fcc-eval", arguments);
  }
  ProgramResult run_on_model(const std::string& command, const std::string& arguments) const {
    return run(command + " --device cpu --model " + model_ + " " + arguments);
  }
  void refused(const ProgramResult& result, const std::string& what) const {
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_NE(result.err.find(what), std::string::npos) << result.err;
  }

  test::ProgramFolder folder_;
  ModelConfig config_ = test::tiny_config(Architecture::kCondensation);
  std::string model_;
};

TEST_F(FccEval, AMistypedCommandIsToldWithTheOneThatWasMeant) {
  refused(run("perplexty"), "no such command `perplexty`: did you mean `perplexity`?");
  refused(run("zzz"), "there are passkey, capacity, perplexity, attention-map, summarize");
  EXPECT_EQ(run("ppl --help").exit_code, 0);
  EXPECT_TRUE(run("--version").out.starts_with("fcc-eval (libfcc) ")) << run("--version").out;
}

TEST_F(FccEval, HelpExplainsEveryCommand) {
  EXPECT_EQ(run("--help").exit_code, 0);
  for (const std::string command : {"passkey", "perplexity", "attention-map", "summarize"}) {
    const ProgramResult help = run(command + " --help");
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_NE(help.out.find("--model"), std::string::npos) << command;
    EXPECT_NE(run("--help").out.find(command), std::string::npos);
    EXPECT_EQ(run(command).exit_code, 2); // the model is required
  }
  EXPECT_EQ(run("").exit_code, 2);
  EXPECT_EQ(run("nonsense").exit_code, 2);
}

TEST_F(FccEval, PasskeyWritesItsReportsAndGoesOnWhereItWasKilled) {
  const std::string output = folder_ / "passkey";
  const std::string arguments =
      "--segments 5,7 --depths 0,0.5,1 -n 3 --trained-segments 5 -o " + output;
  const ProgramResult first = run_on_model("passkey", arguments);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_NE(first.out.find("segments  tokens  depth 0 %"), std::string::npos) << first.out;
  const json report = json::parse(content_of(output + "/passkey.json"));
  EXPECT_EQ(report.at("cells").size(), 6u);
  EXPECT_EQ(report.at("cells")[5].at("length_tokens"), 7 * 64);
  EXPECT_NE(content_of(output + "/heatmap.svg").find("trained through 5"), std::string::npos);
  EXPECT_NE(content_of(output + "/passkey.csv").find("length_tokens,"), std::string::npos);

  // Killed in the third cell: two whole lines of results, and half of one.
  const std::string log = output + "/cells.jsonl", whole = content_of(log);
  std::size_t cut = 0;
  for (int line = 0; line < 3; ++line) {
    cut = whole.find('\n', cut) + 1;
  }
  std::ofstream(log, std::ios::trunc) << whole.substr(0, cut + 9);
  const ProgramResult second = run_on_model("passkey", arguments);
  EXPECT_EQ(second.exit_code, 0) << second.err;
  EXPECT_EQ(second.out, first.out);
  refused(run_on_model("passkey", arguments + " --seed 99"), "`seed` was 1, now 99");
}

TEST_F(FccEval, CapacityDrawsAMapOfPairsAndDistances) {
  const std::string output = folder_ / "capacity";
  const std::string arguments = "--pairs 1,3 --segments 1,4 -n 2 -o " + output;
  const ProgramResult first = run_on_model("capacity", arguments);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_NE(first.out.find("3 pairs"), std::string::npos) << first.out;
  const json report = json::parse(content_of(output + "/capacity.json"));
  EXPECT_EQ(report.at("cells").size(), 4u);
  EXPECT_EQ(report.at("cells")[3].at("distance_tokens"), 256);
  EXPECT_NE(content_of(output + "/heatmap.svg").find("pairs told"), std::string::npos);
  EXPECT_EQ(run_on_model("capacity", arguments).out, first.out);
  refused(run_on_model("capacity", arguments + " --pairs 0"), "--pairs");
}

TEST_F(FccEval, PasskeyAsksAtAnyPlaceOfASegment) {
  const std::string arguments = "--segments 8 --spread 64 --depths 0.5 -n 3 -o ";
  EXPECT_EQ(run_on_model("passkey", arguments + (folder_ / "spread")).exit_code, 0);
  const ProgramResult story =
      run_on_model("passkey", "--task qa2 --facts 6 --segments 20 -n 2 -o " + (folder_ / "qa2"));
  EXPECT_EQ(story.exit_code, 0) << story.err;
  refused(
      run_on_model("passkey", "--task qa2 --hops 6 --segments 20 -o " + (folder_ / "qa")),
      "has no option hops");
}

TEST_F(FccEval, PasskeyRefusesWhatCannotBeMeasured) {
  const std::string output = " -o " + (folder_ / "refused");
  refused(run_on_model("passkey", "--segments 1" + output), "need 106 tokens");
  refused(run_on_model("passkey", "--segments 8 --depths 2" + output), "depths");
  refused(run_on_model("passkey", "--segments 8 --lengths 9" + output), "excludes");
  refused(run_on_model("passkey", "--needle nothing --segments 8" + output), "{key}");
  refused(run("passkey --device cpu --model " + (folder_ / "absent") + output), "absent");
  model_ = test::save_tiny_model(folder_, "llama", test::tiny_config(Architecture::kLlama));
  refused(run_on_model("passkey", "--segments 8" + output), "--lengths");
  EXPECT_EQ(run_on_model("passkey", "--lengths 400 -n 2 --depths 0.5" + output).exit_code, 0);
}

TEST_F(FccEval, BothExecutionsReadPromptsToTheSameAnswers) {
  std::string article;
  for (int i = 0; i < 60; ++i) {
    article += "Line " + std::to_string(i * i) + " of a long story. "; // some twenty segments
  }
  std::ofstream(folder_ / "pairs.jsonl")
      << json{{"article", article}, {"summary", "short"}}.dump() << "\n";
  const auto summary = [&](const std::string& execution) {
    const std::string output = folder_ / ("summaries_" + execution);
    const ProgramResult result = run_on_model(
        "summarize",
        "--dtype float64 -t 0 --max-tokens 30 --pairs " + (folder_ / "pairs.jsonl") +
            " --execution " + execution + " -o " + output);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return content_of(output + "/summaries.jsonl");
  };
  EXPECT_EQ(summary("fused"), summary("reference"));

  const std::string output = " --segments 8 -n 3 --batch-size 2 --depths 0.5 -o " + (folder_ / "p");
  const ProgramResult passkey = run_on_model("passkey", "--execution fused" + output);
  EXPECT_EQ(passkey.exit_code, 0) << passkey.err;
  refused(run_on_model("passkey", "--execution quick" + output), "--execution");
  model_ = test::save_tiny_model(folder_, "two", test::tiny_config(Architecture::kLocalGlobal));
  refused(run_on_model("passkey", "--execution fused" + output), "local_global");
}

TEST_F(FccEval, PasskeyTakesTheTaskFromARunConfig) {
  std::ofstream(folder_ / "run.json") << R"({
    "output": "runs/x",
    "model": {"preset": "table-1"},
    "data": {"tokenizer": {"type": "bytes"},
      "train": [{"type": "passkey", "digits": 2, "filler": "so on", "question": "Key:",
      "needle": "Key: {key}.", "intro": "Find it."}]},
    "train": {"stages": [{"steps": 1, "segments": 7, "segment_length": 16},
      {"steps": 1, "segments": [2, 4], "segment_length": 64}]}
  })";
  const std::string output = folder_ / "short";
  const ProgramResult result = run_on_model(
      "passkey", "--segments 2,6 -n 2 --config " + (folder_ / "run.json") + " -o " + output);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json report = json::parse(content_of(output + "/passkey.json"));
  EXPECT_EQ(report.at("settings").at("digits"), "2");
  EXPECT_EQ(report.at("settings").at("filler"), "so on");
  EXPECT_EQ(report.at("trained_length_tokens"), 4 * 64);
}

TEST_F(FccEval, PasskeyTakesTasksWordingsAndRealTextByName) {
  std::ofstream(folder_ / "text.txt") << std::string(50, 'x') + ". The end of it.\n";
  const std::string cell = " --lengths 1000 -n 2 --depths 0.5 -o ";
  const std::string real = "--task single-2 --haystack " + (folder_ / "text.txt") + cell;
  const ProgramResult result = run_on_model("passkey", real + (folder_ / "single"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("tokens")) << "1,000 tokens are no whole segments";
  const json report = json::parse(content_of((folder_ / "single") + "/passkey.json"));
  EXPECT_EQ(report.at("task"), "single-2");
  EXPECT_EQ(report.at("settings").at("keys"), "1");
  EXPECT_EQ(report.at("cells")[0].at("interval").size(), 2u);

  const ProgramResult needles =
      run_on_model("passkey", "--keys 3 --values words --template radio" + cell + (folder_ / "r"));
  ASSERT_EQ(needles.exit_code, 0) << needles.err;
  const json radio = json::parse(content_of((folder_ / "r") + "/passkey.json"));
  EXPECT_EQ(radio.at("task"), "needle");
  EXPECT_EQ(radio.at("settings").at("values"), "word");

  const std::string out = cell + (folder_ / "refused");
  refused(run_on_model("passkey", "--task single-2" + out), "--haystack");
  refused(run_on_model("passkey", "--task passkey --keys 2" + out), "--keys");
  refused(run_on_model("passkey", "--keys 2 --template passkey" + out), "{name}");
  refused(run_on_model("passkey", "--task nonsense" + out), "multi-query");
  refused(run_on_model("passkey", "--task needle --hops 2" + out), "has no option hops");
}

TEST_F(FccEval, PerplexityComparesWithTheMemoryCut) {
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += "line " + std::to_string(i) + "\n";
  }
  std::ofstream(folder_ / "text.txt") << text;
  const std::string data = "--text " + (folder_ / "text.txt") + " --dtype float64";
  const ProgramResult both = run_on_model(
      "perplexity",
      data + " --segments 4 --compare-cut --json " + (folder_ / "p.json") + " --csv " +
          (folder_ / "p.csv"));
  ASSERT_EQ(both.exit_code, 0) << both.err;
  EXPECT_NE(both.out.find("memory cut"), std::string::npos);
  const json report = json::parse(content_of(folder_ / "p.json"));
  const json& with = report.at("with_memory").at("segments");
  const json& cut = report.at("memory_cut").at("segments");
  ASSERT_EQ(with.size(), 4u);
  EXPECT_NEAR(with[0].at("nll").get<double>(), cut[0].at("nll").get<double>(), 1e-12);
  EXPECT_NE(with[1].at("nll"), cut[1].at("nll"));
  const std::string csv = content_of(folder_ / "p.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 6); // header, four segments, all

  // The whole file as one sequence, in chunks of one segment and in larger ones.
  const auto total = [&](const std::string& arguments) {
    const std::string file = folder_ / "t.json";
    const ProgramResult result =
        run_on_model("perplexity", data + " -s 0 --json " + file + " " + arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(content_of(file)).at("with_memory").at("total").at("nll").get<double>();
  };
  EXPECT_NEAR(total("--chunk-segments 1"), total("--chunk-segments 13"), 1e-12);

  refused(run_on_model("perplexity", data + " --segments 4000"), "at least one sequence");
  refused(run_on_model("perplexity", ""), "--tokens FILE");
  const ProgramResult absent = run_on_model("perplexity", "--text " + (folder_ / "no.txt"));
  EXPECT_EQ(absent.exit_code, 2) << "as every path that is not there";
  EXPECT_NE(absent.err.find("no.txt"), std::string::npos);
}

TEST_F(FccEval, PerplexityReadsTheValidationDataOfARunConfig) {
  std::ofstream(folder_ / "run.json") << R"({
    "output": "runs/x",
    "model": {"preset": "table-1"},
    "data": {"tokenizer": {"type": "bytes"}, "train": [{"type": "passkey"}],
      "validation": [{"type": "passkey", "loss_on": "answer"}]},
    "train": {"stages": [{"steps": 1}]}
  })";
  const std::string output = folder_ / "p.json";
  const ProgramResult result = run_on_model(
      "perplexity",
      "--compare-cut --dtype float64 -s 8 -n 5 --batch-size 2 --config " + (folder_ / "run.json") +
          " --json " + output);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json report = json::parse(content_of(output));
  EXPECT_EQ(report.at("with_memory").at("num_sequences"), 5);
  const json& with = report.at("with_memory").at("segments");
  const json& cut = report.at("memory_cut").at("segments");
  EXPECT_EQ(with[0].at("num_targets"), 0); // only the answer counts, in the last segment
  EXPECT_EQ(with[7].at("num_targets"), cut[7].at("num_targets"));
  EXPECT_NE(with[7].at("nll"), cut[7].at("nll"));
}

TEST_F(FccEval, AttentionMapDrawsAPanelForEachLayerAndSegment) {
  std::ofstream(folder_ / "text.txt") << std::string(64 * 5 + 7, 'x');
  const std::string output = folder_ / "map.svg";
  const ProgramResult result =
      run_on_model("attention-map", "--text " + (folder_ / "text.txt") + " -o " + output);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string svg = content_of(output);
  std::size_t images = 0;
  for (std::size_t at = svg.find("<image"); at != std::string::npos;
       at = svg.find("<image", at + 1)) {
    ++images;
  }
  EXPECT_EQ(images, 6u); // layers 1, 2, 3 by segments 3, 5
  refused(
      run_on_model("attention-map", "-s 9 --text " + (folder_ / "text.txt") + " -o " + output),
      "segments");
}

TEST_F(FccEval, SummarizeScoresAFileOfPairs) {
  std::ofstream(folder_ / "pairs.jsonl")
      << R"({"article": "A long story.", "summary": "short"})"
      << "\n"
      << R"({"article": "Another, longer story.", "summary": "shorter"})"
      << "\n";
  const std::string output = folder_ / "summaries";
  const std::string arguments =
      "--pairs " + (folder_ / "pairs.jsonl") + " --max-tokens 9 --edges 50 -o " + output;
  const ProgramResult result = run_on_model("summarize", arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(json::parse(content_of(output + "/rouge.json")).at("buckets")[2].at("texts"), 2);
  EXPECT_EQ(run_on_model("summarize", arguments).out, result.out);
  refused(run_on_model("summarize", arguments + " --seed 5"), "seed");
}

} // namespace
} // namespace fcc
