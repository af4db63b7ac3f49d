// A program outside the project that links the installed library: makes a tiny model and prints
// its number of parameters.
#include <cstdio>

#include "fcc/model/parameters.h"

int main() {
  fcc::ModelConfig config;
  config.vocab_size = 97;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 6;
  config.num_key_value_heads = 2;
  config.head_dim = 8;
  fcc::FlatParameters parameters(config, fcc::ComputeDType::kFloat32, at::kCPU, /*seed=*/1);
  std::printf("%lld parameters\n", static_cast<long long>(parameters.num_parameters()));
  return parameters.num_parameters() == fcc::count_parameters(config) ? 0 : 1;
}
