#include "fcc_train/train_as_rank.h"

#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <memory>
#include <vector>

#include "common/interrupt.h"
#include "common/torch/as_rank.h"
#include "fcc/config/write_config.h"
#include "fcc/core/error.h"
#include "fcc/core/log.h"
#include "fcc/train/ranks.h"
#include "fcc/version.h"

namespace fcc::tools {
namespace {

namespace fs = std::filesystem;

/// The checkpoint that rank 0 finds; every rank reads the same.
std::optional<fs::path> agreed_checkpoint(
    Communicator& ranks,
    const RunDirectory* directory,
    const std::optional<std::string>& resume) {
  std::string found;
  if (directory != nullptr) {
    found = find_checkpoint(*directory, resume).value_or("").string();
  }
  found = gather_texts(ranks, found).front();
  return found.empty() ? std::nullopt : std::optional<fs::path>(found);
}

std::string lines_of(const std::vector<std::string>& texts) {
  std::string lines;
  for (const std::string& text : texts) {
    lines += text + "\n";
  }
  return lines;
}

Trainer::End run(
    const RunConfig& config,
    const std::shared_ptr<Communicator>& ranks,
    const RankOptions& options) {
  check_ranks_agree(
      *ranks,
      {{"the version of the program", std::string(version()) + ", " + FCC_BUILD_KIND},
       {"the configuration", write_config(config)},
       {"--resume and --new-course",
        options.resume.value_or("none") + (options.course == Course::kNew ? ", new course" : "")}});
  std::optional<RunDirectory> directory;
  if (ranks->is_first()) {
    directory.emplace(config.output);
    log_to_file((directory->root() / "log.txt").c_str());
  }
  const RunDirectory* const written = directory ? &*directory : nullptr;
  const auto checkpoint = agreed_checkpoint(*ranks, written, options.resume);
  TrainerParts parts = make_trainer_parts(config, checkpoint, ranks);
  check_ranks_agree(
      *ranks,
      {{"the tokenizer", parts.data.tokenizer->hash()},
       {"the data", lines_of(parts.data.fingerprints)}});
  Trainer trainer(config, std::move(parts));
  return directory ? trainer.run(*directory, checkpoint, interrupted(), options.course)
                   : trainer.run_beside(checkpoint, interrupted(), options.course);
}

/// Where someone looks who wonders what a rank died of.
void keep_error(const RunConfig& config, std::int64_t rank, const char* error) {
  if (rank == 0) {
    log_to_file_only(LogLevel::kError, error);
    return;
  }
  std::error_code ignored;
  fs::create_directories(config.output, ignored);
  std::ofstream(fs::path(config.output) / ("rank-" + std::to_string(rank) + ".txt"), std::ios::app)
      << error << '\n';
}

} // namespace

int train_as_rank(
    const RunConfig& config,
    const RankSettings& settings,
    const RankOptions& options,
    const std::function<int(Trainer::End)>& ended) {
  check_rows_divide(config, RankGrid::of(settings.size, config.engine).num_copies);
  if (settings.rank != 0) {
    set_log_level(LogLevel::kError); // one log, of rank 0
  }
  // Of NVLink; where a container lacks the rights to it, the ranks would hang.
  setenv("NCCL_NVLS_ENABLE", "0", /*overwrite=*/0);
  const std::shared_ptr<Communicator> ranks =
      meet_ranks(settings, device_of_rank(config.engine, settings));
  return as_rank(
      "fcc-train",
      ranks,
      [&] { return ended(run(config, ranks, options)); },
      [&](const std::exception& error) { keep_error(config, settings.rank, error.what()); });
}

} // namespace fcc::tools
