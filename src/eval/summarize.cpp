#include "fcc/eval/summarize.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "eval/sweep_log.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

using nlohmann::json;

json to_json(const SummaryResult& result) {
  // A cut multi-byte character must not stop the run: it becomes the replacement character.
  const std::string text =
      json(result.generated).dump(-1, ' ', false, json::error_handler_t::replace);
  json entry = json::parse(rouge_json(result.scores));
  entry["index"] = result.index;
  entry["input_tokens"] = result.input_tokens;
  entry["generated"] = json::parse(text);
  entry["reference"] = result.reference;
  return entry;
}

SummaryResult result_from(const json& entry) {
  try {
    return {
        .index = entry.at("index"),
        .input_tokens = entry.at("input_tokens"),
        .generated = entry.at("generated"),
        .reference = {},
        .scores = {}};
  } catch (const json::exception&) {
    throw FormatError("the log of summaries", "must hold whole results", entry.dump());
  }
}

// Results of one range of input lengths.
struct Bucket {
  std::string name;
  std::int64_t count = 0;
  double rouge_1 = 0, rouge_2 = 0, rouge_l = 0, rouge_lsum = 0; ///< sums, then means, of F1

  explicit Bucket(std::string name_) : name(std::move(name_)) {}

  void add(const RougeScores& scores) {
    ++count;
    rouge_1 += scores.rouge_1.f1;
    rouge_2 += scores.rouge_2.f1;
    rouge_l += scores.rouge_l.f1;
    rouge_lsum += scores.rouge_lsum.f1;
  }
  void finish() {
    for (double* sum : {&rouge_1, &rouge_2, &rouge_l, &rouge_lsum}) {
      *sum =
          count > 0 ? *sum / static_cast<double>(count) : std::numeric_limits<double>::quiet_NaN();
    }
  }
};

std::vector<Bucket> buckets_of(
    const std::vector<SummaryResult>& results,
    const std::vector<std::int64_t>& edges) {
  std::vector<Bucket> buckets;
  std::int64_t begin = 0;
  for (const std::int64_t edge : edges) {
    check(edge > begin, "summary_table", "edges must ascend from above 0", std::to_string(edge));
    buckets.emplace_back(std::to_string(begin) + "-" + std::to_string(edge));
    begin = edge;
  }
  buckets.emplace_back(std::to_string(begin) + "+");
  buckets.emplace_back("overall");
  for (const SummaryResult& result : results) {
    const auto place = std::upper_bound(edges.begin(), edges.end(), result.input_tokens);
    buckets[static_cast<std::size_t>(place - edges.begin())].add(result.scores);
    buckets.back().add(result.scores);
  }
  for (Bucket& bucket : buckets) {
    bucket.finish();
  }
  return buckets;
}

} // namespace

std::vector<SummaryResult> run_summaries(
    const SummarizeOptions& options,
    const PairFile& pairs,
    const PairTemplate& prompts,
    const SummaryFunction& summarize,
    const std::function<void(const SummaryResult&, std::int64_t, std::int64_t)>& on_result) {
  json settings = {{"evaluation", "summarize"}, {"max_length_tokens", options.max_length_tokens}};
  for (const auto& [key, value] : options.identity) {
    settings[key] = value;
  }
  if (options.rouge.stem) {
    settings["stemmer"] = "porter";
  }
  SweepLog log(options.log, settings);
  std::map<std::int64_t, SummaryResult> known;
  for (const json& entry : log.entries()) {
    SummaryResult result = result_from(entry);
    known.emplace(result.index, std::move(result));
  }
  const std::int64_t all =
      options.num_pairs > 0 ? std::min(options.num_pairs, pairs.size()) : pairs.size();
  const std::int64_t max_length = options.max_length_tokens > 0
                                      ? options.max_length_tokens
                                      : std::numeric_limits<std::int64_t>::max() / 2;
  std::vector<SummaryResult> results;
  for (std::int64_t index = 0; index < all; ++index) {
    const auto found = known.find(index);
    Pair pair = pairs.at(index);
    SummaryResult result;
    if (found != known.end()) {
      result = found->second;
    } else {
      const PairSample sample = prompts.fit(pair, max_length);
      result.index = index;
      result.input_tokens = static_cast<std::int64_t>(sample.prompt.size());
      result.generated = summarize(sample.prompt, index);
    }
    // Of those in the log again: what it holds may be of an older kind of score.
    result.scores = rouge(result.generated, pair.summary, options.rouge);
    result.reference = std::move(pair.summary);
    if (found == known.end()) {
      log.append(to_json(result));
    }
    results.push_back(std::move(result));
    if (on_result) {
      on_result(results.back(), index + 1, all);
    }
  }
  return results;
}

Table summary_table(
    const std::vector<SummaryResult>& results,
    const std::vector<std::int64_t>& edges) {
  Table table{{"input_tokens", "texts", "rouge_1", "rouge_2", "rouge_l", "rouge_lsum"}, {}};
  for (const Bucket& bucket : buckets_of(results, edges)) {
    table.rows.push_back(
        {bucket.name,
         std::to_string(bucket.count),
         format_number(bucket.rouge_1, 4),
         format_number(bucket.rouge_2, 4),
         format_number(bucket.rouge_l, 4),
         format_number(bucket.rouge_lsum, 4)});
  }
  return table;
}

std::string summary_json(
    const std::vector<SummaryResult>& results,
    const std::vector<std::int64_t>& edges,
    const std::string& model) {
  json report = {{"model", model}, {"score", "F1"}, {"buckets", json::array()}};
  for (const Bucket& bucket : buckets_of(results, edges)) {
    report["buckets"].push_back(
        {{"input_tokens", bucket.name},
         {"texts", bucket.count},
         {"rouge_1", bucket.rouge_1},
         {"rouge_2", bucket.rouge_2},
         {"rouge_l", bucket.rouge_l},
         {"rouge_lsum", bucket.rouge_lsum}});
  }
  return report.dump(2) + "\n";
}

} // namespace fcc
