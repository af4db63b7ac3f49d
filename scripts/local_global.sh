#!/usr/bin/env bash
# The 2024 note's claim, tried: attention over windows of 12 tokens, context kept over hundreds. Trains
# configs/local_global.json (two CPU cores, minutes), asks for a passkey 13 to 128 windows back, at lengths on and off the
# grid of windows, and fails where fewer than 95 % are found.
#
# usage: scripts/local_global.sh [FOLDER] [SEED] [--build DIR]     (default runs/local_global, the seed of the file)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
run=runs/local_global seed="" build="" place=0
while [ $# -gt 0 ]; do
  case $1 in
    --build) build=$2; shift ;;
    -*) sed -n '2,6p' "$0" >&2; exit 2 ;;
    *) [ $place = 0 ] && run=$1 || seed=$1; place=1 ;;
  esac
  shift
done
source scripts/find_build.sh
bin=$(build_with fcc-train ${build:+"$build"})/bin
config=configs/local_global.json

"$bin/fcc-train" --config "$config" --set "output=$run" ${seed:+--set "train.seed=$seed"} --resume auto
for spread in 0 12; do
  "$bin/fcc-eval" passkey --model "$run/final" --config "$config" --segments 13,16,32,64,128 --depths 0,0.25,0.5,0.75 \
    --trials 20 --spread "$spread" --output "$run/spread-$spread"
done
python3 - "$run" <<'P'
import json, sys
for spread in (0, 12):
    cells = json.load(open(f"{sys.argv[1]}/spread-{spread}/passkey.json"))["cells"]
    found, asked = sum(c["correct"] for c in cells), sum(c["trials"] for c in cells)
    print(f"lengths {'on' if spread == 0 else 'off'} the grid: {found} of {asked}")
    if found < 0.95 * asked:
        sys.exit("fewer than 95 %")
P
