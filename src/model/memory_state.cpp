#include "fcc/model/memory_state.h"

#include <map>
#include <utility>
#include <vector>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "fcc/io/safetensors.h"
#include "fcc/model/parameters.h"
#include "fcc/model/tensor_io.h"

namespace fcc {
namespace {

constexpr const char* kFormat = "fcc_memory_state_1";

std::string entry(const SafetensorsFile& file, const std::string& path, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) {
    throw FormatError(path, "must be a memory state: its metadata lacks \"" + key + "\"");
  }
  return found->second;
}

std::int64_t position_from(const std::string& text, const std::string& path) {
  const bool digits = !text.empty() && text.size() <= 18 &&
                      text.find_first_not_of("0123456789") == std::string::npos;
  if (!digits) {
    throw FormatError(path, "position must be a whole number of tokens", text);
  }
  return std::stoll(text);
}

at::Tensor checked(
    const SafetensorsFile& file,
    const std::string& name,
    std::size_t dimensions,
    const std::string& path) {
  if (!file.contains(name)) {
    return {};
  }
  const TensorView& view = file.at(name);
  if (view.shape.size() != dimensions) {
    throw FormatError(
        path,
        name + " must have " + std::to_string(dimensions) + " dimensions",
        std::to_string(view.shape.size()));
  }
  return read_tensor(view);
}

void require_type(
    const at::Tensor& tensor,
    bool fits,
    const std::string& path,
    const std::string& rule) {
  if (tensor.defined() && !fits) {
    throw FormatError(path, rule, c10::toString(tensor.scalar_type()));
  }
}

/// Of every tensor and the position: a flipped bit in a memory would go unseen otherwise. Files may
/// hold the tensors in any order.
std::string content_hash(const std::vector<TensorView>& views, const std::string& position) {
  std::map<std::string, std::string> digests;
  for (const TensorView& view : views) {
    digests[view.name] =
        sha256_hex({reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size()});
  }
  std::string all = position;
  for (const auto& [name, digest] : digests) {
    all += "|" + name + ":";
    all += digest;
  }
  return sha256_hex(all);
}

} // namespace

MemoryState MemoryState::detach() const {
  MemoryState copy = *this;
  if (copy.memory.defined()) {
    copy.memory = copy.memory.detach();
  }
  return copy;
}

void save_memory_state(
    const MemoryState& state,
    const std::filesystem::path& path,
    const std::string& model_hash) {
  std::vector<NamedTensor> tensors;
  const auto add = [&](const char* name, const at::Tensor& tensor) {
    if (tensor.defined() && tensor.numel() > 0) {
      tensors.push_back({name, tensor.detach().to(at::kCPU).contiguous()});
    }
  };
  add("memory", state.memory);
  add("present", state.present);
  add("partial_ids", state.partial_ids);
  add("last_ids", state.last_ids);
  std::vector<TensorView> views;
  for (const NamedTensor& tensor : tensors) {
    views.push_back(file_view(tensor.name, tensor.tensor));
  }
  const std::string position = std::to_string(state.position);
  write_safetensors(
      path,
      views,
      {{"format", kFormat},
       {"model_hash", model_hash},
       {"position", position},
       {"sha256", content_hash(views, position)}});
}

MemoryState load_memory_state(const std::filesystem::path& path, const std::string& model_hash) {
  const SafetensorsFile file(path);
  const std::string name = path.string();
  if (const std::string format = entry(file, name, "format"); format != kFormat) {
    throw FormatError(name, std::string("must be of format ") + kFormat, format);
  }
  if (const std::string hash = entry(file, name, "model_hash"); hash != model_hash) {
    throw FormatError(
        name, "was saved with another model", hash, "load the model that it was made with");
  }
  if (content_hash(file.tensors(), entry(file, name, "position")) != entry(file, name, "sha256")) {
    throw FormatError(name, "was changed or damaged after it was written");
  }
  MemoryState state;
  state.position = position_from(entry(file, name, "position"), name);
  state.memory = checked(file, "memory", 4, name);
  state.present = checked(file, "present", 1, name);
  state.partial_ids = checked(file, "partial_ids", 2, name);
  state.last_ids = checked(file, "last_ids", 2, name);
  require_type(
      state.memory,
      state.memory.defined() && state.memory.is_floating_point(),
      name,
      "memory must hold floating-point numbers");
  require_type(
      state.present,
      state.present.defined() && state.present.scalar_type() == at::kBool,
      name,
      "present must hold booleans");
  for (const auto& [ids, rule] :
       {std::pair(state.partial_ids, "partial_ids must hold int64"),
        std::pair(state.last_ids, "last_ids must hold int64")}) {
    require_type(ids, ids.defined() && ids.scalar_type() == at::kLong, name, rule);
  }
  return state;
}

} // namespace fcc
