#include "fcc_generate/prompts.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <ATen/ops/tensor.h>

#include "common/interrupt.h"
#include "fcc/core/error.h"
#include "fcc/core/json.h"
#include "fcc/io/files.h"
#include "fcc_generate/speaker.h"

namespace fcc::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Prompt {
  std::optional<JsonValue> id; ///< given back as it is
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> answer;
  bool ended = false; ///< by a token, not by the length
  bool done = false;
};

const std::string& text_of(const JsonValue& object, const char* key, const std::string& where) {
  const JsonValue* value = object.find(key);
  const auto* text = value == nullptr ? nullptr : value->as<std::string>();
  if (text == nullptr) {
    throw FormatError(where, "needs a text under the key `" + std::string(key) + "`");
  }
  return *text;
}

class Prompts {
 public:
  Prompts(const GenerateOptions& options, Prefill& prefill)
      : options_(options), prefill_(prefill), model_(prefill.model()) {
    const std::string content = read_file(options.prompts);
    std::string_view rest = content;
    for (int number = 1; !rest.empty(); ++number) {
      const std::string_view line = rest.substr(0, rest.find('\n'));
      rest.remove_prefix(std::min(line.size() + 1, rest.size()));
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
        add(line, options.prompts + ", line " + std::to_string(number));
      }
    }
    ends_ = chat_ ? chat_->end_ids() : model_.tokenizer->end_ids();
  }

  int run() {
    std::map<std::size_t, std::vector<Prompt*>> by_length;
    for (Prompt& prompt : prompts_) {
      by_length[prompt.ids.size()].push_back(&prompt);
    }
    catch_interrupts("\nstopping after this token\n");
    SamplerOptions drawing = options_.sampler;
    drawing.num_ids = model_.tokenizer->vocab_size();
    const Sampler sampler(drawing);
    const auto batch_size = static_cast<std::size_t>(options_.batch_size);
    for (auto& [length, same] : by_length) {
      for (std::size_t first = 0; first < same.size() && !interrupted(); first += batch_size) {
        const auto begin = same.begin() + static_cast<std::ptrdiff_t>(first);
        const std::size_t count = std::min(batch_size, same.size() - first);
        run_batch({begin, begin + static_cast<std::ptrdiff_t>(count)}, sampler);
        show_finished();
      }
    }
    if (!options_.output.empty()) {
      write_file_atomic(options_.output, lines_);
    }
    const int signal = interrupting_signal();
    return signal != 0 ? 128 + signal : 0;
  }

 private:
  void add(std::string_view line, const std::string& where) {
    const JsonValue root = parse_json_without_duplicates(line, where);
    Prompt prompt;
    if (const JsonValue* id = root.find("id")) {
      prompt.id = *id;
    }
    if (const JsonValue* messages = root.find("messages")) {
      prompt.ids = chat().conversation(messages_of(*messages, where));
    } else {
      const std::string& text = text_of(root, "prompt", where);
      prompt.ids = options_.chat
                       ? chat().first_turn(text)
                       : encode_prompt(
                             model_,
                             text,
                             options_.special ? SpecialTokens::kParsed : SpecialTokens::kEscaped);
    }
    if (prompt.ids.empty()) {
      throw FormatError(where, "a prompt must hold at least one token");
    }
    prompts_.push_back(std::move(prompt));
  }

  static std::vector<ChatMessage> messages_of(const JsonValue& value, const std::string& where) {
    const auto* list = value.as<JsonValue::Array>();
    if (list == nullptr || list->empty()) {
      throw FormatError(where, "messages must be a list of objects with role and content");
    }
    std::vector<ChatMessage> messages;
    for (const JsonValue& message : *list) {
      messages.push_back({text_of(message, "role", where), text_of(message, "content", where)});
    }
    return messages;
  }

  const ChatEncoder& chat() {
    if (!chat_) {
      chat_.emplace(required_chat_encoder(options_, model_));
    }
    return *chat_;
  }

  void run_batch(const std::vector<Prompt*>& batch, const Sampler& sampler) {
    const auto rows = static_cast<std::int64_t>(batch.size());
    std::vector<std::int64_t> all;
    for (const Prompt* prompt : batch) {
      all.insert(all.end(), prompt->ids.begin(), prompt->ids.end());
    }
    const at::Tensor ids = at::tensor(all, at::kLong).reshape({rows, -1});
    MemoryState state;
    const std::int64_t done = prefill_.run(ids, state);
    TokenStream stream(model_.config(), model_.weights, rows, state);
    stream.prefill(ids.slice(1, done));
    std::int64_t num_open = rows;
    for (std::int64_t i = 0; i < options_.max_tokens && num_open > 0 && !interrupted(); ++i) {
      const at::Tensor logits = stream.logits().to(at::kCPU, at::kDouble).contiguous(); // [B, V]
      const auto width = static_cast<std::size_t>(logits.size(1));
      std::vector<std::int64_t> next;
      for (std::size_t row = 0; row < batch.size(); ++row) {
        const std::int32_t id = sampler.sample(
            {logits.const_data_ptr<double>() + row * width, width}, stream.num_tokens());
        next.push_back(id); // of a row that has ended, anything
        Prompt& prompt = *batch[row];
        if (prompt.ended) {
          continue;
        }
        prompt.ended =
            !options_.ignore_eos && std::find(ends_.begin(), ends_.end(), id) != ends_.end();
        num_open -= prompt.ended ? 1 : 0;
        if (!prompt.ended) {
          prompt.answer.push_back(id);
        }
      }
      stream.prefill(at::tensor(next, at::kLong).unsqueeze(1));
    }
    for (Prompt* prompt : batch) {
      prompt->done = !interrupted();
    }
  }

  /// Answers in the order of the prompts, as soon as all before one are there.
  void show_finished() {
    for (; num_shown_ < prompts_.size() && prompts_[num_shown_].done; ++num_shown_) {
      const Prompt& prompt = prompts_[num_shown_];
      StreamDecoder decoder(model_.tokenizer);
      decoder.prime(prompt.ids);
      std::string text;
      for (const std::int32_t id : prompt.answer) {
        text += decoder.push(id);
      }
      text += decoder.finish();
      Json line;
      line["index"] = num_shown_;
      if (prompt.id) {
        line["id"] = Json::parse(json_text(*prompt.id, 0));
      }
      line["text"] = text;
      line["prompt_tokens"] = prompt.ids.size();
      line["generated_tokens"] = prompt.answer.size();
      line["end"] = prompt.ended ? "eos" : "length";
      // A character that was cut becomes the replacement character.
      const std::string shown = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
      if (options_.output.empty()) {
        print(shown);
      } else {
        lines_ += shown;
      }
    }
  }

  const GenerateOptions& options_;
  Prefill& prefill_;
  const LoadedModel& model_;
  std::optional<ChatEncoder> chat_;
  std::vector<std::int32_t> ends_;
  std::vector<Prompt> prompts_;
  std::size_t num_shown_ = 0;
  std::string lines_;
};

} // namespace

int answer_prompts(const GenerateOptions& options, Prefill& prefill) {
  return Prompts(options, prefill).run();
}

} // namespace fcc::tools
