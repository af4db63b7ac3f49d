// Runs a fuzz target without libFuzzer:  fuzz_NAME [-runs=N] [-seed=S] FILE_OR_FOLDER…
// Every file is replayed; then N changed copies (bits flipped, stretches cut, doubled,
// overwritten).

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes changed(Bytes bytes, std::mt19937_64& draw) {
  for (std::uint64_t left = 1 + draw() % 4; left > 0 && !bytes.empty(); --left) {
    const std::size_t at = draw() % bytes.size();
    const std::size_t count = std::min<std::size_t>(1 + draw() % 64, bytes.size() - at);
    const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    switch (draw() % 5) {
      case 0:
        bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1U << (draw() % 8)));
        break;
      case 1:
        bytes.erase(begin, end);
        break;
      case 2: {
        const Bytes stretch(begin, end);
        bytes.insert(begin, stretch.begin(), stretch.end());
        break;
      }
      case 3:
        std::generate(begin, end, [&] { return static_cast<std::uint8_t>(draw()); });
        break;
      default:
        bytes.resize(at);
        break;
    }
  }
  return bytes;
}

} // namespace

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  std::uint64_t runs = 0, seed = 1;
  std::vector<Bytes> seeds;
  const auto add = [&seeds](const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  };
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument.starts_with("-runs=")) {
      runs = std::strtoull(argument.c_str() + 6, nullptr, 10);
    } else if (argument.starts_with("-seed=")) {
      seed = std::strtoull(argument.c_str() + 6, nullptr, 10);
    } else if (fs::is_directory(argument)) {
      for (const auto& entry : fs::directory_iterator(argument)) {
        add(entry.path());
      }
    } else {
      add(argument);
    }
  }
  for (const Bytes& bytes : seeds) {
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::mt19937_64 draw(seed);
  for (std::uint64_t i = 0; i < runs && !seeds.empty(); ++i) {
    const Bytes bytes = changed(seeds[draw() % seeds.size()], draw);
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
  std::printf(
      "%zu files, %llu changed copies\n", seeds.size(), static_cast<unsigned long long>(runs));
  return 0;
}
