#include "dist/device_ranks.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include <ATen/cuda/CUDAContext.h>
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/cuda/nccl.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

namespace nccl = torch::cuda::nccl;

/// Waited for by an event.
class StreamTransfer : public Transfer {
 public:
  StreamTransfer(at::Device device, const at::cuda::CUDAStream& stream) : device_(device) {
    done_.record(stream);
  }
  void wait() override {
    done_.block(at::cuda::getCurrentCUDAStream(device_.index()));
  }

 private:
  at::Device device_;
  at::cuda::CUDAEvent done_;
};

/// LibTorch's own wrappers of NCCL were made for several GPUs of one process, each an entry of
/// their lists; with one entry and a communicator of many ranks they do what NCCL does, but check
/// and count by the length of the list. So the larger tensor is given by its first part alone: NCCL
/// takes its address, and the count of one part.
class NcclRanks : public DeviceRanks {
 public:
  NcclRanks(at::Device device, nccl::ncclComm_t communicator, std::int64_t size)
      : device_(device),
        communicator_(communicator),
        size_(size),
        // Its few blocks should not stand in line behind the many of a product.
        side_(at::cuda::getStreamFromPool(/*isHighPriority=*/true, device.index())) {}
  NcclRanks(const NcclRanks&) = delete;
  NcclRanks& operator=(const NcclRanks&) = delete;
  ~NcclRanks() override {
    end("ncclCommDestroy");
  }

  void all_reduce(const at::Tensor& values) override {
    std::vector<at::Tensor> outputs = {values};
    nccl::all_reduce({values}, outputs, kSum, {}, {communicator_});
  }
  void reduce_scatter(const at::Tensor& input, const at::Tensor& output) override {
    std::vector<at::Tensor> outputs = {output};
    nccl::reduce_scatter({first_part(input)}, outputs, kSum, {}, {communicator_});
  }
  void all_gather(const at::Tensor& input, const at::Tensor& output) override {
    std::vector<at::Tensor> outputs = {first_part(output)};
    nccl::all_gather({input}, outputs, {}, {communicator_});
  }
  void broadcast(const at::Tensor& values) override {
    nccl::broadcast({values}, {}, {communicator_});
  }
  void send(const at::Tensor& values, std::int64_t to) override {
    nccl::send(values, communicator_, stream(), static_cast<int>(to));
  }
  void receive(const at::Tensor& values, std::int64_t from) override {
    at::Tensor target = values;
    nccl::recv(target, communicator_, stream(), static_cast<int>(from));
  }
  std::unique_ptr<Transfer> beside(const std::function<void()>& work) override {
    at::cuda::CUDAEvent ready;
    ready.record(stream());
    ready.block(side_);
    {
      const c10::cuda::CUDAStreamGuard guard(side_);
      const nccl::AutoNcclGroup group;
      work();
    }
    return std::make_unique<StreamTransfer>(device_, side_);
  }
  void mark() override {
    event_.record(stream());
  }
  bool is_done() override {
    return event_.query();
  }
  void abort() noexcept override {
    end("ncclCommAbort");
  }

 private:
  static constexpr auto kSum = static_cast<std::int32_t>(nccl::ncclRedOp::Sum);

  at::cuda::CUDAStream stream() const {
    return at::cuda::getCurrentCUDAStream(device_.index());
  }
  at::Tensor first_part(const at::Tensor& whole) const {
    return whole.view({-1}).narrow(0, 0, whole.numel() / size_);
  }
  /// What LibTorch does not hand on of NCCL is looked up in the library that it has loaded.
  void end(const char* name) noexcept {
    using End = int (*)(void*);
    if (communicator_ != nullptr) {
      if (const auto call = reinterpret_cast<End>(dlsym(RTLD_DEFAULT, name))) {
        call(communicator_);
      }
      communicator_ = nullptr;
    }
  }

  at::Device device_;
  nccl::ncclComm_t communicator_;
  std::int64_t size_;
  at::cuda::CUDAStream side_;
  at::cuda::CUDAEvent event_;
};

} // namespace

std::string device_identity(at::Device device) {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  const auto& uuid = at::cuda::getDeviceProperties(device.index())->uuid.bytes;
  std::string text = host;
  for (const char byte : uuid) {
    text += "/" + std::to_string(static_cast<int>(byte));
  }
  return text;
}

std::unique_ptr<DeviceRanks> join_device_ranks(
    at::Device device,
    std::int64_t rank,
    std::int64_t size,
    const std::function<std::string(const std::string&)>& from_first) {
  nccl::ncclUniqueId id{};
  if (rank == 0) {
    nccl::get_unique_id(id);
  }
  const std::string text = from_first(std::string(id.internal, sizeof id.internal));
  check(text.size() == sizeof id.internal, "ranks", "the ranks must have one version of NCCL");
  std::memcpy(id.internal, text.data(), sizeof id.internal);
  return std::make_unique<NcclRanks>(
      device, nccl::comm_init_rank(static_cast<int>(size), id, static_cast<int>(rank)), size);
}

} // namespace fcc
