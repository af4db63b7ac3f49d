#include "fcc/dist/communicator.h"

#include <chrono>
#include <thread>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "dist/rank_processes.h"
#include "fcc/core/error.h"

namespace fcc {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] std::string failed(const char* what) {
  throw Error("test", what);
}

class Ranks : public ::testing::TestWithParam<std::int64_t> {};

/// What tensors of a device become, on every rank.
std::string check_sums(const RankSettings& settings, at::Device device) {
  const auto ranks = meet_ranks(settings, device);
  const std::int64_t size = ranks->size(), rank = ranks->rank(), n = 113;
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const at::TensorOptions type = at::TensorOptions(device).dtype(dtype);
    const at::Tensor base = at::arange(size * n, type);
    const at::Tensor sum = base * (size * (size + 1) / 2);

    const at::Tensor all = base * (rank + 1);
    ranks->all_reduce(all);
    if (!at::equal(all, sum)) {
      return failed("all_reduce");
    }
    const at::Tensor part = at::zeros({n}, type), whole = base * (rank + 1);
    ranks->reduce_scatter(whole, part);
    if (!at::equal(part, sum.narrow(0, rank * n, n))) {
      return failed("reduce_scatter");
    }
    const at::Tensor own = whole.narrow(0, rank * n, n); // in place
    ranks->reduce_scatter(whole, own);
    if (!at::equal(own, part)) {
      return failed("reduce_scatter in place");
    }
    const at::Tensor gathered = at::zeros({size * n}, type);
    ranks->all_gather(part, gathered);
    if (!at::equal(gathered, sum)) {
      return failed("all_gather");
    }
    const at::Tensor in_place = at::zeros({size * n}, type);
    in_place.narrow(0, rank * n, n).copy_(part);
    ranks->all_gather(in_place.narrow(0, rank * n, n), in_place);
    if (!at::equal(in_place, sum)) {
      return failed("all_gather in place");
    }
    const at::Tensor given = at::full({n}, static_cast<double>(rank + 7), type);
    ranks->broadcast(given);
    if (!at::equal(given, at::full({n}, 7.0, type))) {
      return failed("broadcast");
    }
  }
  ranks->wait_for_device();
  ranks->barrier();
  return {};
}

/// What is exchanged beside other work, several at once, is what it would be one by one.
std::string check_transfers(const RankSettings& settings, at::Device device) {
  const auto ranks = meet_ranks(settings, device);
  const std::int64_t size = ranks->size(), rank = ranks->rank();
  const at::TensorOptions type = at::TensorOptions(device).dtype(at::kFloat);
  std::vector<at::Tensor> values;
  std::vector<std::unique_ptr<Transfer>> sums;
  std::vector<RankTensors> parts;
  for (const std::int64_t n : {1, 113, 4096}) {
    values.push_back(at::arange(size * n, type) * (rank + 1));
    parts.push_back({values.back(), values.back().narrow(0, rank * n, n)});
  }
  sums.push_back(ranks->begin_reduce_scatter({parts[0], parts[1]}));
  sums.push_back(ranks->begin_reduce_scatter({parts[2]}));
  const std::vector<double> beside = sum_over_ranks(*ranks, {1.0});
  for (const auto& sum : sums) {
    sum->wait();
  }
  std::vector<RankTensors> back;
  for (const RankTensors& part : parts) {
    back.push_back({part.output, part.input});
  }
  const auto gathered = ranks->begin_all_gather(back);
  gathered->wait();
  for (const at::Tensor& value : values) {
    if (!at::equal(value, at::arange(value.numel(), type) * (size * (size + 1) / 2))) {
      return failed("begin_reduce_scatter, begin_all_gather");
    }
  }
  if (beside.front() != static_cast<double>(size)) {
    return failed("what goes on beside them");
  }
  // Round the ring: everyone sends to the next and receives from the one before.
  const at::Tensor sent = at::full({257}, static_cast<double>(rank), type);
  const at::Tensor received = at::zeros({257}, type);
  const std::int64_t next = (rank + 1) % size, before = (rank + size - 1) % size;
  const auto first =
      rank % 2 == 0 ? ranks->begin_send(sent, next) : ranks->begin_receive(received, before);
  const auto second =
      rank % 2 == 0 ? ranks->begin_receive(received, before) : ranks->begin_send(sent, next);
  first->wait();
  second->wait();
  if (!at::equal(received, at::full({257}, static_cast<double>(before), type))) {
    return failed("begin_send, begin_receive");
  }
  // Even and odd ranks apart.
  const auto group = ranks->group(rank % 2);
  const at::Tensor ones = at::full({1}, 1.0, type);
  group->all_reduce(ones);
  ranks->wait_for_device();
  const std::int64_t members = rank % 2 == 0 ? (size + 1) / 2 : size / 2;
  if (group->size() != members || group->rank() != rank / 2 ||
      ones.item<double>() != static_cast<double>(members)) {
    return failed("group");
  }
  ranks->barrier();
  return {};
}

TEST_P(Ranks, ExchangeBesideOtherWork) {
  RankProcesses(GetParam(), [](const RankSettings& settings) {
    return check_transfers(settings, at::kCPU);
  }).texts();
}

TEST(RanksOnGpus, ExchangeBesideOtherWork) {
  if (!std::filesystem::exists("/dev/nvidia1")) {
    GTEST_SKIP() << "needs two GPUs";
  }
  RankProcesses(2, [](const RankSettings& settings) {
    return check_transfers(settings, {at::kCUDA, static_cast<at::DeviceIndex>(settings.rank)});
  }).texts();
}

TEST_P(Ranks, SumAndGatherAsOneProcessWould) {
  RankProcesses(GetParam(), [](const RankSettings& settings) {
    return check_sums(settings, at::kCPU);
  }).texts();
}

TEST(RanksOnGpus, SumAndGatherAsOneProcessWould) {
  // Looked up without CUDA, which a process must not have started before it forks.
  if (!std::filesystem::exists("/dev/nvidia1")) {
    GTEST_SKIP() << "needs two GPUs";
  }
  RankProcesses(2, [](const RankSettings& settings) {
    return check_sums(settings, {at::kCUDA, static_cast<at::DeviceIndex>(settings.rank)});
  }).texts();
}

TEST_P(Ranks, HandTextsAndNumbersToAll) {
  RankProcesses processes(GetParam(), [](const RankSettings& settings) {
    const auto ranks = meet_ranks(settings, at::kCPU);
    std::string joined;
    for (const std::string& text :
         gather_texts(*ranks, std::string(static_cast<std::size_t>(ranks->rank()), 'x'))) {
      joined += text + "|";
    }
    const std::vector<double> sums =
        sum_over_ranks(*ranks, {0.5, static_cast<double>(ranks->rank())});
    return joined + std::to_string(sums[0]) + " " + std::to_string(sums[1]);
  });
  std::string expected;
  double halves = 0, numbers = 0;
  for (std::int64_t rank = 0; rank < GetParam(); ++rank) {
    expected += std::string(static_cast<std::size_t>(rank), 'x') + "|";
    halves += 0.5;
    numbers += static_cast<double>(rank);
  }
  expected += std::to_string(halves) + " " + std::to_string(numbers);
  for (const std::string& text : processes.texts()) {
    EXPECT_EQ(text, expected);
  }
}

TEST_P(Ranks, PassMessagesRound) {
  RankProcesses processes(GetParam(), [](const RankSettings& settings) {
    const auto ranks = meet_ranks(settings, at::kCPU);
    const std::int64_t size = ranks->size(), rank = ranks->rank();
    const at::Tensor values = at::full({5}, 3.0, at::kDouble);
    if (rank > 0) {
      ranks->receive(values, rank - 1);
      values.add_(1);
    }
    ranks->send(values, (rank + 1) % size);
    if (rank == 0) {
      ranks->receive(values, size - 1);
    }
    return std::to_string(values[4].item<double>());
  });
  EXPECT_EQ(processes.texts()[0], std::to_string(2.0 + static_cast<double>(GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Sizes, Ranks, ::testing::Values(2, 3, 4));

TEST(OneProcess, IsItsOwnSum) {
  const auto ranks = single_process();
  EXPECT_EQ(ranks->size(), 1);
  EXPECT_TRUE(ranks->is_first());
  EXPECT_EQ(sum_over_ranks(*ranks, {2.0, 3.0}), std::vector<double>({2.0, 3.0}));
  EXPECT_THROW(ranks->send({}, 1), Error);
}

/// Sums until something is wrong.
std::string sum_for_ever(const RankSettings& settings) {
  const auto ranks = meet_ranks(settings, at::kCPU);
  const at::Tensor values = at::zeros({1000}, at::kDouble);
  ranks->all_reduce(values);
  RankProcesses::tell_met(settings);
  while (true) {
    ranks->all_reduce(values);
  }
}

TEST(Failure, OfARankEndsTheOthersWithItsReason) {
  RankProcesses processes(3, [](const RankSettings& settings) {
    if (settings.rank != 1) {
      return sum_for_ever(settings);
    }
    const auto ranks = meet_ranks(settings, at::kCPU);
    ranks->abort("the disk is full");
    return std::string();
  });
  for (const std::size_t rank : {0U, 2U}) {
    EXPECT_EQ(processes.wait(rank), 1);
    EXPECT_NE(processes.text(rank).find("rank 1 failed: the disk is full"), std::string::npos)
        << processes.text(rank);
  }
}

class Vanishing : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Vanishing, OfAKilledRankEndsTheOthersAndIsNamed) {
  RankSettings settings = RankProcesses::settings_for_tests();
  settings.silence = std::chrono::seconds(2);
  RankProcesses processes(3, sum_for_ever, settings);
  processes.wait_until_met();
  processes.send(GetParam(), SIGKILL);
  const Clock::time_point start = Clock::now();
  for (std::size_t rank = 0; rank < 3; ++rank) {
    if (rank != GetParam()) {
      EXPECT_EQ(processes.wait(rank), 1);
      EXPECT_NE(
          processes.text(rank).find("rank " + std::to_string(GetParam()) + " has ended"),
          std::string::npos)
          << processes.text(rank);
    }
  }
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(25));
}

INSTANTIATE_TEST_SUITE_P(Each, Vanishing, ::testing::Values(0, 1, 2));

class Stopping : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Stopping, OfARankIsNoticedByItsSilence) {
  RankSettings settings = RankProcesses::settings_for_tests();
  settings.silence = std::chrono::seconds(2);
  RankProcesses processes(2, sum_for_ever, settings);
  processes.wait_until_met();
  const std::size_t stopped = GetParam(), other = 1 - stopped;
  processes.send(stopped, SIGSTOP);
  EXPECT_EQ(processes.wait(other), 1);
  EXPECT_NE(
      processes.text(other).find("rank " + std::to_string(stopped) + " has ended or hangs"),
      std::string::npos)
      << processes.text(other);
}

INSTANTIATE_TEST_SUITE_P(Each, Stopping, ::testing::Values(0, 1));

TEST(Failure, OfARankThatNeverCallsIsATimeout) {
  RankSettings settings = RankProcesses::settings_for_tests();
  settings.timeout = std::chrono::seconds(2);
  RankProcesses processes(
      2,
      [](const RankSettings& own) {
        if (own.rank == 0) {
          return sum_for_ever(own);
        }
        const auto ranks = meet_ranks(own, at::kCPU); // is alive, and does something else
        std::this_thread::sleep_for(std::chrono::seconds(8));
        return std::string();
      },
      settings);
  EXPECT_EQ(processes.wait(0), 1);
  EXPECT_NE(processes.text(0).find("waited for the others for 2 s"), std::string::npos)
      << processes.text(0);
}

TEST(Meeting, NamesARankThatDoesNotCome) {
  RankSettings settings = RankProcesses::settings_for_tests();
  settings.timeout = std::chrono::seconds(2);
  settings.silence = std::chrono::seconds(1);
  RankProcesses processes(
      2,
      [](const RankSettings& own) {
        if (own.rank == 0) {
          meet_ranks(own, at::kCPU);
        }
        return std::string();
      },
      settings);
  EXPECT_EQ(processes.wait(0), 1);
  EXPECT_NE(processes.text(0).find("rank 1 has not come within 2 s"), std::string::npos)
      << processes.text(0);
}

TEST(Meeting, NamesThePortThatSomeoneElseHas) {
  const int taken = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t size = sizeof address;
  bind(taken, reinterpret_cast<sockaddr*>(&address), size);
  listen(taken, 1);
  getsockname(taken, reinterpret_cast<sockaddr*>(&address), &size);
  RankSettings settings = RankProcesses::settings_for_tests();
  settings.port = ntohs(address.sin_port);
  RankProcesses processes(1, sum_for_ever, settings);
  EXPECT_EQ(processes.wait(0), 1);
  EXPECT_NE(processes.text(0).find("must be able to open its port"), std::string::npos);
  EXPECT_NE(processes.text(0).find(std::to_string(settings.port)), std::string::npos);
  close(taken);
}

} // namespace
} // namespace fcc
