#include "text.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings.h"

namespace fcc::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

std::vector<std::int32_t>
encode(const PolicedTokenizer& self, const nb::object& text, bool special) {
  const std::string bytes = text_bytes(text);
  const nb::gil_scoped_release no_gil;
  std::vector<std::int32_t> ids;
  if (special) {
    self.tokenizer->encode_with_special(bytes, ids);
  } else {
    self.tokenizer->encode(bytes, ids);
  }
  return ids;
}

std::string decode(const PolicedTokenizer& self, const std::vector<std::int32_t>& ids) {
  const nb::gil_scoped_release no_gil;
  return self.tokenizer->decode(ids);
}

PolicedTokenizer load_tokenizer(const std::string& path) {
  const nb::gil_scoped_release no_gil;
  TokenizerConfig named{.path = path};
  if (path == "bytes") {
    named = {.type = TokenizerKind::kBytes, .path = std::nullopt};
  }
  return {make_tokenizer(named), with_saved_policy(named)};
}

} // namespace

std::string text_bytes(const nb::object& text) {
  if (nb::isinstance<nb::bytes>(text)) {
    const auto bytes = nb::cast<nb::bytes>(text);
    return {bytes.c_str(), bytes.size()};
  }
  if (!nb::isinstance<nb::str>(text)) {
    throw nb::type_error("text must be str or bytes");
  }
  Py_ssize_t size = 0;
  const char* bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (bytes == nullptr) { // half a character
    throw nb::python_error();
  }
  return {bytes, static_cast<std::size_t>(size)};
}

nb::str to_str(const std::string& bytes) {
  PyObject* text =
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
  if (text == nullptr) {
    throw nb::python_error();
  }
  return nb::steal<nb::str>(text);
}

void bind_text(nb::module_& module) {
  nb::class_<PolicedTokenizer>(
      module, "Tokenizer", "Text to token ids and back. Immutable; may be shared by threads.")
      .def(
          "encode",
          &encode,
          "text"_a,
          nb::kw_only(),
          "special"_a = false,
          nb::sig("def encode(self, text: str | bytes, *, special: bool = False) -> list[int]"),
          "The ids of a text (or of any bytes), without BOS and EOS.\n\n"
          "special: special tokens that are written out (`<|im_start|>`) become their ids; else\n"
          "they are plain text. For text one trusts.")
      .def(
          "decode",
          [](const PolicedTokenizer& self, const std::vector<std::int32_t>& ids) {
            return to_str(decode(self, ids));
          },
          "ids"_a,
          nb::sig("def decode(self, ids: collections.abc.Iterable[int]) -> str"),
          "The text of ids; bytes that are no UTF-8 become U+FFFD. Special tokens give nothing.")
      .def(
          "decode_bytes",
          [](const PolicedTokenizer& self, const std::vector<std::int32_t>& ids) {
            const std::string bytes = decode(self, ids);
            return nb::bytes(bytes.data(), bytes.size());
          },
          "ids"_a,
          nb::sig("def decode_bytes(self, ids: collections.abc.Iterable[int]) -> bytes"),
          "The bytes of ids, as they are.")
      .def_prop_ro(
          "vocab_size",
          [](const PolicedTokenizer& self) { return self.tokenizer->vocab_size(); },
          "Ids run from 0 to vocab_size - 1.")
      .def_prop_ro(
          "bos_id",
          [](const PolicedTokenizer& self) { return self.tokenizer->bos_id(); },
          "The token that begins a text, or None.")
      .def_prop_ro(
          "eos_id",
          [](const PolicedTokenizer& self) { return self.tokenizer->eos_id(); },
          "The token that ends a text, or None.")
      .def_prop_ro(
          "end_ids",
          [](const PolicedTokenizer& self) { return self.tokenizer->end_ids(); },
          "Where generation stops: EOS, and what the model's files list beside it.")
      .def_prop_ro(
          "adds_bos",
          [](const PolicedTokenizer& self) { return self.policy.begins_with_bos(); },
          "Whether the model's documents begin with BOS.")
      .def_prop_ro(
          "kind",
          [](const PolicedTokenizer& self) { return self.tokenizer->kind(); },
          "`bytes`, `words`, `sentencepiece`, `huggingface` or `tiktoken`.")
      .def_prop_ro(
          "hash",
          [](const PolicedTokenizer& self) { return self.tokenizer->hash(); },
          "SHA-256 of what defines the ids; token files keep it.");

  module.def(
      "load_tokenizer",
      &load_tokenizer,
      "path"_a,
      "A tokenizer of its own: `bytes`, a file, or the directory that holds it.");

  nb::class_<StreamDecoder>(
      module, "Decoder", "Turns ids into text piece by piece; characters come when they are whole.")
      .def(
          "__init__",
          [](StreamDecoder* self, const PolicedTokenizer& tokenizer) {
            new (self) StreamDecoder(tokenizer.tokenizer);
          },
          "tokenizer"_a)
      .def(
          "prime",
          [](StreamDecoder& self, const std::vector<std::int32_t>& ids) { self.prime(ids); },
          "ids"_a,
          nb::sig("def prime(self, ids: collections.abc.Iterable[int]) -> None"),
          "Continues after ids whose text was shown already.")
      .def(
          "push",
          [](StreamDecoder& self, std::int32_t id) { return to_str(self.push(id)); },
          "id"_a,
          "The text that became certain with this id; may be empty.")
      .def(
          "finish",
          [](StreamDecoder& self) { return to_str(self.finish()); },
          "What is still held back.");
}

} // namespace fcc::python
