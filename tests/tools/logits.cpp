// The logits of a model for scripts/compare_with_transformers.py.
//
//   logits MODEL IDS OUTPUT
//
// IDS: a safetensors file with `ids` [B, T] int64. OUTPUT: one with `logits` [B, T, V] in float32,
// by the reference, and `loss`, float64, the mean cross-entropy of each id by those before it.

#include <iostream>
#include <vector>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/log_softmax.h>

#include "fcc/generate/loaded_model.h"
#include "fcc/io/safetensors.h"
#include "fcc/model/reference.h"
#include "fcc/model/tensor_io.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: logits MODEL IDS OUTPUT\n";
    return 2;
  }
  try {
    const at::NoGradGuard no_grad;
    const fcc::LoadedModel model = fcc::load_model({.directory = argv[1], .tokenizer = "bytes"});
    const fcc::SafetensorsFile input(argv[2]);
    const at::Tensor ids = fcc::read_tensor(input.at("ids")); // [B, T]
    const at::Tensor hidden = fcc::reference_forward(model.config(), model.weights, ids).hidden;
    const at::Tensor logits = fcc::reference_logits(model.weights, hidden).contiguous();
    const at::Tensor targets = ids.slice(1, 1).unsqueeze(-1); // [B, T - 1, 1]
    const at::Tensor log_p = at::log_softmax(logits.slice(1, 0, -1).to(at::kDouble), -1);
    const at::Tensor loss = -at::gather(log_p, -1, targets).mean().reshape({1});
    const std::vector<fcc::TensorView> results{
        fcc::file_view("logits", logits), fcc::file_view("loss", loss)};
    fcc::write_safetensors(argv[3], results);
  } catch (const std::exception& error) {
    std::cerr << "logits: error: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
