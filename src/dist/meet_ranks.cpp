#include <algorithm>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include <c10/core/impl/VirtualGuardImpl.h>
#include <c10/util/Flags.h>
#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "dist/device_ranks.h"
#include "dist/gloo_meeting.h"
#include "dist/liveness.h"
#include "fcc/core/error.h"
#include "fcc/dist/rank_settings.h"

C10_DECLARE_int(caffe2_log_level);

namespace fcc {
namespace {

using Clock = std::chrono::steady_clock;

class C10dRanks : public Communicator {
 public:
  C10dRanks(const RankSettings& settings, at::Device device)
      : Communicator(settings.rank, settings.size),
        settings_(settings),
        store_(open_store(settings, settings.hosts_store)),
        device_(device),
        liveness_(std::make_shared<Liveness>(
            open_store(settings, false),
            settings.rank,
            settings.size,
            settings.silence)) {
    guarded([&] {
      wait_for_all();
      gloo_ = open_gloo(settings.rank, settings.size, settings, store_);
    });
    if (device.is_cuda()) {
      refuse_shared_gpus(device);
      join_gpus();
    }
  }
  /// Some of the ranks of `all`: `rank` of `size`, who meet under `name`.
  C10dRanks(const C10dRanks& all, std::int64_t rank, std::int64_t size, const std::string& name)
      : Communicator(rank, size),
        settings_(all.settings_),
        store_(c10::make_intrusive<c10d::PrefixStore>(name, all.store_)),
        device_(all.device_),
        liveness_(all.liveness_),
        is_group_(true) {
    guarded([&] { gloo_ = open_gloo(rank, size, settings_, store_); });
    if (device_.is_cuda()) {
      join_gpus();
    }
  }
  C10dRanks(const C10dRanks&) = delete;
  C10dRanks& operator=(const C10dRanks&) = delete;

  ~C10dRanks() override {
    if (is_group_) { // the ranks that it is of say what there is to say
      if (liveness_->failure()) {
        gloo_.release();
        [[maybe_unused]] const DeviceRanks* left = device_ranks_.release();
      }
      return;
    }
    if (std::uncaught_exceptions() > exceptions_before_) {
      liveness_->report("rank " + std::to_string(settings_.rank) + " failed");
    }
    if (liveness_->failure()) {
      let_others_read();
      // Threads of theirs may wait for ranks that are gone: left to the end of the process.
      gloo_.release();
      [[maybe_unused]] const auto* watching = new std::shared_ptr<Liveness>(liveness_);
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
  std::unique_ptr<Transfer> begin_reduce_scatter(const std::vector<RankTensors>& parts) override {
    return begin(
        parts,
        [](DeviceRanks& gpus, const RankTensors& part) {
          gpus.reduce_scatter(part.input, part.output);
        },
        [this](const RankTensors& part) -> GlooTransfer::Step {
          const at::Tensor sum = part.input.clone();
          std::vector<at::Tensor> tensors = {sum};
          return {gloo_->allreduce(tensors), [this, sum, part] {
                    part.output.view({-1}).copy_(sum.view({size(), -1})[rank()]);
                  }};
        });
  }
  std::unique_ptr<Transfer> begin_all_gather(const std::vector<RankTensors>& parts) override {
    return begin(
        parts,
        [](DeviceRanks& gpus, const RankTensors& part) {
          gpus.all_gather(part.input, part.output);
        },
        [this](const RankTensors& part) -> GlooTransfer::Step {
          at::Tensor from = part.input.view({-1}), to = part.output.view({-1});
          return {gloo_->_allgather_base(to, from), [] {}};
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
  std::unique_ptr<Transfer> begin_send(const at::Tensor& values, std::int64_t to) override {
    check_rank(to);
    return begin(
        {{values, values}},
        [to](DeviceRanks& gpus, const RankTensors& part) { gpus.send(part.input, to); },
        [this, to](const RankTensors& part) -> GlooTransfer::Step {
          std::vector<at::Tensor> tensors = {part.input};
          return {gloo_->send(tensors, static_cast<int>(to), 0), [] {}};
        });
  }
  std::unique_ptr<Transfer> begin_receive(const at::Tensor& values, std::int64_t from) override {
    check_rank(from);
    return begin(
        {{values, values}},
        [from](DeviceRanks& gpus, const RankTensors& part) { gpus.receive(part.output, from); },
        [this, from](const RankTensors& part) -> GlooTransfer::Step {
          std::vector<at::Tensor> tensors = {part.output};
          return {gloo_->recv(tensors, static_cast<int>(from), 0), [] {}};
        });
  }
  std::shared_ptr<Communicator> group(std::int64_t number) override {
    const std::vector<std::string> numbers = gather_texts(*this, std::to_string(number));
    std::int64_t place = 0, count = 0;
    for (std::int64_t other = 0; other < size(); ++other) {
      if (numbers[static_cast<std::size_t>(other)] == std::to_string(number)) {
        place = other == rank() ? count : place;
        ++count;
      }
    }
    ++num_groupings_;
    if (count == 1) {
      return single_process();
    }
    return std::make_shared<C10dRanks>(
        *this,
        place,
        count,
        "group/" + std::to_string(num_groupings_) + "/" + std::to_string(number));
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
      liveness_->report(
          "rank " + std::to_string(settings_.rank) + " failed: " + first_line(reason));
    } catch (const std::exception&) {
      // No memory for a message: the others notice the silence.
    }
    let_others_read();
    if (device_ranks_) {
      device_ranks_->abort();
    }
  }

 private:
  /// Works in flight on Gloo's threads, and what is left to do after each.
  class GlooTransfer : public Transfer {
   public:
    struct Step {
      c10::intrusive_ptr<c10d::Work> work;
      std::function<void()> finish;
    };

    explicit GlooTransfer(C10dRanks& ranks) : ranks_(ranks) {}
    void add(Step step) {
      steps_.push_back(std::move(step));
    }
    void wait() override {
      for (const Step& step : steps_) {
        ranks_.guarded([&] { ranks_.wait_for(step.work); });
        step.finish();
      }
    }

   private:
    C10dRanks& ranks_;
    std::vector<Step> steps_;
  };

  /// Begins what `on_gpu` or `on_cpu` does with each part.
  template <typename OnGpu, typename OnCpu>
  std::unique_ptr<Transfer>
  begin(const std::vector<RankTensors>& parts, const OnGpu& on_gpus, const OnCpu& on_cpu) {
    std::unique_ptr<Transfer> result;
    if (!parts.empty() && !parts.front().input.device().is_cpu()) {
      on_gpu([&](DeviceRanks& gpus) {
        result = gpus.beside([&] {
          for (const RankTensors& part : parts) {
            on_gpus(gpus, part);
          }
        });
      });
      return result;
    }
    guarded([&] {
      auto transfer = std::make_unique<GlooTransfer>(*this);
      for (const RankTensors& part : parts) {
        transfer->add(on_cpu(part));
      }
      result = std::move(transfer);
    });
    return result;
  }

  void join_gpus() {
    guarded([&] {
      device_ranks_ = join_device_ranks(device_, rank(), size(), [&](const std::string& id) {
        return gather_texts(*this, id)[0];
      });
    });
  }

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
        liveness_->report("rank " + std::to_string(settings_.rank) + " failed: " + reason);
      }
      throw_failure(failure.value_or("ranks do not reach each other: " + reason));
    }
  }

  [[noreturn]] void throw_failure(const std::string& failure) {
    let_others_read();
    if (device_ranks_) {
      device_ranks_->abort();
    }
    throw Error("rank " + std::to_string(settings_.rank), "all ranks must go on together", failure);
  }

  void check_progress(Clock::time_point start) {
    if (const auto failure = liveness_->failure()) {
      throw_failure(*failure);
    }
    if (Clock::now() - start > settings_.timeout) {
      const std::string text =
          "rank " + std::to_string(settings_.rank) + " waited for the others for " +
          std::to_string(settings_.timeout.count() / 1000) + " s, the timeout of the ranks";
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
  at::Device device_;
  std::shared_ptr<Liveness> liveness_; ///< of all ranks
  bool is_group_ = false;
  std::int64_t num_groupings_ = 0;
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
