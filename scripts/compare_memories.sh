#!/usr/bin/env bash
# Trains every memory of docs/memories.md by one recipe, each with three learning rates and three seeds, asks the models
# for passkeys and for many facts at once, and writes one table: of each memory its best rate.
#
# usage: scripts/compare_memories.sh [FOLDER] [--jobs N] [--device cpu|cuda] [--build DIR] [--memories "fcc rmt"]
#          [--rates "1e-3 3e-3"] [--seeds "1 2 3"] [--segments 16,256,4096] [--trials N]
#
# FOLDER (default runs/memories) gets a run RATE-SEED in a folder of each memory, and table.md. Interrupted, the same
# command goes on: finished runs and answers are kept. N runs (default 1) train side by side, a thread each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=runs/memories jobs=1 device=cpu build= rates="1e-3 3e-3 6e-3" seeds="1 2 3" segments=16,256,4096 trials=40
memories="fcc ernie_doc transformer_xl rmt infini_attention titans_mag"
while [ $# -gt 0 ]; do
  case $1 in
    --jobs) jobs=$2 ;;
    --device) device=$2 ;;
    --build) build=$2 ;;
    --memories) memories=$2 ;;
    --rates) rates=$2 ;;
    --seeds) seeds=$2 ;;
    --segments) segments=$2 ;;
    --trials) trials=$2 ;;
    -*) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    *) folder=$1; shift; continue ;;
  esac
  shift 2
done
source scripts/find_build.sh
bin=$(build_with fcc-train ${build:+"$build"})/bin

# One run from its training to its answers; what is done is not done again.
one_run() {
  local memory=$1 rate=$2 seed=$3
  local config=configs/memories/$memory.json run=$folder/$memory/$rate-$seed
  mkdir -p "$run"
  if ! [ -e "$run/trained" ]; then
    "$bin/fcc-train" --config "$config" --resume auto --set "output=$run/train" --set "optim.lr=$rate" \
      --set "train.seed=$seed" --set "engine.device=$device" >"$run/train.log" 2>&1 || { echo "$run: see train.log" >&2; return 1; }
    touch "$run/trained"
  fi
  "$bin/fcc-eval" passkey --model "$run/train/final" --config "$config" --device "$device" --segments "$segments" \
    --depths 0,0.5,1 --trials "$trials" --output "$run/passkey" >"$run/passkey.log" 2>&1 || { echo "$run: see passkey.log" >&2; return 1; }
  "$bin/fcc-eval" capacity --model "$run/train/final" --device "$device" --segments 1,4,16 --pairs 1,2,4,8 \
    --trials "$trials" --output "$run/capacity" >"$run/capacity.log" 2>&1 || { echo "$run: see capacity.log" >&2; return 1; }
  echo "$run: done"
}
export -f one_run
export folder device bin segments trials

for memory in $memories; do
  for rate in $rates; do
    for seed in $seeds; do
      echo "$memory $rate $seed"
    done
  done
done | OMP_NUM_THREADS=1 xargs -P "$jobs" -L 1 bash -c 'one_run "$@"' one_run || echo "some runs failed; the table is of the others" >&2

python3 scripts/memories_table.py "$folder" $memories | tee "$folder/table.md"
