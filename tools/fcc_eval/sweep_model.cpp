#include "fcc_eval/sweep_model.h"

#include <cstdio>
#include <functional>

#include "fcc/generate/stream.h"
#include "fcc/model/hugging_face.h"

namespace fcc::tools {

AnswerFunction answers_of(Prefill& prefill) {
  return
      [&prefill](const std::vector<std::vector<std::int32_t>>& prompts, std::int64_t num_tokens) {
        const LoadedModel& model = prefill.model();
        return continue_greedily(
            model.config(),
            model.weights,
            prompts,
            num_tokens,
            std::bind_front(&Prefill::run, &prefill),
            model.tokenizer->vocab_size());
      };
}

std::map<std::string, std::string> identity_of(const LoadedModel& model) {
  return {
      {"model", model_hash(model.parameters)},
      {"tokenizer", model.tokenizer->hash()},
      {"dtype", std::string(c10::toString(model.weights.embed_tokens.scalar_type()))}};
}

void show_cell(const PasskeyCell& cell, std::size_t done, std::size_t all) {
  std::fprintf(
      stderr,
      "[%zu/%zu] %lld tokens, depth %.0f %%: %lld of %lld (%.1f s)\n",
      done,
      all,
      static_cast<long long>(cell.length_tokens),
      100 * cell.depth,
      static_cast<long long>(cell.correct),
      static_cast<long long>(cell.trials),
      cell.seconds);
}

} // namespace fcc::tools
