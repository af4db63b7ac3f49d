#include "fcc_generate/speaker.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <utility>

#include <ATen/ops/tensor.h>

#include "common/interrupt.h"
#include "fcc/core/error.h"

namespace fcc::tools {
namespace {

// What the first new token's text joins on to: the last tokens before a state, in older files at
// least those of its open segment.
std::vector<std::int32_t> ids_before(const MemoryState& state) {
  const at::Tensor& known = state.last_ids.defined() ? state.last_ids : state.partial_ids;
  std::vector<std::int32_t> ids;
  if (known.defined()) {
    const at::Tensor row = known.to(at::kCPU).reshape({-1});
    for (std::int64_t i = 0; i < row.size(0); ++i) {
      ids.push_back(static_cast<std::int32_t>(row[i].item<std::int64_t>()));
    }
  }
  return ids;
}

// Leaves the last ids, more than any tokenizer looks back.
void keep_last(std::vector<std::int32_t>& ids) {
  constexpr std::ptrdiff_t kLastIds = 8;
  ids.erase(ids.begin(), ids.end() - std::min<std::ptrdiff_t>(kLastIds, std::ssize(ids)));
}

SamplerOptions drawing(const GenerateOptions& options, const LoadedModel& model) {
  SamplerOptions drawing = options.sampler;
  drawing.num_ids = model.tokenizer->vocab_size(); // rows beyond are padding
  return drawing;
}

} // namespace

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  check(std::ferror(stdout) == 0, "standard output", "must be writable");
}

at::Tensor row_of(const std::vector<std::int32_t>& ids) {
  return at::tensor(std::vector<std::int64_t>(ids.begin(), ids.end()), at::kLong).unsqueeze(0);
}

std::optional<ChatEncoder> chat_encoder(const GenerateOptions& options, const LoadedModel& model) {
  std::filesystem::path directory =
      options.model.tokenizer.empty() ? options.model.model : options.model.tokenizer;
  if (std::filesystem::is_regular_file(directory)) {
    directory = directory.parent_path();
  }
  auto found = ChatTemplate::load(directory);
  if (!found) {
    return std::nullopt;
  }
  return ChatEncoder(model.tokenizer, std::move(*found), options.system);
}

ChatEncoder required_chat_encoder(const GenerateOptions& options, const LoadedModel& model) {
  auto encoder = chat_encoder(options, model);
  if (!encoder) {
    throw ConfigError(
        "--chat",
        "needs a chat template beside the tokenizer",
        "no chat_template.jinja, none in tokenizer_config.json",
        "without --chat the model goes on with the prompt as it is");
  }
  return std::move(*encoder);
}

Speaker::Speaker(const GenerateOptions& options, Prefill& prefill, std::vector<std::int32_t> ends)
    : options_(options),
      prefill_(prefill),
      sampler_(drawing(options, prefill.model())),
      ends_(std::move(ends)),
      stream_(prefill.model().config(), prefill.model().weights, 1) {}

void Speaker::restart(const MemoryState& state) {
  stream_ = TokenStream(prefill_.model().config(), prefill_.model().weights, 1, state);
  last_ids_ = ids_before(state);
  keep_last(last_ids_);
}

MemoryState Speaker::state() const {
  MemoryState state = stream_.state();
  state.last_ids = row_of(last_ids_);
  return state;
}

void Speaker::read(const std::vector<std::int32_t>& ids) {
  if (ids.empty()) {
    return;
  }
  const at::Tensor row = row_of(ids);
  MemoryState state = stream_.state();
  const std::int64_t done = prefill_.run(row, state);
  if (done > 0) {
    stream_ = TokenStream(prefill_.model().config(), prefill_.model().weights, 1, state);
  }
  stream_.prefill(row.slice(1, done));
  last_ids_.insert(last_ids_.end(), ids.begin(), ids.end());
  keep_last(last_ids_);
}

Speaker::End Speaker::answer(const std::function<void(const std::string&)>& show) {
  StreamDecoder decoder(prefill_.model().tokenizer);
  decoder.prime(last_ids_);
  End end = End::kMaxTokens;
  for (num_generated_ = 0; num_generated_ < options_.max_tokens; ++num_generated_) {
    if (interrupted()) {
      end = End::kInterrupt;
      break;
    }
    const std::int32_t id = stream_.draw(sampler_);
    if (!options_.ignore_eos && std::find(ends_.begin(), ends_.end(), id) != ends_.end()) {
      end = End::kEndOfText;
      break;
    }
    show(decoder.push(id));
    stream_.prefill(row_of({id}));
    last_ids_.push_back(id);
    keep_last(last_ids_);
  }
  show(decoder.finish());
  return end;
}

} // namespace fcc::tools
