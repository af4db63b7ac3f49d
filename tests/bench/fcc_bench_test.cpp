#include <algorithm>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "generate/program_helpers.h"

namespace fcc {
namespace {

using nlohmann::json;
using test::content_of;
using test::ProgramResult;

class FccBench : public testing::Test {
 protected:
  ProgramResult run(const std::string& arguments) const {
    return test::run_fcc(folder_, "fcc-bench", arguments);
  }
  void refused(const std::string& arguments, const std::string& what) const {
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, 2) << arguments << "\n" << result.err;
    EXPECT_NE(result.err.find(what), std::string::npos) << result.err;
  }
  json report(const std::string& name) const {
    return json::parse(content_of(folder_ / name));
  }

  test::ProgramFolder folder_;
  const std::string tiny_ = "--device cpu --preset tiny --dtype float32 --steps 1 --warmup 0 ";
};

TEST_F(FccBench, HelpExplainsEveryCommand) {
  const std::string all = run("--help").out;
  for (const std::string command : {"train", "memory", "speed", "kernels"}) {
    EXPECT_NE(all.find(command), std::string::npos);
    const ProgramResult help = run(command + " --help");
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_NE(help.out.find("--device"), std::string::npos) << command;
  }
  EXPECT_NE(run("kernels --help").out.find("CUDA graph"), std::string::npos);
  EXPECT_EQ(run("").exit_code, 2);
}

TEST_F(FccBench, LengthsMayBeToldInThousandsAndAWrongPresetListsAll) {
  const ProgramResult result =
      run("train " + tiny_ + "--segment-length 512 --tokens 1k --json " + (folder_ / "k.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(report("k.json").at("rows").at(0).at("tokens"), 1024);
  refused("train " + tiny_ + "--tokens 1q", "--tokens");
  refused("train --device cpu --preset tinny", "`table-1`, `smollm2-135m`, `llama-8b`, `tiny`");
}

TEST_F(FccBench, TrainMeasuresEveryCombination) {
  const ProgramResult result = run(
      "train " + tiny_ + "--segment-length 16,0 --tokens 48,33 --schedule wavefront,sequential " +
      "--activations store,recompute --csv " + (folder_ / "t.csv") + " --json " +
      (folder_ / "t.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("full attention"), std::string::npos) << result.out;
  const json rows = report("t.json").at("rows");
  ASSERT_EQ(rows.size(), 2u * 2 * 2 * 2);
  std::set<std::string> kinds;
  for (const json& row : rows) {
    EXPECT_GT(row.at("tokens_per_second").get<double>(), 0.0);
    EXPECT_GT(row.at("share_of_product").get<double>(), 0.0);
    EXPECT_GT(row.at("peak_bytes").get<std::int64_t>(), 0);
    EXPECT_FALSE(row.contains("mfu")); // a CPU has no stated peak
    kinds.insert(
        row.at("schedule").get<std::string>() + "/" + row.at("activations").get<std::string>());
  }
  EXPECT_EQ(kinds.size(), 4u);
  EXPECT_EQ(report("t.json").at("device").at("device").get<std::string>().substr(0, 3), "CPU");
  const std::string csv = content_of(folder_ / "t.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 16);
}

TEST_F(FccBench, TrainProfilesOneStepAndWritesATrace) {
  const ProgramResult result =
      run("train " + tiny_ + "--segment-length 16 --tokens 48 --profile --profile-rows 3 --trace " +
          (folder_ / "trace.json") + " --json " + (folder_ / "p.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("operators"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("others"), std::string::npos) << result.out;
  const json profile = report("p.json").at("rows").at(0).at("profile");
  double sum = 0;
  bool has_product = false;
  for (const json& kernel : profile.at("kernels")) {
    sum += kernel.at("ms").get<double>();
    has_product =
        has_product || kernel.at("name").get<std::string>().find("mm") != std::string::npos;
  }
  EXPECT_TRUE(has_product);
  EXPECT_NEAR(sum, profile.at("busy_ms").get<double>(), 1e-3 * sum + 1e-3); // self times add up
  const json trace = report("trace.json");
  EXPECT_FALSE(trace.at("traceEvents").empty());
}

TEST_F(FccBench, TrainTakesTheReferencesBackends) {
  EXPECT_EQ(
      run("train " + tiny_ + "--segment-length 16 --tokens 32 --execution reference").exit_code, 0);
  refused(
      "train " + tiny_ + "--segment-length 16 --tokens 32 --execution reference --attention fcc",
      "fcc needs a GPU");
  refused("train " + tiny_ + "--schedule sideways", "wavefront");
  refused("train --device cpu --preset huge", "table-1");
  refused("train --device tpu --preset tiny", "must be auto, cpu");
}

TEST_F(FccBench, FiguresAreDrawnWithPointsForBothArchitectures) {
  for (const std::string name : {"memory", "speed"}) {
    const ProgramResult result =
        run(name + " " + tiny_ + "--segment-length 128 --max-tokens 1024 --batch 1,2 -o " +
            (folder_ / "figures"));
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.out.find("batch 2: "), std::string::npos) << result.out;
    EXPECT_NE(result.out.find("cross"), std::string::npos) << result.out;
    const json figure = report("figures/" + name + ".json");
    ASSERT_EQ(figure.at("lines").size(), 4u);
    for (const json& line : figure.at("lines")) {
      ASSERT_EQ(line.at("points").size(), 2u); // 512 and 1024
      EXPECT_GT(line.at("points").at(1).at("peak_bytes").get<std::int64_t>(), 0);
    }
    EXPECT_EQ(figure.at("crossings").size(), 2u);
    const std::string svg = content_of(folder_ / ("figures/" + name + ".svg"));
    for (const char* text : {"FCC, L 128, batch 1", "full attention, batch 2", "CPU", "tokens"}) {
      EXPECT_NE(svg.find(text), std::string::npos) << text;
    }
    const std::string csv = content_of(folder_ / ("figures/" + name + ".csv"));
    EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 8);
  }
  const ProgramResult profiled =
      run("speed " + tiny_ + "--max-tokens 512 --batch 1 --profile -o " + (folder_ / "profiled"));
  EXPECT_NE(profiled.out.find("operators"), std::string::npos) << profiled.out << profiled.err;
  refused("memory " + tiny_ + "--max-tokens 100 -o x", "--max-tokens");
  refused("memory " + tiny_, "--output");
}

TEST_F(FccBench, KernelsChecksAndTimesTheReferenceOnACpu) {
  const ProgramResult result =
      run("kernels --device cpu --rounds 2 --csv " + (folder_ / "k.csv") + " --json " +
          (folder_ / "k.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err << result.out;
  const json report_ = report("k.json");
  ASSERT_EQ(report_.at("attention").size(), 4u); // two shapes, two passes
  for (const json& row : report_.at("attention")) {
    EXPECT_EQ(row.at("backend"), "reference");
    EXPECT_TRUE(row.at("right").get<bool>());
    EXPECT_GT(row.at("tflops").get<double>(), 0.0);
    EXPECT_LE(row.at("min_ms").get<double>(), row.at("median_ms").get<double>());
  }
  std::set<std::string> rows;
  for (const json& row : report_.at("rows")) {
    rows.insert(row.at("kernel").get<std::string>());
    EXPECT_GT(row.at("gb_per_s").get<double>(), 0.0);
  }
  EXPECT_EQ(
      rows,
      (std::set<std::string>{
          "adamw",
          "gradient's norm",
          "rms_norm",
          "rms_norm backward",
          "rms_norm, memory too",
          "rope",
          "swiglu",
          "swiglu backward"}));
  EXPECT_NE(content_of(folder_ / "k.csv").find("reference"), std::string::npos);
}

TEST_F(FccBench, KernelsNamesWhyABackendDoesNotServe) {
  const ProgramResult result =
      run("kernels --device cpu --attention-only --rounds 1 --shapes 1/16/17 --kv-heads 2 "
          "--backends fcc,cudnn,reference --json " +
          (folder_ / "k.json"));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("fcc: needs a GPU; got cpu"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("reference"), std::string::npos);
  refused("kernels --device cpu --shapes 1/16", "cells/E/L");
  refused("kernels --device cpu --shapes 1/0/8", "cells/E/L");
  refused("kernels --device cpu --shapes 1/16/8 --heads 5", "--kv-heads");
  refused("kernels --device cpu --backends magic", "magic");
}

} // namespace
} // namespace fcc
