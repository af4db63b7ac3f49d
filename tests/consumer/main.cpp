// A program outside the project that links the installed library: makes a tiny model and prints
// its number of parameters.
#include <cstdio>
#include <string>

#include "fcc/model/parameters.h"
#include "fcc/version.h"

int main() {
  const std::string version = std::to_string(FCC_VERSION_MAJOR) + "." +
                              std::to_string(FCC_VERSION_MINOR) + "." +
                              std::to_string(FCC_VERSION_PATCH);
  if (version != fcc::version()) {
    std::printf("headers of %s, a library of %s\n", version.c_str(), fcc::version());
    return 1;
  }
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
