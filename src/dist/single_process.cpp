#include <numeric>

#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include "fcc/core/error.h"
#include "fcc/dist/communicator.h"

namespace fcc {
namespace {

class Done : public Transfer {
 public:
  void wait() override {}
};

class SingleProcess : public Communicator {
 public:
  SingleProcess() : Communicator(0, 1) {}

  void all_reduce(const at::Tensor&) override {}
  void reduce_scatter(const at::Tensor& input, const at::Tensor& output) override {
    copy(input, output);
  }
  void all_gather(const at::Tensor& input, const at::Tensor& output) override {
    copy(input, output);
  }
  std::unique_ptr<Transfer> begin_reduce_scatter(const std::vector<RankTensors>& parts) override {
    return copy_all(parts);
  }
  std::unique_ptr<Transfer> begin_all_gather(const std::vector<RankTensors>& parts) override {
    return copy_all(parts);
  }
  void broadcast(const at::Tensor&) override {}
  void send(const at::Tensor&, std::int64_t to) override {
    throw Error("ranks", "must be below the number of ranks, 1", std::to_string(to));
  }
  void receive(const at::Tensor&, std::int64_t from) override {
    throw Error("ranks", "must be below the number of ranks, 1", std::to_string(from));
  }
  std::unique_ptr<Transfer> begin_send(const at::Tensor& values, std::int64_t to) override {
    send(values, to);
    return std::make_unique<Done>();
  }
  std::unique_ptr<Transfer> begin_receive(const at::Tensor& values, std::int64_t from) override {
    receive(values, from);
    return std::make_unique<Done>();
  }
  std::shared_ptr<Communicator> group(std::int64_t) override {
    return single_process();
  }
  void barrier() override {}
  void wait_for_device() override {} // a plain read waits as well
  std::optional<std::string> failure() const override {
    return std::nullopt;
  }
  void abort(const std::string&) noexcept override {}

 private:
  static std::unique_ptr<Transfer> copy_all(const std::vector<RankTensors>& parts) {
    for (const RankTensors& part : parts) {
      copy(part.input, part.output);
    }
    return std::make_unique<Done>();
  }
  static void copy(const at::Tensor& input, const at::Tensor& output) {
    if (input.data_ptr() != output.data_ptr()) {
      output.copy_(input);
    }
  }
};

} // namespace

std::shared_ptr<Communicator> single_process() {
  return std::make_shared<SingleProcess>();
}

std::vector<std::string> gather_texts(Communicator& ranks, const std::string& text) {
  const std::int64_t size = ranks.size();
  const at::Tensor length = at::zeros({1}, at::kLong), lengths = at::zeros({size}, at::kLong);
  length[0] = static_cast<std::int64_t>(text.size());
  ranks.all_gather(length, lengths);
  const auto* counts = lengths.const_data_ptr<std::int64_t>();
  const std::int64_t longest = std::accumulate(
      counts, counts + size, std::int64_t{1}, [](auto a, auto b) { return a > b ? a : b; });
  const at::Tensor own = at::zeros({longest}, at::kByte),
                   all = at::zeros({size, longest}, at::kByte);
  std::copy(text.begin(), text.end(), own.data_ptr<std::uint8_t>());
  ranks.all_gather(own, all.view({-1}));
  std::vector<std::string> texts;
  for (std::int64_t rank = 0; rank < size; ++rank) {
    const auto* first =
        reinterpret_cast<const char*>(all.const_data_ptr<std::uint8_t>()) + rank * longest;
    texts.emplace_back(first, static_cast<std::size_t>(counts[rank]));
  }
  return texts;
}

std::vector<double> sum_over_ranks(Communicator& ranks, const std::vector<double>& values) {
  if (ranks.size() == 1 || values.empty()) {
    return values;
  }
  const auto count = static_cast<std::int64_t>(values.size());
  const at::Tensor own = at::zeros({count}, at::kDouble);
  const at::Tensor all = at::zeros({ranks.size() * count}, at::kDouble);
  std::copy(values.begin(), values.end(), own.data_ptr<double>());
  ranks.all_gather(own, all);
  const auto* value = all.const_data_ptr<double>();
  std::vector<double> sums(values.size(), 0.0);
  for (std::int64_t rank = 0; rank < ranks.size(); ++rank) {
    for (double& sum : sums) {
      sum += *value++;
    }
  }
  return sums;
}

} // namespace fcc
