#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fcc/config/model_config.h"
#include "fcc/io/gguf.h"

namespace fcc {

/// The shape that a GGUF file of the architecture `llama` describes, without a section `fcc`.
///
/// llama.cpp keeps Llama-3's RoPE scaling as a tensor of factors, `rope_freqs.weight`; the four
/// numbers it was made from are found again, or the file is refused. A file without `output.weight`
/// has a tied head. Errors: `FormatError` naming what is not supported (another architecture,
/// experts, linear or YaRN scaling, a `llama.*` key that is not known, part of a split model).
ModelConfig gguf_model_config(const GgufFile& file);

/// Whether every weight of the model lies in the file, in its shape, and nothing else: refused are
/// biases and whatever else a plain Llama has no place for. Errors: `FormatError`.
void check_gguf_weights(const GgufFile& file, const ModelConfig& config);

/// Rows `first_row`, `first_row` + 1, … of the weight with Hugging Face's `name` [rows, columns]
/// (a vector is one row), as many as fill `out`, in float32.
///
/// llama.cpp stores the rows of q_proj and k_proj so that the two halves of a rotated pair are
/// neighbours: its row 2i + j of a head is Hugging Face's row i + j · E/2. They are put back.
void read_gguf_rows(
    const GgufFile& file,
    const ModelConfig& config,
    const std::string& name,
    std::int64_t first_row,
    std::span<float> out);

/// The name of a plain Llama's weight in a GGUF file, given Hugging Face's. Errors: `Error` where
/// such a file has none.
std::string gguf_tensor_name(const std::string& name);

/// The row of Hugging Face's matrix `name` that is row `row` of a GGUF file's: another one in
/// q_proj and k_proj alone (as above).
std::int64_t row_for_gguf(const ModelConfig& config, const std::string& name, std::int64_t row);

/// What a GGUF file says of a plain Llama's shape: `general.architecture` and the keys `llama.*`. A
/// section `fcc` has no place there and is passed over.
std::vector<std::pair<std::string, GgufValue>> gguf_model_metadata(const ModelConfig& config);

/// The factors of Llama-3's RoPE scaling, `rope_freqs.weight` [E/2]; empty: there is no scaling.
std::vector<float> gguf_rope_factors(const ModelConfig& config);

} // namespace fcc
