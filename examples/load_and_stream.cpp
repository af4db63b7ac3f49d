// Loads a model directory, reads a prompt, saves what the model remembers to a file, and goes on
// from that file as if it had never stopped: a second stream writes the same text.
//
// usage: load_and_stream MODEL STATE_FILE PROMPT
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "fcc/fcc.h"

namespace {

constexpr int kNumTokens = 24;

/// Token ids as the stream takes them, [1, t].
at::Tensor row_of(const std::vector<std::int32_t>& ids) {
  const at::Tensor row =
      at::empty({1, static_cast<std::int64_t>(ids.size())}, at::TensorOptions(at::kLong));
  std::copy(ids.begin(), ids.end(), row.data_ptr<std::int64_t>());
  return row;
}

/// Draws tokens and feeds them back, each as text as soon as its characters are whole.
std::string
write_on(fcc::TokenStream& stream, const fcc::LoadedModel& model, const fcc::Sampler& sampler) {
  fcc::StreamDecoder decoder(model.tokenizer);
  std::string text;
  for (int i = 0; i < kNumTokens; ++i) {
    const std::int32_t id = stream.draw(sampler);
    stream.prefill(row_of({id}));
    text += decoder.push(id);
  }
  return text + decoder.finish();
}

int run(const std::string& directory, const std::string& state_file, const std::string& prompt) {
  fcc::LoadOptions options; // on a CPU in float32, with the tokenizer that lies beside the model
  options.directory = directory;
  const fcc::LoadedModel model = fcc::load_model(options);
  const std::string hash = fcc::model_hash(model.parameters);
  // A draw depends on seed, position and logits alone: no random state has to be saved.
  const fcc::Sampler sampler(
      {.temperature = 0.8, .seed = 5, .num_ids = model.tokenizer->vocab_size()});

  fcc::TokenStream stream(model.config(), model.weights, /*batch_size=*/1);
  stream.prefill(row_of(fcc::encode_prompt(model, prompt)));
  fcc::save_memory_state(stream.state(), state_file, hash);
  const std::string straight_on = write_on(stream, model, sampler);

  // As another process would, a day later. The state has the same size however long the prompt was.
  fcc::TokenStream resumed(
      model.config(), model.weights, /*batch_size=*/1, fcc::load_memory_state(state_file, hash));
  const std::string after_loading = write_on(resumed, model, sampler);

  std::printf("%lld tokens read\n", static_cast<long long>(stream.num_tokens() - kNumTokens));
  std::printf("%s\n", straight_on == after_loading ? "the same text after loading" : "they differ");
  return straight_on == after_loading ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s MODEL STATE_FILE PROMPT\n", argv[0]);
    return 2;
  }
  try {
    return run(argv[1], argv[2], argv[3]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
