#include "fcc/data/tokenize.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <exception>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "data/duplicate_filter.h"
#include "data/tokenize_state.h"
#include "fcc/core/error.h"
#include "fcc/data/token_file.h"
#include "fcc/data/token_spool.h"
#include "fcc/io/files.h"
#include "fcc/text/tokenizer.h"
#include "io/posix.h"

namespace fcc {
namespace {

namespace fs = std::filesystem;

/// Texts read before they are encoded in parallel.
constexpr std::size_t kBatchBytes = 8 << 20;
constexpr std::size_t kBatchDocuments = 4096;

/// In the working folder: which process uses it, and that it is one.
constexpr const char* kLockFile = "lock";

/// Keeps a second process out of the folder; a killed one gives it free.
class FolderLock {
 public:
  explicit FolderLock(const fs::path& folder)
      : descriptor_(::open((folder / kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0) {
      throw_io_error(folder, "must be writable");
    }
    try {
      if (!try_lock(descriptor_, folder / kLockFile)) {
        throw ConfigError(
            folder.string(), "only one run at a time may use the folder", "another one");
      }
    } catch (const Error&) {
      ::close(descriptor_);
      throw;
    }
  }
  ~FolderLock() {
    ::close(descriptor_);
  }
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

struct Document {
  std::string text, where;
  std::vector<std::int32_t> ids; ///< with BOS and EOS
  TextHash hash;
};

class Encoder {
 public:
  Encoder(const TokenizeOptions& options, const Tokenizer& tokenizer)
      : options_(options), tokenizer_(tokenizer) {
    if (options.add_bos) {
      if (!tokenizer.bos_id()) {
        throw ConfigError("tokenize", "add_bos needs a tokenizer with a BOS", tokenizer.kind());
      }
      bos_ = tokenizer.bos_id();
    }
    if (options.add_eos) {
      eos_ = required_eos(tokenizer, "tokenize");
    }
  }

  void encode(std::vector<Document>& documents) const {
    std::atomic<std::size_t> next{0};
    std::vector<std::exception_ptr> failures(documents.size());
    const auto work = [&] {
      for (std::size_t i = next++; i < documents.size(); i = next++) {
        try {
          encode(documents[i]);
        } catch (...) {
          failures[i] = std::current_exception();
        }
      }
    };
    std::vector<std::jthread> others;
    const auto num_threads = static_cast<std::size_t>(std::max(1, options_.num_threads));
    try {
      for (std::size_t t = 1; t < std::min(num_threads, documents.size()); ++t) {
        others.emplace_back(work);
      }
    } catch (const std::system_error&) {
      // The system has no more threads to give (a limit of processes, a full machine): those that
      // are there do all the work, with the same result.
    }
    work();
    others.clear();
    // The first in the corpus's order, so that the message does not depend on the threads.
    for (const std::exception_ptr& failure : failures) {
      if (failure) {
        std::rethrow_exception(failure);
      }
    }
  }

 private:
  void encode(Document& document) const {
    if (document.text.empty()) {
      return;
    }
    if (options_.deduplicate) {
      document.hash = TextHash::of(document.text);
    }
    if (bos_) {
      document.ids.push_back(*bos_);
    }
    const std::size_t before = document.ids.size();
    try {
      tokenizer_.encode(document.text, document.ids);
    } catch (const Error& error) {
      throw FormatError(document.where, error.what());
    }
    if (document.ids.size() == before) {
      document.ids.clear(); // white space to a tokenizer that drops it
    } else if (eos_) {
      document.ids.push_back(*eos_);
    }
  }

  const TokenizeOptions& options_;
  const Tokenizer& tokenizer_;
  std::optional<std::int32_t> bos_, eos_;
};

/// Reads the next batch of texts; empty at the end.
std::vector<Document> read_batch(Corpus& corpus) {
  std::vector<Document> documents;
  std::size_t bytes = 0;
  while (bytes < kBatchBytes && documents.size() < kBatchDocuments) {
    Document document;
    if (!corpus.next(document.text)) {
      break;
    }
    document.where = corpus.where();
    bytes += document.text.size();
    documents.push_back(std::move(document));
  }
  return documents;
}

/// Counts the document and says whether it stays.
bool keep(
    const TokenizeOptions& options,
    const Document& document,
    DuplicateFilter* duplicates,
    TokenizeSummary& summary) {
  const auto num_tokens = static_cast<std::int64_t>(document.ids.size());
  ++summary.num_documents;
  summary.num_bytes += static_cast<std::int64_t>(document.text.size());
  if (num_tokens == 0) {
    ++summary.num_empty;
  } else if (duplicates != nullptr && !duplicates->insert(document.hash)) {
    ++summary.num_duplicates;
  } else if (num_tokens < options.min_tokens) {
    ++summary.num_too_short;
  } else if (options.max_tokens && num_tokens > *options.max_tokens) {
    ++summary.num_too_long;
  } else {
    ++summary.num_kept;
    summary.num_tokens += num_tokens;
    ++summary.histogram.at(
        static_cast<std::size_t>(std::bit_width(static_cast<std::uint64_t>(num_tokens)) - 1));
    return true;
  }
  return false;
}

std::string dropped_text(const TokenizeSummary& summary) {
  return std::to_string(summary.num_documents) + " read, of them " +
         std::to_string(summary.num_empty) + " empty, " + std::to_string(summary.num_duplicates) +
         " duplicate, " + std::to_string(summary.num_too_short) + " too short, " +
         std::to_string(summary.num_too_long) + " too long";
}

/// Removes the working folder, its lock last: a run that is killed meanwhile leaves a folder that
/// is known as one, or an empty one.
void remove_working_folder(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename() != kLockFile) {
      files.push_back(at->path());
    }
  }
  for (auto file = files.begin(); !error && file != files.end(); ++file) {
    fs::remove_all(*file, error);
  }
  if (!error) {
    fs::remove_all(folder, error);
  }
  if (error) {
    throw IoError(folder.string(), "the working folder must be removable", error.message());
  }
}

/// Removes a folder in which nothing is to go on from: of a run that failed before its first point.
class EmptyFolderRemoval {
 public:
  EmptyFolderRemoval(fs::path folder, fs::path state)
      : folder_(std::move(folder)), state_(std::move(state)) {}
  ~EmptyFolderRemoval() {
    std::error_code ignored;
    // Only where it is known not to be there: a state that cannot be looked at is one.
    if (fs::status(state_, ignored).type() != fs::file_type::not_found) {
      return;
    }
    try {
      remove_working_folder(folder_);
    } catch (const std::exception&) { // the reason of the failure counts; the next run removes it
    }
  }
  EmptyFolderRemoval(const EmptyFolderRemoval&) = delete;
  EmptyFolderRemoval& operator=(const EmptyFolderRemoval&) = delete;

 private:
  fs::path folder_, state_;
};

/// The token file, and the one that is held out.
void write_files(const TokenizeOptions& options, TokenSpool& spool, const TokenFileInfo& info) {
  const std::int64_t num_documents = spool.size().num_documents;
  TokenFilePart part{.shuffle_seed = options.shuffle_seed};
  if (!options.holdout.empty()) {
    const auto num_held_out = static_cast<std::int64_t>(
        std::ceil(options.holdout_share * static_cast<double>(num_documents)));
    if (num_held_out < 1 || num_held_out >= num_documents) {
      throw ConfigError(
          options.holdout.string(),
          "a share to hold out must leave a document on both sides",
          std::to_string(num_held_out) + " of " + std::to_string(num_documents),
          "--split-documents '\\n\\n\\n' cuts a text into several where two lines are empty");
    }
    part.first = num_documents - num_held_out;
    spool.write_token_file(options.holdout, info, part);
    part = {.shuffle_seed = options.shuffle_seed, .first = 0, .count = part.first};
  }
  spool.write_token_file(options.output, info, part);
}

} // namespace

TokenizeSummary tokenize_corpus(
    const TokenizeOptions& options,
    const Tokenizer& tokenizer,
    const std::function<void(const TokenizeProgress&)>& progress) {
  if (!options.holdout.empty() && is_same_path(options.holdout, options.output)) {
    throw ConfigError("holdout", "must be another file than the output", options.holdout.string());
  }
  const fs::path folder = options.output.string() + ".partial";
  const fs::path state_path = folder / "state.json";
  const Encoder encoder(options, tokenizer);
  std::error_code error;
  if (fs::is_directory(folder, error) && !fs::is_empty(folder, error) &&
      !fs::exists(folder / kLockFile, error)) {
    throw ConfigError(
        folder.string(),
        "must be the working folder of this output, which is removed at its end",
        "files of another kind",
        "move them away, or name another output");
  }
  fs::create_directories(folder, error);
  if (error) {
    throw IoError(folder.string(), "cannot create the folder", error.message());
  }
  const FolderLock lock(folder);
  const EmptyFolderRemoval removal(folder, state_path);
  if (options.restart) {
    fs::remove(state_path);
  }
  const std::string fingerprint = tokenize_fingerprint(options, tokenizer);
  const std::optional<TokenizeState> found = load_tokenize_state(state_path, fingerprint);
  TokenizeState state = found.value_or(TokenizeState());

  Corpus corpus(options.files, options.corpus, state.position);
  TokenSpool spool(folder, tokenizer.vocab_size(), state.size);
  std::optional<DuplicateFilter> duplicates;
  if (options.deduplicate) {
    duplicates.emplace(folder / "hashes.bin", state.num_hashes, state.hashes_checksum);
  }
  const auto sync = [&] {
    state.size = spool.sync();
    state.num_hashes = duplicates ? duplicates->sync() : 0;
    state.hashes_checksum = duplicates ? duplicates->checksum() : 0;
    state.position = corpus.position();
    save_tokenize_state(state_path, fingerprint, state);
  };

  std::int64_t synced_bytes = state.summary.num_bytes;
  for (;;) {
    std::vector<Document> documents = read_batch(corpus);
    if (documents.empty()) {
      break;
    }
    encoder.encode(documents);
    for (const Document& document : documents) {
      if (keep(options, document, duplicates ? &*duplicates : nullptr, state.summary)) {
        spool.append(document.ids);
      }
    }
    if (state.summary.num_bytes - synced_bytes >= options.sync_bytes) {
      sync();
      synced_bytes = state.summary.num_bytes;
    }
    if (progress) {
      progress({state.summary, corpus.consumed_bytes(), found.has_value()});
    }
  }
  if (state.summary.num_kept == 0) {
    fs::remove(state_path);
    throw Error(
        options.output.string(), "no document was left to write", dropped_text(state.summary));
  }
  sync();
  write_files(options, spool, token_file_info(tokenizer, options.add_bos, options.add_eos));
  // First what a later run would go on from, so that a half-removed folder is a new start.
  fs::remove(state_path);
  remove_working_folder(folder);
  return state.summary;
}

} // namespace fcc
