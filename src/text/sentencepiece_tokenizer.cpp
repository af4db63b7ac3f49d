// The only source that sees SentencePiece's headers.

#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>

#include "fcc/core/error.h"
#include "fcc/io/files.h"
#include "text/sentencepiece_model.h"
#include "text/token_error.h"
#include "text/token_settings.h"
#include "text/tokenizer_loaders.h"
#include "text/utf8.h"

// Exported by the library, declared in none of its installed headers.
namespace sentencepiece::logging {
void SetMinLogLevel(int level);
}

namespace fcc {
namespace {

constexpr const char* kFileName = "tokenizer.model";

/// U+2581, which stands for a space inside pieces.
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

/// SentencePiece's memory grows by about 100 bytes a byte of text, so long texts are cut where a
/// cut changes nothing (see `cut_before`): at the first chance after kChunkBytes.
constexpr std::size_t kChunkBytes = 16 << 10;
constexpr std::size_t kMaxChunkBytes = 8 << 20;

bool is_utf8_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

bool is_cut_character(char c) {
  return c == ' ' || c == '\n';
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  using Tokenizer::encode;
  SentencePieceTokenizer(std::string content, const std::filesystem::path& file);

  std::int64_t vocab_size() const override {
    return static_cast<std::int64_t>(surfaces_.size());
  }
  void encode(std::string_view text, std::vector<std::int32_t>& ids) const override;
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
    return "sentencepiece";
  }
  std::string hash() const override {
    // The sums of a unigram's scores, and with them ids, have changed between versions of the
    // library; merges are the model's own.
    return is_unigram_model(content_)
               ? sha256_hex(content_ + "libsentencepiece " FCC_SENTENCEPIECE_VERSION)
               : file_hash();
  }
  std::string file_hash() const override {
    return sha256_hex(content_);
  }
  void save(const std::filesystem::path& directory) const override {
    write_file_atomic(directory / kFileName, content_);
    for (const auto& [name, content] : companions_) {
      write_file_atomic(directory / name, content);
    }
  }

 private:
  void read_pieces(const std::string& source);
  std::string normal_form(std::string_view text) const;
  std::size_t find_cut(std::string_view text, std::size_t from) const;
  bool is_lone_space(std::string_view text, std::size_t at) const;
  void encode_chunk(std::string_view text, std::vector<std::int32_t>& ids) const;
  void encode_broken(std::string_view text, std::vector<std::int32_t>& ids) const;
  void encode_valid(std::string_view text, std::vector<std::int32_t>& ids) const;

  std::string content_; ///< the model file
  sentencepiece::SentencePieceProcessor processor_;
  std::vector<std::string> surfaces_;                     ///< the bytes that each id stands for
  std::optional<std::array<std::int32_t, 256>> byte_ids_; ///< of a model with byte fallback
  std::optional<std::int32_t> bos_, eos_;
  std::vector<std::int32_t> ends_;
  std::vector<std::pair<std::string, std::string>> companions_; ///< files to be saved beside it
  bool dummy_prefix_ = false;    ///< the model puts a space before every text
  bool cuts_at_space_ = false;   ///< no piece goes on after a space that follows something else
  bool cuts_at_newline_ = false; ///< a newline is always a piece of its own
  std::int32_t space_id_ = -1;   ///< of the piece that is one space
};

SentencePieceTokenizer::SentencePieceTokenizer(
    std::string content,
    const std::filesystem::path& file)
    : content_(std::move(content)) {
  const std::string source = file.string();
  constexpr int kFatalOnly = 3; // the library would write its errors to standard error too
  sentencepiece::logging::SetMinLogLevel(kFatalOnly);
  const auto status = processor_.LoadFromSerializedProto(content_);
  if (!status.ok()) {
    throw FormatError(source, "must be a SentencePiece model", status.ToString());
  }
  read_pieces(source);
  const auto special = [&](int id) {
    return id >= 0 && id < processor_.GetPieceSize() ? std::optional<std::int32_t>(id)
                                                     : std::nullopt;
  };
  const auto find = [&](std::string_view name) -> std::optional<std::int32_t> {
    const int id = processor_.PieceToId(name);
    return processor_.IdToPiece(id) == name ? std::optional<std::int32_t>(id) : std::nullopt;
  };
  TokenSettings settings = read_token_settings(
      file.parent_path(),
      {.find = find,
       .vocab_size = vocab_size(),
       .bos = special(processor_.bos_id()),
       .eos = special(processor_.eos_id()),
       .own_goes_first = true,
       .own_file = kFileName});
  bos_ = settings.bos;
  eos_ = settings.eos;
  ends_ = joined_ends(eos_, settings.ends);
  companions_ = std::move(settings.files);
}

void SentencePieceTokenizer::read_pieces(const std::string& source) {
  std::array<std::int32_t, 256> byte_ids;
  byte_ids.fill(-1);
  cuts_at_space_ = cuts_at_newline_ = true;
  for (int id = 0; id < processor_.GetPieceSize(); ++id) {
    const std::string& piece = processor_.IdToPiece(id);
    std::string surface;
    if (processor_.IsByte(id)) {
      unsigned value = 0;
      if (std::sscanf(piece.c_str(), "<0x%02X>", &value) != 1 || value > 255) {
        throw FormatError(source, "a byte piece must be written <0xNN>", piece);
      }
      byte_ids[value] = id;
      surface.push_back(static_cast<char>(value));
    } else if (processor_.IsUnknown(id)) {
      surface = " \xE2\x81\x87 "; // U+2047, as the library writes it
    } else if (!processor_.IsControl(id)) {
      bool after_text = false;
      for (std::size_t i = 0; i < piece.size();) {
        const bool space = std::string_view(piece).substr(i).starts_with(kSpaceMark);
        cuts_at_space_ &= !(space && after_text);
        cuts_at_newline_ &= !(piece[i] == '\n' && piece.size() > 1);
        after_text |= !space;
        surface.push_back(space ? ' ' : piece[i]);
        i += space ? kSpaceMark.size() : 1;
      }
    }
    surfaces_.push_back(std::move(surface));
  }
  if (std::find(byte_ids.begin(), byte_ids.end(), -1) == byte_ids.end()) {
    byte_ids_ = byte_ids;
  }

  // The settings are not exposed: see what the model does to small texts.
  dummy_prefix_ = normal_form("a").starts_with(kSpaceMark);
  space_id_ = processor_.PieceToId(kSpaceMark);
  const bool known_space = !processor_.IsUnknown(space_id_);
  // Normalisation must leave spaces and newlines alone, or a cut would show.
  const auto plain = [&](const char* text, std::string expected) {
    std::vector<std::int32_t> ids;
    encode_valid(text, ids);
    std::string surface;
    for (const std::int32_t id : ids) {
      surface += surfaces_[static_cast<std::size_t>(id)];
    }
    return surface == (dummy_prefix_ ? " " : "") + expected;
  };
  cuts_at_space_ &= plain("a  b ", "a  b ");
  cuts_at_newline_ &= plain("a\n\nb", "a\n\nb") && (!dummy_prefix_ || known_space);
}

std::string SentencePieceTokenizer::normal_form(std::string_view text) const {
  std::string joined;
  for (const std::string& piece : processor_.EncodeAsPieces(text)) {
    joined += piece;
  }
  return joined;
}

/// Whether the space at `at` stays one by itself. What stands beside it may be a literal U+2581, or
/// become one in normalisation, as U+3000 and even U+00A8 do, and would make one run with it.
bool SentencePieceTokenizer::is_lone_space(std::string_view text, std::size_t at) const {
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7F; };
  if (is_plain(text[at - 1]) && is_plain(text[at + 1])) {
    return true;
  }
  std::size_t begin = at - 1, end = at + 2;
  while (begin > 0 && is_utf8_continuation(text[begin])) {
    --begin;
  }
  while (end < text.size() && is_utf8_continuation(text[end])) {
    ++end;
  }
  const std::string form = normal_form(text.substr(begin, end - begin));
  std::size_t num_spaces = 0;
  for (std::size_t i = form.find(kSpaceMark); i != std::string::npos;
       i = form.find(kSpaceMark, i + kSpaceMark.size())) {
    ++num_spaces;
  }
  return num_spaces == (dummy_prefix_ ? 2 : 1);
}

/// A place in `text` at or after `from` where both sides encode as they do together, or its end.
std::size_t SentencePieceTokenizer::find_cut(std::string_view text, std::size_t from) const {
  for (std::size_t i = std::max<std::size_t>(from, 1); i + 1 < text.size(); ++i) {
    if (!is_cut_character(text[i])) {
      continue;
    }
    const bool alone = !is_cut_character(text[i - 1]) && !is_cut_character(text[i + 1]);
    if (alone && (text[i] == ' ' ? cuts_at_space_ && is_lone_space(text, i) : cuts_at_newline_)) {
      return i;
    }
  }
  return text.size();
}

void SentencePieceTokenizer::encode(std::string_view text, std::vector<std::int32_t>& ids) const {
  std::vector<std::int32_t> chunk_ids;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = i + find_cut(text.substr(i), kChunkBytes);
    std::string_view chunk = text.substr(i, end - i);
    if (chunk.size() > kMaxChunkBytes) {
      throw Error(
          "SentencePiece tokenizer",
          "a text must have a space or a line end every " + std::to_string(kMaxChunkBytes) +
              " bytes",
          std::to_string(chunk.size()) + " bytes without");
    }
    // The dummy prefix is for the start of the text alone. A chunk begins with a space, which the
    // prefix replaces, or with a newline, before which the prefix stays a piece of its own.
    const bool inner = i > 0 && dummy_prefix_;
    if (inner && chunk[0] == ' ') {
      chunk.remove_prefix(1);
    }
    chunk_ids.clear();
    encode_chunk(chunk, chunk_ids);
    const bool drop_prefix = inner && chunk[0] == '\n';
    ids.insert(ids.end(), chunk_ids.begin() + (drop_prefix ? 1 : 0), chunk_ids.end());
    i = end;
  }
}

void SentencePieceTokenizer::encode_chunk(std::string_view text, std::vector<std::int32_t>& ids)
    const {
  if (byte_ids_ && valid_utf8_prefix(text) < text.size()) {
    encode_broken(text, ids);
  } else {
    encode_valid(text, ids);
  }
}

/// Bytes that are no UTF-8 become byte pieces. A stand-in character that is neither in the text nor
/// in the vocabulary keeps their places, so that the text around them is encoded in one go.
void SentencePieceTokenizer::encode_broken(std::string_view text, std::vector<std::int32_t>& ids)
    const {
  const auto is_free = [&](char32_t candidate) {
    std::string character;
    append_utf8(character, candidate);
    return text.find(character) == std::string_view::npos &&
           processor_.IsUnknown(processor_.PieceToId(character));
  };
  char32_t stand_in = 0x10FFFD; // private use, last plane
  while (!is_free(stand_in)) {
    --stand_in;
  }
  std::string mark, whole, broken;
  append_utf8(mark, stand_in);
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t valid = valid_utf8_prefix(text.substr(i));
    whole += text.substr(i, valid);
    i += valid;
    if (i < text.size()) {
      whole += mark;
      broken.push_back(text[i++]);
    }
  }
  std::vector<std::int32_t> marked, mark_ids;
  encode_valid(whole, marked);
  for (const char byte : mark) {
    mark_ids.push_back((*byte_ids_)[static_cast<unsigned char>(byte)]);
  }
  std::size_t next = 0;
  for (auto at = marked.begin(); at != marked.end();) {
    const auto found = std::search(at, marked.end(), mark_ids.begin(), mark_ids.end());
    ids.insert(ids.end(), at, found);
    if (found == marked.end()) {
      break;
    }
    ids.push_back((*byte_ids_)[static_cast<unsigned char>(broken.at(next++))]);
    at = found + static_cast<std::ptrdiff_t>(mark_ids.size());
  }
}

void SentencePieceTokenizer::encode_valid(std::string_view text, std::vector<std::int32_t>& ids)
    const {
  std::vector<int> found;
  const auto status = processor_.Encode(text, &found);
  if (!status.ok()) {
    throw Error("SentencePiece tokenizer", "the text must encode", status.ToString());
  }
  ids.insert(ids.end(), found.begin(), found.end());
}

std::string SentencePieceTokenizer::decode(std::span<const std::int32_t> ids) const {
  std::string text;
  bool at_start = dummy_prefix_;
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocab_size()) {
      throw_bad_id("SentencePiece tokenizer", id, vocab_size());
    }
    std::string_view surface = surfaces_[static_cast<std::size_t>(id)];
    if (at_start && !surface.empty()) {
      at_start = false;
      if (surface[0] == ' ' && !processor_.IsByte(id)) {
        surface.remove_prefix(1);
      }
    }
    text += surface;
  }
  return text;
}

} // namespace

std::shared_ptr<const Tokenizer> load_sentencepiece_tokenizer(const std::filesystem::path& file) {
  return std::make_shared<SentencePieceTokenizer>(read_tokenizer_file(file), file);
}

} // namespace fcc
