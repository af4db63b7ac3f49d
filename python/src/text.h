#pragma once

#include <memory>
#include <string>

#include <nanobind/nanobind.h>

#include "fcc/text/tokenizer.h"

namespace fcc::python {

/// `fcc.Tokenizer`: a tokenizer and whether documents begin and end with its BOS and EOS.
struct PolicedTokenizer {
  std::shared_ptr<const Tokenizer> tokenizer;
  TokenizerConfig policy;
};

/// The UTF-8 of a `str`, or the bytes of a `bytes`. Errors: `nb::type_error`.
std::string text_bytes(const nanobind::object& text);

/// A `str` of bytes, of which those that are no UTF-8 become U+FFFD.
nanobind::str to_str(const std::string& bytes);

} // namespace fcc::python
