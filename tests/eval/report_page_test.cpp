#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "generate/program_helpers.h"

namespace fcc {
namespace {

using nlohmann::json;
using test::content_of;
using test::ProgramResult;

class ReportPage : public testing::Test {
 protected:
  std::string make_run(const std::string& name, int num_steps, double lr) {
    const std::filesystem::path run = std::string(folder_ / name);
    std::filesystem::create_directories(run);
    std::ofstream(run / "config.json") << json{{"optim", {{"lr", lr}}}, {"output", name}};
    std::ofstream metrics(run / "metrics.jsonl");
    for (int step = 1; step <= num_steps; ++step) {
      metrics
          << json{{"step", step}, {"stage", step <= num_steps / 2 ? "short" : "</script> long"}, {"mean_loss", 1.0 / step}, {"lr", lr}, {"tokens_seen", step * 64}}
          << '\n';
    }
    metrics << json{{"step", num_steps}, {"validation", {{"held_out", {{"mean_loss", 0.5}}}}}}
            << '\n'
            << "{\"step\": 7, \"mean_l"; // a line that is being written
    return run;
  }
  ProgramResult report(const std::string& arguments) {
    return test::run_fcc(folder_, "fcc-eval", "report " + arguments);
  }
  /// What the page holds of its runs.
  json data_of(const std::string& page) {
    const std::string begin = "<script type=\"application/json\" id=\"data\">";
    const std::size_t first = page.find(begin) + begin.size();
    return json::parse(page.substr(first, page.find("</script>", first) - first));
  }

  test::ProgramFolder folder_;
};

TEST_F(ReportPage, HoldsEveryRunInOneFileThatAsksForNoOther) {
  const std::string a = make_run("a", 10, 1e-3), b = make_run("b", 5000, 2e-3),
                    page = folder_ / "p.html";
  std::ofstream(a + "/heatmap.svg") << "<svg xmlns='http://www.w3.org/2000/svg'/>";
  const ProgramResult result = report(a + " " + b + "/ -o " + page);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string text = content_of(page);
  EXPECT_LT(text.size(), 1'000'000U);
  for (const char* outside : {"src=\"http", "href=", "@import", "fetch("}) {
    EXPECT_EQ(text.find(outside), std::string::npos) << outside;
  }
  const json runs = data_of(text)["runs"];
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0]["name"], "a");
  EXPECT_EQ(runs[0]["steps"].size(), 10U);
  EXPECT_EQ(runs[0]["steps"][9]["mean_loss"], 0.1);
  EXPECT_EQ(runs[0]["steps"][9]["stage"], "</script> long");
  EXPECT_EQ(runs[0]["pictures"][0]["name"], "heatmap.svg");
  EXPECT_EQ(runs[0]["validations"][0]["validation"]["held_out"]["mean_loss"], 0.5);
  EXPECT_EQ(runs[1]["name"], "b");
  EXPECT_EQ(runs[1]["config"]["optim"]["lr"], 2e-3);
  // Thinned: the last step of each stage stays, and steps left out are counted.
  EXPECT_LE(runs[1]["steps"].size(), 1300U);
  EXPECT_EQ(runs[1]["steps"].back()["step"], 5000);
  EXPECT_EQ(runs[1]["steps"][1]["first_step"], runs[1]["steps"][0]["step"].get<int>() + 1);
}

TEST_F(ReportPage, TellsRunsOfOneNameApartByTheirPaths) {
  const std::string a = make_run("x/run", 2, 1e-3), b = make_run("y/run", 2, 1e-3);
  ASSERT_EQ(report(a + " " + b + " -o " + (folder_ / "p.html")).exit_code, 0);
  const json runs = data_of(content_of(folder_ / "p.html"))["runs"];
  EXPECT_EQ(runs[0]["name"], a);
  EXPECT_EQ(runs[1]["name"], b);
}

TEST_F(ReportPage, ItsCurvesAreOnePictureOnRequest) {
  const std::string a = make_run("a", 30, 1e-3), b = make_run("b<&", 20, 2e-3);
  const std::string svg = folder_ / "curves.svg";
  ASSERT_EQ(report("'" + a + "' '" + b + "' --svg " + svg).exit_code, 0);
  const std::string text = content_of(svg);
  for (const char* shown :
       {">a<", ">b&lt;&amp;<", "Loss, nats", "Validation loss: held_out", "Learning rate"}) {
    EXPECT_NE(text.find(shown), std::string::npos) << shown;
  }
  EXPECT_EQ(text.find("Gradient norm"), std::string::npos) << "no run has it";
  EXPECT_EQ(report(a).exit_code, 2) << "neither a page nor a picture";
}

TEST_F(ReportPage, NamesWhatIsNoRunAndTheLineThatIsBroken) {
  const std::string page = folder_ / "p.html";
  ProgramResult result = report(std::string(folder_ / "none") + " -o " + page);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.err.find("must be a run's directory"), std::string::npos) << result.err;
  const std::string run = make_run("broken", 2, 1e-3);
  std::ofstream(run + "/metrics.jsonl") << "{\"step\": 1}\n{\"step\"\n";
  result = report(run + " -o " + page);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("metrics.jsonl, line 2"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(page));
}

} // namespace
} // namespace fcc
