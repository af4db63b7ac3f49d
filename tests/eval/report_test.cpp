#include "fcc/eval/report.h"

#include <cmath>

#include <gtest/gtest.h>

#include "fcc/core/error.h"

namespace fcc {
namespace {

const Table kTable{{"name", "n", "größe"}, {{"a", "1", "12.5"}, {"long, \"b\"", "113", "7"}}};

TEST(Table, ColumnsAreAlignedByShownCharacters) {
  EXPECT_EQ(
      table_text(kTable),
      "name         n  größe\n"
      "a            1   12.5\n"
      "long, \"b\"  113      7\n");
}

TEST(Table, CsvQuotesWhatNeedsIt) {
  EXPECT_EQ(table_csv(kTable), "name,n,größe\na,1,12.5\n\"long, \"\"b\"\"\",113,7\n");
}

TEST(Table, RefusesARaggedRow) {
  EXPECT_THROW(table_text({{"a", "b"}, {{"1"}}}), Error);
}

TEST(Table, NumbersKeepTheirDecimals) {
  EXPECT_EQ(format_number(1.0 / 3, 4), "0.3333");
  EXPECT_EQ(format_number(std::nan(""), 2), "nan");
}

} // namespace
} // namespace fcc
