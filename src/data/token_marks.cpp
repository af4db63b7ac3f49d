#include <algorithm>
#include <array>

#include "fcc/data/token_file.h"
#include "fcc/text/tokenizer.h"

namespace fcc {
namespace {

/// Whether token `at` of the file is `id`, if it lies in [begin, end).
bool is_at(
    const TokenFile& file,
    std::int64_t at,
    std::int64_t begin,
    std::int64_t end,
    std::int32_t id) {
  if (at < begin || at >= end) {
    return false;
  }
  std::array<std::int32_t, 1> found{};
  file.read(at, found);
  return found[0] == id;
}

} // namespace

MarkReport
check_marks(const TokenFile& file, const Tokenizer& tokenizer, std::int64_t max_documents) {
  MarkReport report;
  const auto bos = tokenizer.bos_id(), eos = tokenizer.eos_id();
  for (std::int64_t d = 0; d < std::min(max_documents, file.num_documents()); ++d) {
    const std::int64_t begin = file.document_begin(d), end = file.document_end(d);
    if (bos) {
      const bool has = is_at(file, begin, begin, end, *bos);
      const bool doubled = has && is_at(file, begin + 1, begin, end, *bos);
      report.missing_bos += file.info().add_bos && !has;
      report.surplus_bos += !file.info().add_bos && has;
      report.doubled_bos += file.info().add_bos && doubled;
      if (report.first_bad_bos < 0 && (has != file.info().add_bos || doubled)) {
        report.first_bad_bos = d;
      }
    }
    if (eos && file.info().add_eos) {
      const bool has = is_at(file, end - 1, begin, end, *eos);
      report.missing_eos += !has;
      report.doubled_eos += has && is_at(file, end - 2, begin, end, *eos);
    }
  }
  return report;
}

} // namespace fcc
