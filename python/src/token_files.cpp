#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ATen/ops/empty.h>
#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "arrays.h"
#include "bindings.h"
#include "fcc/core/error.h"
#include "fcc/data/token_file.h"
#include "fcc/data/token_spool.h"
#include "text.h"

namespace fcc::python {
namespace {

using namespace nb::literals;

nb::object read(const TokenFile& file, std::int64_t begin, std::int64_t end) {
  check(
      0 <= begin && begin <= end && end <= file.num_tokens(),
      "tokens",
      "must be a stretch of the file's tokens",
      std::to_string(begin) + " to " + std::to_string(end) + " of " +
          std::to_string(file.num_tokens()));
  std::unique_ptr<std::vector<std::int32_t>> ids;
  {
    const nb::gil_scoped_release no_gil;
    ids = std::make_unique<std::vector<std::int32_t>>(static_cast<std::size_t>(end - begin));
    file.read(begin, *ids);
  }
  const nb::capsule owner(
      ids.get(), [](void* held) noexcept { delete static_cast<std::vector<std::int32_t>*>(held); });
  std::vector<std::int32_t>* held = ids.release();
  return nb::cast(
      nb::ndarray<nb::numpy, std::int32_t, nb::ndim<1>>(held->data(), {held->size()}, owner));
}

/// Documents on their way into a file, in a folder of their own.
class TokenWriter {
 public:
  TokenWriter(
      const std::filesystem::path& folder,
      const PolicedTokenizer& tokenizer,
      bool add_bos,
      bool add_eos)
      : tokenizer_(tokenizer.tokenizer),
        info_(token_file_info(*tokenizer_, add_bos, add_eos)),
        spool_(folder, tokenizer_->vocab_size(), {}) {
    if (add_bos && !tokenizer_->bos_id()) {
      throw ConfigError("add_bos", "the tokenizer has no BOS");
    }
    if (add_eos) {
      required_eos(*tokenizer_, "add_eos");
    }
  }

  void add(const at::Tensor& ids) { // [1, t] int64
    const nb::gil_scoped_release no_gil;
    document_.clear();
    if (info_.add_bos) {
      document_.push_back(*tokenizer_->bos_id());
    }
    const std::int64_t* first = ids.const_data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < ids.numel(); ++i) {
      if (first[i] < 0 || first[i] >= info_.vocab_size) {
        throw Error(
            "write_tokens",
            "ids must lie in 0.." + std::to_string(info_.vocab_size - 1),
            std::to_string(first[i]) + " in document " +
                std::to_string(spool_.size().num_documents));
      }
      document_.push_back(static_cast<std::int32_t>(first[i]));
    }
    if (info_.add_eos) {
      document_.push_back(*tokenizer_->eos_id());
    }
    if (document_.empty()) {
      throw Error(
          "write_tokens",
          "a document must have a token",
          "document " + std::to_string(spool_.size().num_documents));
    }
    spool_.append(document_);
  }

  void write(const std::filesystem::path& path) {
    const nb::gil_scoped_release no_gil;
    spool_.sync();
    spool_.write_token_file(path, info_);
  }

 private:
  std::shared_ptr<const Tokenizer> tokenizer_;
  TokenFileInfo info_;
  TokenSpool spool_;
  std::vector<std::int32_t> document_;
};

} // namespace

void bind_token_files(nb::module_& module) {
  nb::class_<TokenFile>(module, "TokenFile")
      .def(nb::init<const std::filesystem::path&>(), "path"_a)
      .def_prop_ro("num_tokens", &TokenFile::num_tokens)
      .def_prop_ro("num_documents", &TokenFile::num_documents)
      .def(
          "bounds",
          [](const TokenFile& self, std::int64_t d) {
            return std::pair(self.document_begin(d), self.document_end(d));
          },
          "document"_a)
      .def(
          "read",
          &read,
          "begin"_a,
          "end"_a,
          nb::sig("def read(self, begin: int, end: int) -> numpy.ndarray"))
      .def(
          "verify",
          [](const TokenFile& self) {
            const nb::gil_scoped_release no_gil;
            self.verify();
          })
      .def_prop_ro("vocab_size", [](const TokenFile& self) { return self.info().vocab_size; })
      .def_prop_ro(
          "tokenizer_kind", [](const TokenFile& self) { return self.info().tokenizer_kind; })
      .def_prop_ro(
          "tokenizer_hash", [](const TokenFile& self) { return self.info().tokenizer_hash; })
      .def_prop_ro("add_bos", [](const TokenFile& self) { return self.info().add_bos; })
      .def_prop_ro("add_eos", [](const TokenFile& self) { return self.info().add_eos; });
  nb::class_<TokenWriter>(module, "TokenWriter")
      .def(
          nb::init<const std::filesystem::path&, const PolicedTokenizer&, bool, bool>(),
          "folder"_a,
          "tokenizer"_a,
          "add_bos"_a,
          "add_eos"_a)
      .def(
          "add",
          [](TokenWriter& self, const IdArray& ids) {
            if (ids.ndim() != 1) {
              throw nb::type_error("a document must be one row of ids");
            }
            self.add(to_ids(ids).cpu());
          },
          "ids"_a)
      .def("write", &TokenWriter::write, "path"_a);
}

} // namespace fcc::python
