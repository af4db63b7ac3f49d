#!/usr/bin/env bash
# Makes the data of configs/book.json from the book under tests/data: chapters 1 to 53 as a token
# file to train on, the rest as text and as a token file to validate on.
#
#   scripts/book_data.sh [BUILD_FOLDER]     (default: build/release, else build/cpu)
set -euo pipefail

cd "$(dirname "$0")/.."
source scripts/find_build.sh
build=$(build_with fcc-data "${1:-}")
book=tests/data/pride_and_prejudice.txt
out=runs/book_data
mkdir -p "$out"

border=$(grep -n '^Chapter 54$' "$book" | cut -d: -f1)
head -n "$((border - 1))" "$book" >"$out/train.txt"
tail -n "+$border" "$book" >"$out/held_out.txt"
for part in train held_out; do
  "$build/bin/fcc-data" tokenize "$out/$part.txt" --tokenizer bytes --overwrite \
    --output "$out/$part.safetensors"
done
