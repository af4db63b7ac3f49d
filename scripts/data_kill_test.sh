#!/usr/bin/env bash
# Kills fcc-data tokenize with SIGKILL at random moments, N times (default 100), and starts it again
# each time; every token file that gets finished must equal that of a run that was never killed.
#
#   scripts/data_kill_test.sh [N] [BUILD_FOLDER]     (default: build/release, else build/cpu)
set -euo pipefail

kills=${1:-100}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
source scripts/find_build.sh
build=$(build_with fcc-data "${2:-}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Text, JSONL and gzip, more than one point to go on from in each, duplicates among them.
mkdir "$work/corpus"
python3 - tests/data/pride_and_prejudice.txt "$work/corpus" <<'PYTHON'
import gzip, json, sys
book, folder = open(sys.argv[1], encoding="utf-8").read(), sys.argv[2]
for i in range(12):
    with open(f"{folder}/{i:02}.txt", "w") as file:
        file.write(f"{i}\n\n\n" + book)
    paragraphs = [f"{i} {k} {text}" for k, text in enumerate(book.split("\n\n"))]
    lines = "".join(json.dumps({"text": text}) + "\n" for text in paragraphs)
    with (open if i % 2 else gzip.open)(f"{folder}/{i:02}.jsonl{'' if i % 2 else '.gz'}", "wt") as file:
        file.write(lines)
PYTHON

settings=("$work/corpus" --split-documents '\n\n\n' --sync-bytes 1MB --dedup --shuffle-seed 5
  --min-tokens 3 --holdout-share 0.05 --quiet)

run() { # OUTPUT
  exec "$build/bin/fcc-data" tokenize "${settings[@]}" -o "$work/$1" --holdout "$work/$1.held"
}

begin=$(date +%s%N)
(run whole) >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
whole_ms=$((($(date +%s%N) - begin) / 1000000 + 1))

finished=0
check() { # the token files are there: they must be whole and right
  for name in killed killed.held; do
    cmp "$work/$name" "$work/${name/killed/whole}" || exit 1
  done
  rm "$work/killed" "$work/killed.held"
  finished=$((finished + 1))
}

killed=0
while ((killed < kills)); do
  (run killed) >"$work/log" 2>&1 &
  process=$!
  # Up to the time of a whole run: the start, every point to go on from, the writing of the files.
  delay=$((RANDOM * whole_ms / 32768))
  sleep "$((delay / 1000)).$(printf '%03d' $((delay % 1000)))"
  kill -KILL "$process" 2>/dev/null || true
  code=0
  wait "$process" 2>/dev/null || code=$?
  if [[ $code -eq 137 ]]; then
    killed=$((killed + 1))
    # Killed on its way out, it left both files and nothing to go on from.
    if [[ -e $work/killed && ! -e $work/killed.partial ]]; then
      check
    fi
  elif [[ $code -ne 0 ]]; then
    echo "after $killed kills a run ended with code $code" >&2
    cat "$work/log" >&2
    exit 1
  else
    check
  fi
done
(run killed) >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
check
echo "killed $killed times: $finished finished token files equal the uninterrupted run's"
