#include "data/row.h"

#include <algorithm>

#include "data/datasets.h"
#include "fcc/text/tokenizer.h"

namespace fcc {

void fill_row(
    Batch& batch,
    std::int64_t row,
    std::span<const std::int32_t> prompt,
    std::span<const std::int32_t> answer,
    std::optional<std::int32_t> eos,
    const DatasetConfig& config) {
  Row out(batch, row);
  const auto answer_at = std::copy(prompt.begin(), prompt.end(), out.ids.begin());
  std::copy(answer.begin(), answer.end(), answer_at);
  const std::size_t length = prompt.size() + answer.size();
  for (std::size_t i = 0; i + 1 < length; ++i) {
    const bool is_answer = i + 1 >= prompt.size();
    out.set_target(i, out.ids[i + 1], target_weight(config, is_answer), is_answer);
  }
  if (eos) {
    out.set_target(length - 1, *eos, target_weight(config, false));
  }
  batch.num_padding += static_cast<std::int64_t>(out.ids.size() - length);
}

std::optional<std::int32_t> eos_of(const Tokenizer& tokenizer, DocumentMarks marks) {
  if (!marks.eos) {
    return std::nullopt;
  }
  return required_eos(tokenizer, "data.tokenizer.add_eos");
}

std::int64_t shortest_of(const DatasetConfig& config, const BatchShape& shape) {
  const std::int64_t longest = shape.length_tokens();
  return config.length == RowLength::kFree ? longest - shape.segment_length + 1 : longest;
}

double padding_of(const DatasetConfig& config, const BatchShape& shape) {
  const auto longest = static_cast<double>(shape.length_tokens());
  return (longest - static_cast<double>(shortest_of(config, shape))) / 2.0 / longest;
}

} // namespace fcc
