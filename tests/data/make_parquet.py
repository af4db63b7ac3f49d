#!/usr/bin/env python3
"""Makes documents.parquet, which parquet_test.cpp and formats_test.cpp read, and news_pairs.parquet, which pairs_test.cpp reads
(pyarrow 26.0.1).

usage: tests/data/make_parquet.py OUTPUT PAIRS

113 rows in three row groups; `text` holds "document <i> " repeated 1 + i * i % 97 times and one of five
endings that are easily lost on the way, null in row 40; `label` an integer; `tags` a list; `raw` bytes that are not UTF-8.

PAIRS has the columns of CNN/DailyMail as it is published: `article`, `highlights`, `id`; and `notes`, null in its 40th row.
"""

import sys

import pyarrow
import pyarrow.parquet

ENDINGS = ["", "two\nlines\n", "\"quoted\" \\ \t", "grüß \U0001F600", "日本語\r\n"]
texts = [f"document {i} " * (1 + i * i % 97) + ENDINGS[i % 5] for i in range(113)]
texts[40] = None
table = pyarrow.table({
    "label": list(range(113)),
    "text": pyarrow.array(texts, pyarrow.string()),
    "tags": [["a", "b"]] * 113,
    "raw": pyarrow.array([b"\xff\xfe"] * 113, pyarrow.binary()),
})
pyarrow.parquet.write_table(table, sys.argv[1], row_group_size=50, compression="zstd", data_page_size=4096)

rows = range(113)
pairs = pyarrow.table({
    "article": [f"(CNN) -- Report {i}: grüß\n" * (1 + i * i % 29) for i in rows],
    "highlights": [f"Highlight {i} .\nAnother ." for i in rows],
    "id": [f"{i:05}" for i in rows],
    "notes": ["note" if i != 39 else None for i in rows],
})
pyarrow.parquet.write_table(pairs, sys.argv[2], row_group_size=50, compression="snappy", data_page_size=4096)
