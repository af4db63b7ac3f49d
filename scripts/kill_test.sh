#!/usr/bin/env bash
# Kills a training run with SIGKILL at random moments, N times (default 200), and resumes it each
# time: it must go on at the last checkpoint that was called saved, or later, and what it ends in
# must equal what a run ends in that was never killed.
#
#   scripts/kill_test.sh [--jobs J] [N] [BUILD_FOLDER]     (default: build/release, else build/cpu)
#
# --jobs: J runs beside each other, which share the N kills. The model is tiny and every step is
# saved, so that most moments are moments of a save; checkpoints are written in the background and
# not, by turns.
set -euo pipefail

jobs=1
if [[ ${1:-} == --jobs ]]; then
  jobs=${2:?--jobs needs a number}
  shift 2
fi
kills=${1:-200}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
source scripts/find_build.sh
source scripts/kill_series.sh
build=$(build_with fcc-train "${2:-}")
work=$(kill_folder)
trap end_series EXIT

settings=(
  --config configs/quickstart.json
  --set model.config.hidden_size=16 --set model.config.intermediate_size=24
  --set model.config.num_attention_heads=2 --set model.config.num_key_value_heads=1
  --set model.config.head_dim=8
  --set train.threads=1 --set train.batch_size=2 --set train.accumulate=2
  --set train.validate_every=7 --set train.validation_batches=1 --set train.validation_segments=2
  --set 'train.stages=[{"steps": 40, "segments": [2, 3]},
                       {"steps": 60, "segments": 2, "prefix_segments": [0, 1, 2]}]'
  --set checkpoint.every=1 --set checkpoint.keep_last=2 --set log.every=1000
)
manifest=checkpoints/step-00000100/manifest.json
export OMP_NUM_THREADS=1

run() { # OUTPUT, more arguments
  local output=$1
  shift
  exec "$build/bin/fcc-train" "${settings[@]}" --set output="$output" "$@"
}

fail() { # MESSAGE LOG
  echo "$1" >&2
  tail -n 20 "$2" >&2
  exit 1
}

compare() { # FOLDER of a series whose run came to its end
  cmp "$1/killed/$manifest" "$work/whole/$manifest" >&2 ||
    fail "the killed run's last checkpoint differs from the uninterrupted run's" "$1/log"
}

one_series() { # FOLDER KILLS NUMBER
  local folder=$1 kills=$2 i process code before saved="" delay_ms startup_ms begin
  RANDOM=$((BASHPID + $3))

  # How long a run takes to its first checkpoint here.
  begin=$(date +%s%N)
  (run "$folder/killed") >"$folder/log" 2>&1 &
  process=$!
  newest=
  until [[ -n $newest ]]; do
    kill -0 "$process" 2>/dev/null || fail "the first run ended without a checkpoint" "$folder/log"
    sleep 0.05
    newest_checkpoint "$folder/killed"
  done
  startup_ms=$((($(date +%s%N) - begin) / 1000000))
  kill -KILL "$process" 2>/dev/null || true
  wait "$process" 2>/dev/null || true

  for ((i = 1; i <= kills; ++i)); do
    [[ ! -e $work/stop ]] || exit 0
    newest_checkpoint "$folder/killed"
    before=$newest
    (run "$folder/killed" --resume auto --set checkpoint.in_background=$( ((i % 2)) && echo true || echo false)) \
      >"$folder/log" 2>&1 &
    process=$!
    # One of eight while it starts, the others around its first checkpoint and behind.
    if ((i % 8 == 0)); then
      delay_ms=$((RANDOM * startup_ms / 32768))
    else
      delay_ms=$((startup_ms * 9 / 10 + RANDOM * startup_ms / 2 / 32768))
    fi
    sleep_ms "$delay_ms"
    kill -KILL "$process" 2>/dev/null || true
    code=0
    wait "$process" 2>/dev/null || code=$?
    [[ $code -eq 137 || $code -eq 0 ]] || fail "kill $i: the run before it ended with code $code" "$folder/log"
    local output
    output=$(<"$folder/log")
    # Names of checkpoints are as long as each other: the later one is the greater text.
    if [[ $output =~ "going on from "[^[:space:]]*/(step-[0-9]+) && ${BASH_REMATCH[1]} < $saved ]]; then
      fail "kill $i: it went on from ${BASH_REMATCH[1]}, though $saved was called saved" "$folder/log"
    fi
    if [[ $output =~ .*" I checkpoint "[^[:space:]]*/(step-[0-9]+)$'\n' && ${BASH_REMATCH[1]} > $saved ]]; then
      saved=${BASH_REMATCH[1]}
    fi
    newest_checkpoint "$folder/killed"
    if [[ $newest != "$before" ]]; then
      echo new >>"$folder/kills"
      startup_ms=$((startup_ms * 99 / 100))
    else
      echo none >>"$folder/kills"
      ((i % 8 == 0)) || startup_ms=$((startup_ms * 21 / 20 + 1)) # the machine is slower than it was
    fi
    if [[ $code -eq 0 ]]; then # it came to its end
      compare "$folder"
      rm -r "$folder/killed"
      saved=
      echo end >>"$folder/ends"
    fi
  done
  (run "$folder/killed" --resume auto) >"$folder/log" 2>&1 || fail "the killed run could not be ended" "$folder/log"
  compare "$folder"
  echo end >>"$folder/ends"
}

(run "$work/whole") >"$work/log" 2>&1 || fail "the run that is never killed failed" "$work/log"
run_series "$jobs" "$kills"
ends=$(cat "$work"/*/ends | wc -l)
echo "killed $killed times, $moved of them past a new checkpoint, none that was called saved was lost:" \
  "$ends runs came to their end, and the last checkpoint of each equals the uninterrupted run's"
