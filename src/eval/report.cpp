#include "fcc/eval/report.h"

#include <algorithm>

#include "fcc/core/error.h"

namespace fcc {
namespace {

// Characters on the screen: bytes that begin a UTF-8 sequence.
std::size_t shown_width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string quoted(const std::string& cell) {
  if (cell.find_first_of(",\"\n\r") == std::string::npos) {
    return cell;
  }
  std::string out = "\"";
  for (const char c : cell) {
    out += c == '"' ? "\"\"" : std::string(1, c);
  }
  return out + "\"";
}

std::vector<std::vector<std::string>> all_rows(const Table& table) {
  std::vector<std::vector<std::string>> rows{table.header};
  for (const auto& row : table.rows) {
    check(row.size() == table.header.size(), "table", "every row must be as long as the header");
    rows.push_back(row);
  }
  return rows;
}

} // namespace

std::string table_text(const Table& table) {
  const auto rows = all_rows(table);
  std::vector<std::size_t> widths(table.header.size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], shown_width(row[i]));
    }
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - shown_width(row[i]), ' ');
      if (i > 0) {
        line += "  ";
      }
      line += i == 0 ? row[i] + space : space + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string table_csv(const Table& table) {
  std::string out;
  for (const auto& row : all_rows(table)) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0) {
        out += ',';
      }
      out += quoted(row[i]);
    }
    out += "\n";
  }
  return out;
}

} // namespace fcc
