#!/usr/bin/env bash
# Kills a random rank of a training run on CPU ranks at random moments, N times (default 50): every
# rank must be gone within 30 s with a code that says so, and the run must go on each time. At the
# end its last checkpoint must equal that of a run of as many ranks that was never killed.
#
#   scripts/rank_kill_test.sh [--jobs J] [N] [RANKS] [BUILD_FOLDER]   (default: 2 ranks; build/release, else build/cpu)
#
# --jobs: J runs beside each other, which share the N kills.
set -euo pipefail

jobs=1
if [[ ${1:-} == --jobs ]]; then
  jobs=${2:?--jobs needs a number}
  shift 2
fi
kills=${1:-50}
ranks=${2:-2}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
source scripts/find_build.sh
build=$(build_with fcc-train "${3:-}")

if ((jobs > 1)); then
  runs=()
  for ((job = 0; job < jobs; ++job)); do
    FIRST_PORT=$((20000 + job * (10000 / jobs))) NUM_PORTS=$((10000 / jobs)) \
      scripts/rank_kill_test.sh $(((kills + job) / jobs)) "$ranks" "$build" &
    runs+=($!)
  done
  result=0
  for run in "${runs[@]}"; do wait "$run" || result=1; done
  exit "$result"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

settings=(
  --config configs/quickstart.json --rank-timeout 10
  --set engine.device=cpu --set train.threads=1 --set train.batch_size=$((2 * ranks))
  --set train.validate_every=7 --set train.validation_batches=1 --set train.validation_segments=2
  --set 'train.stages=[{"steps": 60, "segments": [2, 3]}]'
  --set checkpoint.every=1 --set checkpoint.keep_last=2 --set log.every=1000
)

processes=()
start() { # OUTPUT, more arguments: all ranks, their numbers in `processes`
  local output=$1 port=$((${FIRST_PORT:-20000} + RANDOM % ${NUM_PORTS:-10000}))
  shift
  processes=()
  for ((r = 0; r < ranks; ++r)); do
    RANK=$r LOCAL_RANK=$r WORLD_SIZE=$ranks MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
      "$build/bin/fcc-train" "${settings[@]}" --set output="$output" "$@" >"$work/log-$r" 2>&1 &
    processes+=($!)
  done
}

fail() {
  echo "$1" >&2
  tail -n 5 "$work"/log-* >&2
  for process in "${processes[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
  exit 1
}

newest() {
  (compgen -G "$work/killed/checkpoints/step-*" || true) | sort | tail -n 1
}

# How long a run takes to its first checkpoint here: half of the kills shall come later.
begin=$(date +%s%N)
start "$work/first"
until compgen -G "$work/first/checkpoints/step-*" >/dev/null; do
  kill -0 "${processes[0]}" 2>/dev/null || fail "the first run ended without a checkpoint"
  sleep 0.05
done
startup_ms=$((($(date +%s%N) - begin) / 1000000))
for process in "${processes[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
wait || true

moved=0   # kills of runs that had gone on by at least a step
slowest=0 # ms from a kill to the end of the last rank
for ((i = 1; i <= kills; ++i)); do
  before=$(newest)
  start "$work/killed" --resume auto
  delay_ms=$(((RANDOM * 32768 + RANDOM) % (2 * startup_ms)))
  sleep "$((delay_ms / 1000)).$(printf '%03d' $((delay_ms % 1000)))"
  victim=$((RANDOM % ranks))
  kill -KILL "${processes[$victim]}" 2>/dev/null || true
  killed_at=$(date +%s%N)
  for ((r = 0; r < ranks; ++r)); do
    while kill -0 "${processes[$r]}" 2>/dev/null; do
      (($(date +%s%N) - killed_at < 30000000000)) || fail "kill $i: rank $r was there 30 s after rank $victim"
      sleep 0.05
    done
    code=0
    wait "${processes[$r]}" 2>/dev/null || code=$?
    # 0: the run had come to its end before.
    if [[ $code -ne 0 && $code -ne 1 && $code -ne 137 ]]; then fail "kill $i: rank $r ended with $code"; fi
  done
  took_ms=$((($(date +%s%N) - killed_at) / 1000000))
  if ((took_ms > slowest)); then slowest=$took_ms; fi
  if [[ $(newest) != "$before" ]]; then moved=$((moved + 1)); fi
done
if [[ $moved -eq 0 ]]; then fail "no killed run had gone on by a step: nothing was tested"; fi

start "$work/killed" --resume auto
for process in "${processes[@]}"; do wait "$process" || fail "the killed run could not be ended"; done
start "$work/whole"
for process in "${processes[@]}"; do wait "$process" || fail "the whole run failed"; done
manifest=checkpoints/step-00000060/manifest.json
cmp "$work/killed/$manifest" "$work/whole/$manifest" ||
  fail "the killed run's last checkpoint differs from the uninterrupted run's"
echo "killed a rank of $ranks $kills times, $moved of them past a new checkpoint: all ranks were gone within $slowest ms, and the last checkpoint equals the uninterrupted run's"
