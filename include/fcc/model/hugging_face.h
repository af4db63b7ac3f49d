#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "fcc/core/dtype.h"
#include "fcc/model/parameters.h"

namespace fcc {

class SafetensorsDirectory;

/// Reads `config.json` of a Hugging Face directory, strictly. Refused by name: attention_bias,
/// mlp_bias, hidden_act other than silu (or swish), rope_type other than default/llama3,
/// partial_rotary_factor, quantization_config.
/// transformers 5's `rope_parameters` is understood; unknown keys that cannot change the maths are
/// ignored. Errors: `FormatError`, `ConfigError` with path and key.
///
/// Keys that a file leaves out mean what Hugging Face's Llama takes them for (head_dim = D/H,
/// untied, theta 10000, eps 1e-6 …; `original_max_position_embeddings`: the one at the top level,
/// else that of the section, else `max_position_embeddings`); where it takes them for nothing
/// (llama3's factors) they are missed by name. The section `fcc` is read strictly.
ModelConfig load_model_config(const std::filesystem::path& directory);

/// The same from the text of a `config.json`; `source` names it in errors.
ModelConfig parse_model_config(const std::string& text, const std::string& source);

/// Whether the model has weights that a plain Llama lacks.
bool adds_weights(const ModelConfig& config);

/// The text of `config.json` for a model: `model_type: llama` where no weight is added
/// (condensation without own norm or learned memory) and the heads divide hidden_size, without
/// which transformers refuse a Llama; `fcc` otherwise, so that nothing is dropped in silence.
std::string model_config_json(const ModelConfig& config, DType dtype);

/// Whether `files` hold the weights of a model, no more and no less, each of its shape and of type
/// float64, float32, bfloat16 or float16. Returned are the names of absent weights that a plain
/// Llama lacks too (memory_layernorm, initial_memory). RoPE frequencies, and a tied head that is
/// the embedding once more, may stand in the files. `where` names the files in errors.
/// Errors: `FormatError` naming the weight.
std::vector<std::string> check_weights(
    const ModelConfig& config,
    const SafetensorsDirectory& files,
    const std::string& where);

/// Copies every weight of a directory (float32, bfloat16, float16; sharded or not) into the master
/// and compute buffers (those that there are). With `config.fcc` asking for weights that a plain
/// Llama lacks (memory_layernorm, initial_memory), these keep their new values and their names are
/// returned; any other missing, surplus or misshapen tensor is an error naming it.
std::vector<std::string> load_weights(
    FlatParameters& parameters,
    const std::filesystem::path& directory);

/// Writes config.json and the weights (`flat`, usually `compute()`) in `dtype`. Tokenizer files are
/// the caller's (`save_tokenizer`).
void save_model(
    const FlatParameters& parameters,
    const at::Tensor& flat,
    DType dtype,
    const std::filesystem::path& directory,
    std::int64_t max_shard_bytes = std::int64_t{5} << 30);

/// SHA-256 over the weights, rounded to bfloat16, and the config: names a model in saved states,
/// whatever dtype it runs in.
std::string model_hash(const FlatParameters& parameters);

} // namespace fcc
