// What ranks exchange beside the passes of a step: in which order, and that it is everything.
#include "fcc/train/weight_exchange.h"

#include <algorithm>
#include <numeric>
#include <string>

#include <gtest/gtest.h>

#include "train/tiny_run.h"

namespace fcc {
namespace {

/// Rank 0 of a few that are not there: notes what is exchanged, and when it is waited for.
class NotingRanks : public Communicator {
 public:
  explicit NotingRanks(std::int64_t size) : Communicator(0, size) {}

  std::unique_ptr<Transfer> begin_reduce_scatter(const std::vector<RankTensors>& parts) override {
    return begin("sum", parts);
  }
  std::unique_ptr<Transfer> begin_all_gather(const std::vector<RankTensors>& parts) override {
    return begin("gather", parts);
  }
  void all_reduce(const at::Tensor& values) override {
    num_left_over += values.numel();
  }
  void broadcast(const at::Tensor&) override {}
  void reduce_scatter(const at::Tensor&, const at::Tensor&) override {}
  void all_gather(const at::Tensor&, const at::Tensor&) override {}
  void send(const at::Tensor&, std::int64_t) override {}
  void receive(const at::Tensor&, std::int64_t) override {}
  std::unique_ptr<Transfer> begin_send(const at::Tensor&, std::int64_t) override {
    return nullptr;
  }
  std::unique_ptr<Transfer> begin_receive(const at::Tensor&, std::int64_t) override {
    return nullptr;
  }
  std::shared_ptr<Communicator> group(std::int64_t) override {
    return nullptr;
  }
  void barrier() override {}
  void wait_for_device() override {}
  std::optional<std::string> failure() const override {
    return std::nullopt;
  }
  void abort(const std::string&) noexcept override {}

  std::vector<std::string> notes;
  std::int64_t num_exchanged = 0, num_left_over = 0;

 private:
  struct Noted : Transfer {
    Noted(NotingRanks& ranks, std::string name) : ranks_(ranks), name_(std::move(name)) {}
    void wait() override {
      ranks_.notes.push_back("wait " + name_);
    }
    NotingRanks& ranks_;
    std::string name_;
  };

  std::unique_ptr<Transfer> begin(const std::string& what, const std::vector<RankTensors>& parts) {
    for (const RankTensors& part : parts) {
      const bool sums = what == "sum";
      EXPECT_EQ(
          (sums ? part.input : part.output).numel(),
          size() * (sums ? part.output : part.input).numel());
      num_exchanged += std::max(part.input.numel(), part.output.numel());
    }
    const std::string name = what + " " + std::to_string(num_begun_++);
    notes.push_back(name);
    return std::make_unique<Noted>(*this, name);
  }

  std::int64_t num_begun_ = 0;
};

ModelConfig deep_model() {
  ModelConfig model = *tiny_run("run").model.config;
  model.num_hidden_layers = 3;
  return model;
}

TEST(FlatShares, CoverEveryTrainedElementOnceAndInEqualParts) {
  for (const bool tied : {false, true}) {
    ModelConfig model = deep_model();
    model.tie_word_embeddings = tied;
    for (const std::vector<std::string>& freeze :
         {std::vector<std::string>(), {"model.embed_tokens.weight"}, {"model.layers.*"}}) {
      const FlatParameters layout = FlatParameters::layout(model, freeze);
      for (const std::int64_t size : {1, 2, 3, 4, 7}) {
        for (const std::int64_t least : {std::int64_t{1}, std::int64_t{1} << 40}) {
          const FlatShares shares = FlatShares::cut(layout, size, least);
          std::vector<int> owners(static_cast<std::size_t>(layout.regions().no_decay), 0);
          for (std::int64_t rank = 0; rank < size; ++rank) {
            std::int64_t last = 0;
            for (const FlatRange& range : shares.of(rank)) {
              EXPECT_LE(last, range.first);
              EXPECT_LT(range.first, range.end);
              last = range.end;
              for (std::int64_t i = range.first; i < range.end; ++i) {
                ++owners[static_cast<std::size_t>(i)];
              }
            }
          }
          EXPECT_EQ(std::count(owners.begin(), owners.end(), 1), std::ssize(owners)) << size;
        }
      }
    }
  }
}

TEST(FlatShares, PutNeighbouringLayersInOneBucketUntilItIsLarge) {
  const FlatParameters layout = FlatParameters::layout(deep_model());
  const auto firsts = [&](std::int64_t least) {
    std::vector<std::int64_t> result;
    for (const FlatBucket& bucket : FlatShares::cut(layout, 2, least).buckets) {
      result.push_back(bucket.first_layer);
    }
    return result;
  };
  EXPECT_EQ(firsts(1), (std::vector<std::int64_t>{-1, 0, 1, 2}));
  EXPECT_EQ(firsts(std::int64_t{1} << 40), (std::vector<std::int64_t>{-1, 0}));
}

TEST(WeightExchange, FollowsThePassThroughTheLayers) {
  const auto ranks = std::make_shared<NotingRanks>(2);
  FlatParameters parameters(deep_model(), ComputeDType::kFloat64, at::kCPU, 1);
  WeightExchange exchange(*ranks, parameters, /*least_elements=*/1);
  EXPECT_FALSE(exchange.hooks(false).before_use);
  EXPECT_FALSE(exchange.hooks(false).gradients_done);

  const PassHooks first = exchange.hooks(true);
  first.gradients_done(PassHooks::kOutsideLayers);
  EXPECT_EQ(ranks->notes, (std::vector<std::string>{"sum 0"}));
  first.gradients_done(2);
  EXPECT_EQ(ranks->notes.size(), 2U);
  first.gradients_done(1); // layer 0 is left to the end
  EXPECT_EQ(ranks->notes.size(), 3U);
  exchange.finish_sums();
  EXPECT_EQ(
      ranks->notes,
      (std::vector<std::string>{
          "sum 0",
          "sum 1",
          "sum 2",
          "sum 3",
          "wait sum 0",
          "wait sum 1",
          "wait sum 2",
          "wait sum 3"}));
  EXPECT_EQ(ranks->num_exchanged + ranks->num_left_over, parameters.regions().no_decay);

  ranks->notes.clear();
  exchange.begin_gathering();
  EXPECT_EQ(
      ranks->notes, (std::vector<std::string>{"gather 4", "gather 5", "gather 6", "gather 7"}));
  ranks->notes.clear();
  const PassHooks second = exchange.hooks(false);
  second.before_use(PassHooks::kOutsideLayers);
  EXPECT_EQ(ranks->notes, (std::vector<std::string>{"wait gather 4"}));
  second.before_use(1);
  EXPECT_EQ(ranks->notes.size(), 3U);
  exchange.finish_gathering();
  EXPECT_EQ(ranks->notes.back(), "wait gather 7");
  EXPECT_FALSE(exchange.hooks(false).before_use);
}

} // namespace
} // namespace fcc
