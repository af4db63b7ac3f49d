#pragma once

#include <string>
#include <vector>

#include "fcc/core/format_number.h"

namespace fcc {

/// Rows of text under a header.
struct Table {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows; ///< each as long as the header
};

/// Aligned columns for a terminal: the first to the left, the others to the right.
std::string table_text(const Table& table);

/// RFC 4180 with `\n` line ends; cells with commas, quotes or line breaks are quoted.
std::string table_csv(const Table& table);

} // namespace fcc
