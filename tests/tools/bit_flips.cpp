// Damages every kind of file that the library writes, one flipped bit or one cut at a time, and
// reads it again: each damage must end in an error that names the file.
//
//   fcc_bit_flips [TRIALS] [SEED]      (default 1000, 1)
//
// The files: a checkpoint's, a model directory's, a token file, the working folder of an
// interrupted `fcc-data tokenize`, a saved memory. Trials go round over them; one of eight is a
// cut. Exit code 1 if any damage was read as if nothing were.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include <ATen/ops/arange.h>

#include "data/helpers.h"
#include "fcc/core/error.h"
#include "fcc/core/random.h"
#include "fcc/data/token_file.h"
#include "fcc/data/tokenize.h"
#include "fcc/io/atomic_directory.h"
#include "fcc/io/files.h"
#include "fcc/model/memory_state.h"
#include "fcc/train/checkpoint.h"
#include "train/saved_run.h"
#include "train/tiny_run.h"
#include "train/train_run.h"

namespace {

namespace fs = std::filesystem;
using fcc::test::bytes_tokenizer;

/// A file, what reads it, and the name that an error must hold.
struct Target {
  fs::path path;
  std::string name;
  std::function<void()> read;
  std::string whole;
  int flips = 0, cuts = 0, missed = 0;
};

class Targets {
 public:
  explicit Targets(const fcc::test::TemporaryFolder& folder) : folder_(folder) {
    add_run();
    add_token_file();
    add_working_folder();
    add_memory();
  }

  std::vector<Target> all;

 private:
  void add(const fs::path& path, const std::string& name, std::function<void()> read) {
    all.push_back({path, name, std::move(read), fcc::read_file(path)});
  }

  void add_folder(const fs::path& folder, const std::function<void()>& read) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      const std::string name = entry.path().filename().string();
      // What a damaged manifest says of a file is found to be wrong of that file.
      add(entry.path(), name == "manifest.json" ? folder.filename().string() : name, read);
    }
  }

  void add_run() {
    fcc::RunConfig config = fcc::tiny_run(folder_ / "run");
    config.train.stages.resize(1);
    config.train.stages[0].steps = 2;
    fcc::run(config);
    const fs::path checkpoint = fcc::test::checkpoint(config, 2);
    add_folder(checkpoint, [=] { fcc::verify_checkpoint(checkpoint); });
    const fs::path model = folder_ / "run/final";
    add_folder(model, [=] { fcc::verify_manifest(model); });
  }

  void add_token_file() {
    const auto documents = fcc::test::counting_documents({1009, 113, 1, 4999}, 256);
    const auto file = fs::path(fcc::test::write_tokens(folder_, documents, *bytes_tokenizer()));
    add(file, file.filename().string(), [=] { fcc::TokenFile(file).verify(); });
  }

  void add_working_folder() {
    struct Interrupted {};
    std::string content;
    for (int i = 0; i < 9000; ++i) {
      content += "document " + std::to_string(i * i % 4999) + "\n";
    }
    fcc::write_file_atomic(folder_ / "a.txt", content);
    fcc::TokenizeOptions options;
    options.files = {folder_ / "a.txt"};
    options.corpus.separator = "\n";
    options.output = folder_ / "out";
    options.deduplicate = true;
    options.sync_bytes = 1;
    try {
      fcc::tokenize_corpus(
          options, *bytes_tokenizer(), [](const fcc::TokenizeProgress&) { throw Interrupted(); });
    } catch (const Interrupted&) {
    }
    const fs::path partial = options.output.string() + ".partial";
    for (const char* name : {"tokens.bin", "document_starts.bin", "hashes.bin", "state.json"}) {
      // Read as a run that goes on does, and interrupted again, so that nothing changes.
      add(partial / name, std::string(name) == "state.json" ? "out.partial" : name, [=] {
        try {
          fcc::tokenize_corpus(options, *bytes_tokenizer(), [](const fcc::TokenizeProgress&) {
            throw Interrupted();
          });
        } catch (const Interrupted&) {
        }
      });
    }
  }

  void add_memory() {
    fcc::MemoryState state;
    state.memory = at::arange(2 * 1 * 7 * 12, at::kFloat).reshape({2, 1, 7, 12});
    state.position = 21;
    state.partial_ids = at::arange(5, at::kLong).reshape({1, 5});
    const fs::path path = folder_ / "memory.st";
    fcc::save_memory_state(state, path, std::string(64, 'a'));
    add(path, "memory.st", [=] { fcc::load_memory_state(path, std::string(64, 'a')); });
  }

  const fcc::test::TemporaryFolder& folder_;
};

void write(const fs::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
}

/// Empty: the damage was told with the file's name.
std::string complaint_of(const Target& target) {
  try {
    target.read();
    return "was read as if nothing were";
  } catch (const fcc::Error& error) {
    const std::string message = error.what();
    return message.find(target.name) != std::string::npos ? "" : "is not named: " + message;
  }
}

void damage(Target& target, fcc::Random& random) {
  const auto size = static_cast<std::int64_t>(target.whole.size());
  std::string changed = target.whole;
  if (random.below(8) == 0) {
    changed.resize(static_cast<std::size_t>(random.below(size)));
    if (target.whole.find_first_not_of('\n', changed.size()) == std::string::npos) {
      return; // the line end of a text is nothing that is lost
    }
    ++target.cuts;
  } else {
    const auto at = static_cast<std::size_t>(random.below(size));
    changed[at] = static_cast<char>(changed[at] ^ (1 << random.below(8)));
    ++target.flips;
  }
  write(target.path, changed);
  if (const std::string complaint = complaint_of(target); !complaint.empty()) {
    ++target.missed;
    std::printf("%s %s\n", target.path.c_str(), complaint.c_str());
  }
  write(target.path, target.whole);
}

} // namespace

int main(int argc, char** argv) {
  const int trials = argc > 1 ? std::atoi(argv[1]) : 1000;
  const fcc::test::TemporaryFolder folder;
  Targets targets(folder);
  fcc::Random random(static_cast<std::uint64_t>(argc > 2 ? std::atoi(argv[2]) : 1));
  for (Target& target : targets.all) {
    target.read(); // whole, it is read
  }
  for (int i = 0; i < trials; ++i) {
    damage(targets.all[static_cast<std::size_t>(i) % targets.all.size()], random);
  }
  int flips = 0, cuts = 0, missed = 0;
  for (const Target& target : targets.all) {
    std::printf(
        "%-24s %7zu bytes: %6d flipped bits, %5d cuts, %d missed\n",
        target.path.filename().c_str(),
        target.whole.size(),
        target.flips,
        target.cuts,
        target.missed);
    flips += target.flips;
    cuts += target.cuts;
    missed += target.missed;
  }
  std::printf("%d flipped bits and %d cuts, %d missed\n", flips, cuts, missed);
  return missed == 0 ? 0 : 1;
}
