#include <algorithm>
#include <utility>

#include "data/datasets.h"
#include "data/row.h"
#include "fcc/core/error.h"
#include "fcc/data/token_file.h"

namespace fcc {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Windows over the joined documents; memory crosses their borders.
class PackedDataset final : public Dataset {
 public:
  PackedDataset(std::string name, TokenFile file)
      : name_(std::move(name)), file_(std::move(file)) {}

  const std::string& name() const override {
    return name_;
  }
  std::string fingerprint() const override {
    return file_.fingerprint();
  }

  std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const override {
    Row out(batch, row);
    read(position, out.ids);
    // The targets are the same tokens one later; only the last one is new.
    std::copy(out.ids.begin() + 1, out.ids.end(), out.targets.begin());
    read(position + static_cast<std::int64_t>(out.ids.size()), out.targets.last(1));
    std::fill(out.target_weights.begin(), out.target_weights.end(), 1.0F);
    return skip(batch.shape, position);
  }

  std::int64_t skip(const BatchShape& shape, std::int64_t position) const override {
    return position + shape.length_tokens();
  }

  double epochs(std::int64_t position) const override {
    return static_cast<double>(position) / static_cast<double>(file_.num_tokens());
  }

  double padded_share(const BatchShape& /*shape*/) const override {
    return 0.0;
  }

 private:
  /// Reads on over the end of the file at its beginning.
  void read(std::int64_t position, std::span<std::int32_t> ids) const {
    while (!ids.empty()) {
      const std::int64_t from = position % file_.num_tokens();
      const auto count = std::min(ids.size(), static_cast<std::size_t>(file_.num_tokens() - from));
      file_.read(from, ids.first(count));
      ids = ids.subspan(count);
      position += static_cast<std::int64_t>(count);
    }
  }

  std::string name_;
  TokenFile file_;
};

/// Documents that start on segment boundaries and keep their memory to themselves. The position
/// counts tokens without padding: where a row begins inside the file is all there is to know, and
/// the lengths of rows and segments may change from step to step.
class ResetDataset final : public Dataset {
 public:
  ResetDataset(std::string name, TokenFile file) : name_(std::move(name)), file_(std::move(file)) {}

  const std::string& name() const override {
    return name_;
  }
  std::string fingerprint() const override {
    return file_.fingerprint();
  }

  std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const override {
    Row out(batch, row);
    batch.num_padding += batch.shape.length_tokens();
    return walk(batch.shape, position, [&](std::int64_t from, std::int64_t at, Piece piece) {
      const auto first = static_cast<std::size_t>(at);
      const auto count = static_cast<std::size_t>(piece.num_tokens);
      batch.num_padding -= piece.num_tokens;
      file_.read(from, out.ids.subspan(first, count));
      // The last token of a document has no target; one cut off by the row's end has.
      const std::size_t num_targets = piece.ends ? count - 1 : count;
      file_.read(from + 1, out.targets.subspan(first, num_targets));
      std::fill_n(out.target_weights.begin() + at, num_targets, 1.0F);
      if (piece.begins) {
        out.segment_starts_document[static_cast<std::size_t>(at / batch.shape.segment_length)] = 1;
      }
    });
  }

  std::int64_t skip(const BatchShape& shape, std::int64_t position) const override {
    return walk(shape, position, [](std::int64_t, std::int64_t, Piece) {});
  }

  double epochs(std::int64_t position) const override {
    return static_cast<double>(position) / static_cast<double>(file_.num_tokens());
  }

  double padded_share(const BatchShape& shape) const override {
    std::int64_t length = 0;
    for (std::int64_t d = 0; d < file_.num_documents(); ++d) {
      length += round_up(file_.document_end(d) - file_.document_begin(d), shape.segment_length);
    }
    return 1.0 - static_cast<double>(file_.num_tokens()) / static_cast<double>(length);
  }

 private:
  /// A stretch of one document in one row.
  struct Piece {
    std::int64_t num_tokens;
    bool begins, ends; ///< holds the document's first token, its last
  };

  /// Calls visit(token in the file, token in the row, piece) for each piece of the row.
  template <typename Visit>
  std::int64_t walk(const BatchShape& shape, std::int64_t position, Visit visit) const {
    const std::int64_t length = shape.length_tokens();
    std::int64_t from = position % file_.num_tokens();
    std::int64_t document = file_.document_of(from);
    for (std::int64_t at = 0; at < length; at = round_up(at, shape.segment_length)) {
      const std::int64_t begin = file_.document_begin(document), end = file_.document_end(document);
      const std::int64_t count = std::min(end - from, length - at);
      visit(from, at, Piece{count, from == begin, from + count == end});
      position += count;
      at += count;
      if (from + count == end) {
        document = document + 1 < file_.num_documents() ? document + 1 : 0;
        from = file_.document_begin(document);
      }
    }
    return position;
  }

  std::string name_;
  TokenFile file_;
};

/// One document a row. The position counts rows.
class DocumentDataset final : public Dataset {
 public:
  DocumentDataset(std::string name, TokenFile file)
      : name_(std::move(name)), file_(std::move(file)) {
    for (std::int64_t d = 0; d < file_.num_documents(); ++d) {
      if (file_.document_end(d) - file_.document_begin(d) >= 2) {
        documents_.push_back(d);
      }
    }
    if (documents_.empty()) {
      throw ConfigError("data `" + name_ + "`", "no document has two tokens or more");
    }
  }

  const std::string& name() const override {
    return name_;
  }
  std::string fingerprint() const override {
    return file_.fingerprint();
  }

  std::int64_t fill(Batch& batch, std::int64_t row, std::int64_t position) const override {
    Row out(batch, row);
    const std::int64_t d = documents_[static_cast<std::size_t>(position) % documents_.size()];
    const std::int64_t begin = file_.document_begin(d), length = file_.document_end(d) - begin;
    const std::int64_t num_ids = std::min(length, batch.shape.length_tokens());
    const std::int64_t num_targets = std::min(length - 1, num_ids);
    batch.num_padding += batch.shape.length_tokens() - num_ids;
    file_.read(begin, out.ids.first(static_cast<std::size_t>(num_ids)));
    file_.read(begin + 1, out.targets.first(static_cast<std::size_t>(num_targets)));
    std::fill_n(out.target_weights.begin(), num_targets, 1.0F);
    return position + 1;
  }

  std::int64_t skip(const BatchShape& /*shape*/, std::int64_t position) const override {
    return position + 1;
  }

  double epochs(std::int64_t position) const override {
    return static_cast<double>(position) / static_cast<double>(documents_.size());
  }

  double padded_share(const BatchShape& shape) const override {
    const std::int64_t length = shape.length_tokens();
    double filled = 0.0;
    for (const std::int64_t d : documents_) {
      filled +=
          static_cast<double>(std::min(length, file_.document_end(d) - file_.document_begin(d)));
    }
    return 1.0 - filled / static_cast<double>(length) / static_cast<double>(documents_.size());
  }

 private:
  std::string name_;
  TokenFile file_;
  std::vector<std::int64_t> documents_; ///< those with a target
};

TokenFile open_file(
    const DatasetConfig& config,
    const std::string& name,
    const Tokenizer& tokenizer,
    DocumentMarks marks) {
  const std::string& path = required_path(config, name);
  TokenFile file(path);
  file.require_tokenizer(tokenizer);
  const auto require_mark = [&](const char* key, bool in_file, bool in_run) {
    if (in_file != in_run) {
      throw ConfigError(
          path,
          std::string("its documents were tokenized with ") + key + (in_file ? " true" : " false"),
          std::string("data.tokenizer.") + key + (in_run ? " true" : " false"),
          "set the key to what the file has, or tokenize again");
    }
  };
  require_mark("add_bos", file.info().add_bos, marks.bos);
  require_mark("add_eos", file.info().add_eos, marks.eos);
  // What another program wrote: a model that meets two BOS, or none, learns something else.
  constexpr std::int64_t kDocumentsLookedAt = 256;
  const MarkReport report = check_marks(file, tokenizer, kDocumentsLookedAt);
  if (report.first_bad_bos >= 0) {
    throw FormatError(
        path,
        file.info().add_bos ? "says add_bos true: every document must begin with one BOS"
                            : "says add_bos false: no document may begin with BOS",
        "document " + std::to_string(report.first_bad_bos) + " begins with " +
            (report.missing_bos > 0   ? "none"
             : report.doubled_bos > 0 ? "two"
                                      : "one"),
        "`fcc-data inspect` counts them");
  }
  return file;
}

} // namespace

std::unique_ptr<Dataset> make_token_dataset(
    const DatasetConfig& config,
    std::string name,
    const Tokenizer& tokenizer,
    DocumentMarks marks) {
  TokenFile file = open_file(config, name, tokenizer, marks);
  if (config.document_memory == DocumentMemory::kReset) {
    return std::make_unique<ResetDataset>(std::move(name), std::move(file));
  }
  return std::make_unique<PackedDataset>(std::move(name), std::move(file));
}

std::unique_ptr<Dataset> make_document_dataset(
    const DatasetConfig& config,
    std::string name,
    const Tokenizer& tokenizer,
    DocumentMarks marks) {
  TokenFile file = open_file(config, name, tokenizer, marks);
  return std::make_unique<DocumentDataset>(std::move(name), std::move(file));
}

} // namespace fcc
