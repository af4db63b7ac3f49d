#!/usr/bin/env python3
"""Compares libfcc's SentencePiece ids with the Python package sentencepiece on long random texts.

    pip install sentencepiece
    ninja -C build/cpu fcc_tokenize
    scripts/compare_sentencepiece.py tests/text/data/llama_style.model [--texts 50000] [--build build/cpu]

The texts are drawn from a seed: words of the vocabulary, spaces in rows, U+2581 (which SentencePiece writes
for a space), line ends, numbers and characters from everywhere; a share of them is longer than 16 KiB, where
libfcc cuts them on the way. Exits 1 where an id differs, and shows the first text.
"""

import argparse
import array
import importlib.metadata
import pathlib
import random
import struct
import subprocess
import sys

import sentencepiece


def drawn_text(random_numbers, words):
    pick = random_numbers.random
    size = random_numbers.choice([50, 500, 2000]) if pick() < 0.97 else random_numbers.choice([17_000, 40_000])
    parts, length = [], 0
    while length < size:
        kind = pick()
        if kind < 0.45:
            part = random_numbers.choice(words)
        elif kind < 0.65:
            part = " " * random_numbers.choice([1, 1, 1, 2, 5])
        elif kind < 0.80:
            part = random_numbers.choice(["\u2581", " \u2581", "\u2581 ", "\u2581\u2581", " \u2581 \u2581b", "\u2581a"])
        elif kind < 0.85:
            part = random_numbers.choice(["\n", "\t", "\r\n", "\u00a0", "\u3000"])
        elif kind < 0.90:
            part = str(random_numbers.randrange(10 ** random_numbers.randrange(1, 12)))
        elif kind < 0.93:
            part = random_numbers.choice("ab ") * random_numbers.choice([10, 300])
        else:
            code = random_numbers.choice([random_numbers.randrange(32, 0x500), random_numbers.randrange(0x2500, 0x2600),
                                          random_numbers.randrange(0x4E00, 0x9FFF), random_numbers.randrange(0x1F300, 0x1F700)])
            part = chr(code)
        parts.append(part)
        length += len(part)
    return "".join(parts)


def ours(program, model, texts):
    data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    done = subprocess.run([program, model, "--kind", "sentencepiece", "--lossy"], input=data, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"{program}: {done.stderr.decode()}")
    ids, at = [], 0
    while at < len(done.stdout):
        (count,) = struct.unpack_from("<I", done.stdout, at)
        ids.append(array.array("i", done.stdout[at + 4 : at + 4 + 4 * count]).tolist())
        at += 4 + 4 * count
    return ids


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("--texts", type=int, default=50_000)
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build/cpu"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    processor = sentencepiece.SentencePieceProcessor(model_file=arguments.model)
    words = [processor.id_to_piece(id).replace("\u2581", "") for id in range(processor.get_piece_size())
             if not (processor.is_control(id) or processor.is_byte(id) or processor.is_unknown(id))]
    words = [word for word in words if word]
    numbers = random.Random(arguments.seed)
    num_bytes = num_ids = 0
    for first in range(0, arguments.texts, 1000):
        texts = [drawn_text(numbers, words) for _ in range(min(1000, arguments.texts - first))]
        found = ours(arguments.build / "tests/fcc_tokenize", arguments.model, [text.encode() for text in texts])
        for text, ids, expected in zip(texts, found, processor.encode(texts), strict=True):
            num_bytes, num_ids = num_bytes + len(text.encode()), num_ids + len(ids)
            if ids != expected:
                place = next((i for i, pair in enumerate(zip(ids, expected)) if pair[0] != pair[1]), min(len(ids), len(expected)))
                print(f"id {place} differs: {ids[place:place + 5]} and {expected[place:place + 5]} in {text[:200]!r}")
                return 1
    print(f"{arguments.texts:,} texts, {num_bytes:,} bytes, {num_ids:,} ids equal to those of "
          f"sentencepiece {importlib.metadata.version('sentencepiece')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
