#include <algorithm>
#include <exception>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Flags.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "dist/device_ranks.h"
#include "dist/liveness.h"
#include "fcc/core/error.h"
#include "fcc/dist/rank_settings.h"

C10_DECLARE_int(caffe2_log_level);

namespace fcc {
namespace {

using Clock = std::chrono::steady_clock;
using StorePointer = c10::intrusive_ptr<c10d::Store>;

/// Torch's messages go on with a stack of addresses.
std::string first_line(const std::string& message) {
  return message.substr(0, message.find('\n'));
}

std::string place_of(const RankSettings& settings) {
  return settings.address + ":" + std::to_string(settings.port);
}

/// A connection to the store of all ranks; `hosts`: which is opened by it.
StorePointer open_store(const RankSettings& settings, bool hosts) {
  c10d::TCPStoreOptions options;
  options.port = settings.port;
  options.isServer = hosts;
  options.waitWorkers = false;
  options.timeout = settings.timeout;
  try {
    return c10::make_intrusive<c10d::PrefixStore>(
        "fcc/" + settings.attempt, c10::make_intrusive<c10d::TCPStore>(settings.address, options));
  } catch (const std::exception& error) {
    throw Error(
        "ranks",
        hosts ? "rank 0 must be able to open its port, and no one else may have it"
              : "rank 0 must be reached within " + std::to_string(settings.timeout.count() / 1000) +
                    " s",
        place_of(settings),
        first_line(error.what()));
  }
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> open_gloo(
    const RankSettings& settings,
    const StorePointer& store) {
  using Gloo = c10d::ProcessGroupGloo;
  const bool one_machine = settings.address == "localhost" || settings.address == "127.0.0.1";
  // Later than the ranks' own timeout, which says who waited for whom.
  const auto timeout = settings.timeout + std::chrono::seconds(30);
  auto options =
      one_machine ? Gloo::Options::create(timeout) : Gloo::Options::create_default(timeout);
  options->timeout = timeout;
  if (one_machine) { // a name of the machine that leads elsewhere does no harm then
    options->devices.push_back(Gloo::createDeviceForHostname("127.0.0.1"));
  }
  return c10::make_intrusive<Gloo>(
      c10::make_intrusive<c10d::PrefixStore>("gloo", store),
      static_cast<int>(settings.rank),
      static_cast<int>(settings.size),
      options);
}

class C10dRanks : public Communicator {
 public:
  C10dRanks(const RankSettings& settings, at::Device device)
      : Communicator(settings.rank, settings.size),
        settings_(settings),
        store_(open_store(settings, settings.hosts_store)),
        liveness_(std::make_unique<Liveness>(
            open_store(settings, false),
            settings.rank,
            settings.size,
            settings.silence)) {
    guarded([&] {
      wait_for_all();
      gloo_ = open_gloo(settings, store_);
    });
    if (device.is_cuda()) {
      refuse_shared_gpus(device);
      guarded([&] {
        device_ranks_ = join_device_ranks(device, rank(), size(), [&](const std::string& id) {
          return gather_texts(*this, id)[0];
        });
      });
    }
  }
  C10dRanks(const C10dRanks&) = delete;
  C10dRanks& operator=(const C10dRanks&) = delete;

  ~C10dRanks() override {
    if (std::uncaught_exceptions() > exceptions_before_) {
      liveness_->report("rank " + std::to_string(rank()) + " failed");
    }
    if (liveness_->failure()) {
      let_others_read();
      // Threads of theirs may wait for ranks that are gone: left to the end of the process.
      gloo_.release();
      [[maybe_unused]] const Liveness* watching = liveness_.release();
      [[maybe_unused]] const DeviceRanks* left = device_ranks_.release();
    } else if (settings_.hosts_store) {
      liveness_->wait_for_others(settings_.silence);
    }
  }

  void all_reduce(const at::Tensor& values) override {
    run(
        values,
        [&](DeviceRanks& gpus) { gpus.all_reduce(values); },
        [&] {
          std::vector<at::Tensor> tensors = {values};
          return gloo_->allreduce(tensors);
        });
  }
  void reduce_scatter(const at::Tensor& input, const at::Tensor& output) override {
    if (!input.device().is_cpu()) {
      on_gpu([&](DeviceRanks& gpus) { gpus.reduce_scatter(input, output); });
      return;
    }
    const at::Tensor sum = input.clone(); // Gloo has no other way either
    all_reduce(sum);
    output.view({-1}).copy_(sum.view({size(), -1})[rank()]);
  }
  void all_gather(const at::Tensor& input, const at::Tensor& output) override {
    run(
        input,
        [&](DeviceRanks& gpus) { gpus.all_gather(input, output); },
        [&] {
          at::Tensor from = input.view({-1}), to = output.view({-1});
          return gloo_->_allgather_base(to, from);
        });
  }
  void broadcast(const at::Tensor& values) override {
    run(
        values,
        [&](DeviceRanks& gpus) { gpus.broadcast(values); },
        [&] {
          std::vector<at::Tensor> tensors = {values};
          return gloo_->broadcast(tensors);
        });
  }
  void send(const at::Tensor& values, std::int64_t to) override {
    check_rank(to);
    run(
        values,
        [&](DeviceRanks& gpus) { gpus.send(values, to); },
        [&] {
          std::vector<at::Tensor> tensors = {values};
          return gloo_->send(tensors, static_cast<int>(to), 0);
        });
  }
  void receive(const at::Tensor& values, std::int64_t from) override {
    check_rank(from);
    run(
        values,
        [&](DeviceRanks& gpus) { gpus.receive(values, from); },
        [&] {
          std::vector<at::Tensor> tensors = {values};
          return gloo_->recv(tensors, static_cast<int>(from), 0);
        });
  }
  void barrier() override {
    guarded([&] { wait_for(gloo_->barrier()); });
  }
  void wait_for_device() override {
    if (!device_ranks_) {
      return;
    }
    guarded([&] {
      device_ranks_->mark();
      const Clock::time_point start = Clock::now();
      while (!device_ranks_->is_done()) {
        check_progress(start);
      }
    });
  }
  std::optional<std::string> failure() const override {
    return liveness_->failure();
  }
  void abort(const std::string& reason) noexcept override {
    try {
      liveness_->report("rank " + std::to_string(rank()) + " failed: " + first_line(reason));
    } catch (const std::exception&) {
      // No memory for a message: the others notice the silence.
    }
    let_others_read();
    if (device_ranks_) {
      device_ranks_->abort();
    }
  }

 private:
  /// The store goes with this process, if it has it.
  void let_others_read() noexcept {
    if (settings_.hosts_store && !have_read_) {
      liveness_->let_others_read();
      have_read_ = true;
    }
  }

  /// Queues the work on the GPU.
  template <typename Work>
  void on_gpu(const Work& work) {
    check(device_ranks_ != nullptr, "ranks", "met for tensors of the CPU alone");
    guarded([&] { work(*device_ranks_); });
  }

  /// The same, or does it here.
  template <typename OnGpu, typename OnCpu>
  void run(const at::Tensor& values, const OnGpu& on_gpus, const OnCpu& on_cpu) {
    if (values.device().is_cpu()) {
      guarded([&] { wait_for(on_cpu()); });
    } else {
      on_gpu(on_gpus);
    }
  }

  /// What the transport complains about is seldom the cause: asks who is missing first.
  template <typename Work>
  void guarded(const Work& work) {
    try {
      work();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      const auto failure = liveness_->failure_soon();
      const std::string reason = first_line(error.what());
      if (!failure) {
        liveness_->report("rank " + std::to_string(rank()) + " failed: " + reason);
      }
      throw_failure(failure.value_or("ranks do not reach each other: " + reason));
    }
  }

  [[noreturn]] void throw_failure(const std::string& failure) {
    let_others_read();
    if (device_ranks_) {
      device_ranks_->abort();
    }
    throw Error("rank " + std::to_string(rank()), "all ranks must go on together", failure);
  }

  void check_progress(Clock::time_point start) {
    if (const auto failure = liveness_->failure()) {
      throw_failure(*failure);
    }
    if (Clock::now() - start > settings_.timeout) {
      const std::string text = "rank " + std::to_string(rank()) + " waited for the others for " +
                               std::to_string(settings_.timeout.count() / 1000) +
                               " s, the timeout of the ranks";
      liveness_->report(text);
      throw_failure(liveness_->failure().value_or(text));
    }
  }

  void wait_for(const c10::intrusive_ptr<c10d::Work>& work) {
    constexpr std::chrono::milliseconds kSlice{100};
    const Clock::time_point start = Clock::now();
    const bool sliced = work->retrieveOpType() != c10d::OpType::SEND &&
                        work->retrieveOpType() != c10d::OpType::RECV;
    // A message between two ranks ends by itself where the other one is gone.
    while (sliced && !work->isCompleted()) {
      try {
        work->wait(kSlice);
      } catch (const std::exception&) {
        if (work->isCompleted()) {
          throw;
        }
      }
      check_progress(start);
    }
    work->wait();
  }

  /// Gloo's own meeting does not notice a rank that ends before it.
  void wait_for_all() {
    const Clock::time_point start = Clock::now();
    const auto key = [](std::int64_t other) { return "here/" + std::to_string(other); };
    store_->set(key(rank()), "yes");
    for (std::int64_t other = 0; other < size(); ++other) {
      while (!store_->check({key(other)})) {
        if (Clock::now() - start > settings_.timeout) {
          liveness_->report(
              "rank " + std::to_string(other) + " has not come within " +
              std::to_string(settings_.timeout.count() / 1000) + " s");
        }
        check_progress(start);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    }
  }

  void refuse_shared_gpus(at::Device device) {
    const std::vector<std::string> gpus = gather_texts(*this, device_identity(device));
    for (std::size_t first = 0; first < gpus.size(); ++first) {
      for (std::size_t second = first + 1; second < gpus.size(); ++second) {
        if (gpus[first] == gpus[second]) {
          throw Error(
              "ranks",
              "every rank must have a GPU of its own",
              "one for ranks " + std::to_string(first) + " and " + std::to_string(second),
              "LOCAL_RANK is the number of a rank's GPU on its machine");
        }
      }
    }
  }

  void check_rank(std::int64_t other) const {
    if (other < 0 || other >= size() || other == rank()) {
      throw Error("ranks", "must be the number of another rank", std::to_string(other));
    }
  }

  RankSettings settings_;
  StorePointer store_;
  std::unique_ptr<Liveness> liveness_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
  std::unique_ptr<DeviceRanks> device_ranks_;
  bool have_read_ = false; ///< the others, what this rank reported
  int exceptions_before_ = std::uncaught_exceptions();
};

} // namespace

std::shared_ptr<Communicator> meet_ranks(const RankSettings& settings, at::Device device) {
  // A connection that is lost is told once, as an error, and not by torch with a stack as well.
  FLAGS_caffe2_log_level = std::max(FLAGS_caffe2_log_level, static_cast<int>(c10::GLOG_ERROR));
  if (device.is_cuda()) {
    c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  }
  return std::make_shared<C10dRanks>(settings, device);
}

} // namespace fcc
