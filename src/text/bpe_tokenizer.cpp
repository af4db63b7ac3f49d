#include "text/bpe_tokenizer.h"

#include <algorithm>
#include <mutex>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "text/piece_cache.h"
#include "text/split_pattern.h"
#include "text/token_error.h"
#include "text/token_table.h"
#include "text/unicode_additions.h"
#include "text/utf8.h"

namespace fcc {
namespace {

/// Pieces that are cut before they are encoded: enough to keep both loops tight.
constexpr std::size_t kPiecesAtOnce = 512;

/// What one `encode` works with. Kept for later calls: the cache is worth more the longer it lives.
struct Workspace {
  explicit Workspace(std::size_t num_steps) : ends(num_steps), prefixed(num_steps) {}

  SplitPattern::Scratch split;
  std::vector<std::vector<std::size_t>> ends; ///< by step: where its pieces end
  std::vector<std::string> prefixed;          ///< by step: its text with a space before it
  PieceCache cache;
  BpeMerger::Scratch merger;
  std::vector<std::int32_t> piece_ids;
};

/// Hands each call of `encode` a workspace of its own.
class WorkspacePool {
 public:
  explicit WorkspacePool(std::size_t num_steps) : num_steps_(num_steps) {}

  std::unique_ptr<Workspace> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto workspace = std::move(free_.back());
        free_.pop_back();
        return workspace;
      }
    }
    return std::make_unique<Workspace>(num_steps_);
  }
  void give_back(std::unique_ptr<Workspace> workspace) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(workspace));
  }

 private:
  const std::size_t num_steps_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_;
};

/// Everything that defines ids, in one form for all kinds of files.
std::string canonical_form(const BpeSpec& spec) {
  std::string form = "fcc byte-level BPE 1\n";
  const auto number = [&](std::int64_t value) { form += std::to_string(value) + ' '; };
  const auto text = [&](const std::string& value) {
    number(static_cast<std::int64_t>(value.size()));
    form += value;
  };
  for (std::size_t id = 0; id < spec.tokens.size(); ++id) {
    number(spec.whole[id]);
    text(spec.tokens[id]);
  }
  form += "\nmerges ";
  for (const BpeMerge& merge : spec.merges) {
    number(merge.left);
    number(merge.right);
    number(merge.result);
    number(merge.rank);
  }
  form += "\nbytes ";
  for (const std::int32_t id : spec.bytes.ids) {
    number(id);
  }
  number(spec.bytes.unknown);
  number(spec.bytes.fuse_unknown);
  number(spec.ignore_merges);
  form += "\nsplit ";
  for (const SplitStep& step : spec.steps) {
    number(step.add_prefix_space);
    number(step.pattern.has_value());
    text(step.pattern.value_or(""));
  }
  form += "\nadded ";
  for (const AddedToken& token : spec.added_tokens) {
    number(token.id);
    for (const bool flag : {token.special, token.lstrip, token.rstrip, token.normalized}) {
      number(flag);
    }
    text(token.content);
  }
  return form;
}

class BpeTokenizer final : public Tokenizer {
 public:
  using Tokenizer::encode;
  explicit BpeTokenizer(BpeSpec spec);

  std::int64_t vocab_size() const override {
    return static_cast<std::int64_t>(tokens_.size());
  }
  void encode(std::string_view text, std::vector<std::int32_t>& ids) const override;
  void encode_with_special(std::string_view text, std::vector<std::int32_t>& ids) const override;
  std::string decode(std::span<const std::int32_t> ids) const override;
  std::optional<std::int32_t> bos_id() const override {
    return bos_;
  }
  std::optional<std::int32_t> eos_id() const override {
    return eos_;
  }
  std::vector<std::int32_t> end_ids() const override {
    return ends_;
  }
  std::string kind() const override {
    return kind_;
  }
  std::string hash() const override {
    return hash_;
  }
  void save(const std::filesystem::path& directory) const override;

 private:
  /// The added tokens that one kind of `encode` looks for: those before normalisation, then those
  /// after it (there is none here, but the order tells which token wins).
  struct Finders {
    AddedTokenFinder first, second;
  };
  struct Step {
    std::optional<SplitPattern> pattern;
    bool add_prefix_space = false;
  };

  static Finders make_finders(const std::vector<AddedToken>& tokens, bool with_special);
  void encode_sections(
      std::string_view text,
      const Finders& finders,
      std::vector<std::int32_t>& ids) const;
  void encode_text(std::string_view text, Workspace& work, std::vector<std::int32_t>& ids) const;
  void cut(
      std::string_view text,
      std::size_t step,
      bool may_prefix,
      UnicodeTables tables,
      Workspace& work,
      std::vector<std::int32_t>& ids) const;
  void encode_piece(std::string_view piece, Workspace& work, std::vector<std::int32_t>& ids) const;
  void merge_piece(std::string_view piece, Workspace& work, std::vector<std::int32_t>& ids) const;

  std::string kind_, hash_;
  TokenTable tokens_;
  std::vector<bool> special_; ///< by id: decodes to nothing
  BpeMerger merger_;
  bool ignore_merges_;
  std::vector<Step> steps_;
  Finders plain_, with_special_;
  std::optional<std::int32_t> bos_, eos_;
  std::vector<std::int32_t> ends_;
  std::vector<std::pair<std::string, std::string>> files_;
  std::unique_ptr<WorkspacePool> pool_;
};

BpeTokenizer::BpeTokenizer(BpeSpec spec)
    : kind_(std::move(spec.kind)),
      hash_(sha256_hex(canonical_form(spec))),
      tokens_(spec.tokens, spec.whole),
      special_(spec.tokens.size()),
      merger_(spec.merges, spec.bytes),
      ignore_merges_(spec.ignore_merges),
      plain_(make_finders(spec.added_tokens, false)),
      with_special_(make_finders(spec.added_tokens, true)),
      bos_(spec.bos),
      eos_(spec.eos),
      ends_(std::move(spec.ends)),
      files_(std::move(spec.files)),
      pool_(std::make_unique<WorkspacePool>(spec.steps.size())) {
  for (const AddedToken& token : spec.added_tokens) {
    special_[static_cast<std::size_t>(token.id)] = token.special;
  }
  for (const SplitStep& step : spec.steps) {
    Step compiled;
    compiled.add_prefix_space = step.add_prefix_space;
    if (step.pattern) {
      compiled.pattern.emplace(*step.pattern, spec.source);
    }
    steps_.push_back(std::move(compiled));
  }
}

BpeTokenizer::Finders BpeTokenizer::make_finders(
    const std::vector<AddedToken>& tokens,
    bool with_special) {
  std::vector<AddedToken> first, second;
  for (const AddedToken& token : tokens) {
    if (with_special || !token.special) {
      (token.normalized ? second : first).push_back(token);
    }
  }
  return {AddedTokenFinder(std::move(first)), AddedTokenFinder(std::move(second))};
}

void BpeTokenizer::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  encode_sections(text, plain_, ids);
}

void BpeTokenizer::encode_with_special(std::string_view text, std::vector<std::int32_t>& ids)
    const {
  encode_sections(text, with_special_, ids);
}

/// Calls `between` for the text around the tokens that `finder` finds, and adds their ids.
template <typename Between>
void around_tokens(
    std::string_view text,
    const AddedTokenFinder& finder,
    std::vector<std::int32_t>& ids,
    const Between& between) {
  std::size_t at = 0;
  AddedTokenFinder::Cursor cursor;
  while (const auto match = finder.empty() ? std::nullopt : finder.find(text, cursor)) {
    // A token in white space that the one before took along begins before its end.
    if (match->start > at) {
      between(text.substr(at, match->start - at));
    }
    ids.push_back(match->id);
    at = match->end;
  }
  between(text.substr(at));
}

void BpeTokenizer::encode_sections(
    std::string_view text,
    const Finders& finders,
    std::vector<std::int32_t>& ids) const {
  // If something throws, the workspace is lost with it: the next call makes a new one.
  auto work = pool_->take();
  work->split.begin_text(text.size());
  around_tokens(text, finders.first, ids, [&](std::string_view section) {
    around_tokens(section, finders.second, ids, [&](std::string_view part) {
      encode_text(part, *work, ids);
    });
  });
  pool_->give_back(std::move(work));
}

void BpeTokenizer::encode_text(
    std::string_view text,
    Workspace& work,
    std::vector<std::int32_t>& ids) const {
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view valid = text.substr(i, valid_utf8_prefix(text.substr(i)));
    if (!valid.empty()) {
      const auto tables =
          has_unicode_additions(valid) ? UnicodeTables::kWithAdditions : UnicodeTables::kLibrary;
      cut(valid, 0, i == 0, tables, work, ids);
    }
    i += valid.size();
    if (i < text.size()) {
      merger_.merge(text.substr(i++, 1), work.merger, ids);
    }
  }
}

void BpeTokenizer::cut(
    std::string_view text,
    std::size_t step,
    bool may_prefix,
    UnicodeTables tables,
    Workspace& work,
    std::vector<std::int32_t>& ids) const {
  if (step == steps_.size()) {
    encode_piece(text, work, ids);
    return;
  }
  if (steps_[step].add_prefix_space && may_prefix && text[0] != ' ') {
    work.prefixed[step] = ' ';
    work.prefixed[step] += text;
    text = work.prefixed[step];
  }
  if (!steps_[step].pattern) {
    cut(text, step + 1, may_prefix, tables, work, ids);
    return;
  }
  const bool last = step + 1 == steps_.size();
  auto& ends = work.ends[step];
  for (std::size_t start = 0; start < text.size();) {
    ends.clear();
    steps_[step].pattern->cut(text, start, kPiecesAtOnce, tables, work.split, ends);
    for (const std::size_t end : ends) {
      const std::string_view piece = text.substr(start, end - start);
      if (last) {
        encode_piece(piece, work, ids);
      } else {
        cut(piece, step + 1, may_prefix, tables, work, ids);
      }
      start = end;
    }
  }
}

void BpeTokenizer::encode_piece(
    std::string_view piece,
    Workspace& work,
    std::vector<std::int32_t>& ids) const {
  if (piece.size() > PieceCache::kMaxBytes) {
    merge_piece(piece, work, ids);
    return;
  }
  PieceCache::Entry& entry = work.cache.place(piece);
  if (!PieceCache::holds(entry, piece)) {
    work.piece_ids.clear();
    merge_piece(piece, work, work.piece_ids);
    ids.insert(ids.end(), work.piece_ids.begin(), work.piece_ids.end());
    PieceCache::store(entry, piece, work.piece_ids);
  } else if (entry.num_ids == 1) {
    ids.push_back(entry.ids[0]);
  } else {
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.num_ids);
  }
}

void BpeTokenizer::merge_piece(
    std::string_view piece,
    Workspace& work,
    std::vector<std::int32_t>& ids) const {
  const std::int32_t whole = ignore_merges_ ? tokens_.find(piece) : -1;
  if (whole >= 0) {
    ids.push_back(whole);
  } else {
    merger_.merge(piece, work.merger, ids);
  }
}

std::string BpeTokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab_size()) {
      throw_bad_id(kind_ + " tokenizer", id, vocab_size());
    }
    if (!special_[static_cast<std::size_t>(id)]) {
      text += tokens_[static_cast<std::size_t>(id)];
    }
  }
  return text;
}

void BpeTokenizer::save(const std::filesystem::path& directory) const {
  for (const auto& [name, content] : files_) {
    write_file_atomic(directory / name, content);
  }
}

} // namespace

std::shared_ptr<const Tokenizer> make_bpe_tokenizer(BpeSpec spec) {
  return std::make_shared<BpeTokenizer>(std::move(spec));
}

} // namespace fcc
