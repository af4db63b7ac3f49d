#!/usr/bin/env bash
# Trains every memory of docs/memories.md, and a plain Llama, by one recipe, each with three learning rates and three
# seeds, asks the models for passkeys on and off the grid of segments, for many facts at once and for stories, and
# writes one table: of each memory its best rate.
#
# usage: scripts/compare_memories.sh [FOLDER] [--jobs N] [--device cpu|cuda] [--build DIR] [--memories "fcc rmt"]
#          [--rates "1e-3 3e-3"] [--seeds "1 2 3"] [--segments 16,256,4096] [--trials N] [--steps SHARE]
#
# FOLDER (default runs/memories) gets a run RATE-SEED in a folder of each memory, and table.md. Interrupted, the same
# command goes on: finished runs and answers are kept. N runs (default 1) train side by side, a thread each. SHARE (1)
# of the recipe's steps are trained. A Llama is asked up to 256 segments: its time grows with the square.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=runs/memories jobs=1 device=cpu build="" rates="1e-3 3e-3 6e-3" seeds="1 2 3" segments=16,256,4096 trials=10 share=1
memories="fcc ernie_doc transformer_xl rmt infini_attention titans_mag llama"
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
    --steps) share=$2 ;;
    -*) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    *) folder=$1; shift; continue ;;
  esac
  shift 2
done
source scripts/find_build.sh
bin=$(build_with fcc-train ${build:+"$build"})/bin

# Lengths in segments of 32 tokens, as a model is asked for them.
lengths() { # memory option-for-tokens segments
  if [ "$1" != llama ]; then
    echo "--segments $3"
  else
    python3 -c 'import sys; print(sys.argv[1], ",".join(str(32 * n) for n in map(int, sys.argv[2].split(",")) if n <= 256))' "$2" "$3"
  fi
}

# One run from its training to its answers; what is done is not done again.
one_run() {
  local memory=$1 rate=$2 seed=$3
  local config=configs/memories/$memory.json run=$folder/$memory/$rate-$seed steps story
  ask() { # what command options...
    "$bin/fcc-eval" "$2" --model "$run/train/final" --device "$device" --output "$run/$1" "${@:3}" >"$run/$1.log" 2>&1 ||
      { echo "$run: see $1.log" >&2; return 1; }
  }
  mkdir -p "$run"
  if ! [ -e "$run/trained" ]; then
    steps=$(python3 -c 'import json, sys
for i, stage in enumerate(json.load(open(sys.argv[1]))["train"]["stages"]):
    print("--set", "train.stages.%d.steps=%d" % (i, max(1, round(stage["steps"] * float(sys.argv[2])))))' "$config" "$share")
    # shellcheck disable=SC2086 # two words an option
    "$bin/fcc-train" --config "$config" --resume auto --set "output=$run/train" --set "optim.lr=$rate" $steps \
      --set "train.seed=$seed" --set "engine.device=$device" >"$run/train.log" 2>&1 || { echo "$run: see train.log" >&2; return 1; }
    touch "$run/trained"
  fi
  # The key stands in the first three quarters: no segment of the question sees it.
  # shellcheck disable=SC2046
  {
    ask grid passkey --config "$config" $(lengths "$memory" --lengths "$segments") --depths 0,0.25,0.5,0.75 --trials "$trials"
    ask off passkey --config "$config" $(lengths "$memory" --lengths "$segments") --depths 0,0.25,0.5,0.75 --trials "$trials" --spread 32
    ask capacity capacity $(lengths "$memory" --distances 1,4,16) --pairs 1,2,4,8 --trials 40
    for story in qa1 qa2 qa3; do
      ask "$story" passkey --task "$story" --facts 4 $(lengths "$memory" --lengths 2,4,8,16,64) --depths 0 --trials 40
    done
  }
  echo "$run: done"
}
export -f one_run lengths
export folder device bin segments trials share

for memory in $memories; do
  for rate in $rates; do
    for seed in $seeds; do
      echo "$memory $rate $seed"
    done
  done
done | OMP_NUM_THREADS=1 xargs -P "$jobs" -L 1 bash -c 'set -e; one_run "$@"' one_run || echo "some runs failed; the table is of the others" >&2

python3 scripts/memories_table.py "$folder" $memories | tee "$folder/table.md"
