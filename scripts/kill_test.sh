#!/usr/bin/env bash
# Kills a training run with SIGKILL at random moments, N times (default 200), and resumes it each
# time; at the end the last checkpoint must equal that of a run that was never killed.
#
#   scripts/kill_test.sh [N] [BUILD_FOLDER]     (default: build/release, else build/cpu)
set -euo pipefail

kills=${1:-200}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
source scripts/find_build.sh
build=$(build_with fcc-train "${2:-}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

settings=(
  --config configs/quickstart.json
  --set train.threads=1 --set train.batch_size=2 --set train.accumulate=2
  --set train.validate_every=7 --set train.validation_batches=1 --set train.validation_segments=2
  --set 'train.stages=[{"steps": 120, "segments": [2, 3]},
                       {"steps": 180, "segments": 2, "prefix_segments": [0, 1, 2]}]'
  --set checkpoint.every=1 --set checkpoint.keep_last=2 --set log.every=1000
)

run() { # OUTPUT, more arguments
  local output=$1
  shift
  exec "$build/bin/fcc-train" "${settings[@]}" --set output="$output" "$@"
}

newest() { # of the killed run's checkpoints
  (compgen -G "$work/killed/checkpoints/step-*" || true) | sort | tail -n 1
}

# How long a run takes to its first checkpoint here: half of the kills shall come later.
start=$(date +%s%N)
(run "$work/first") >"$work/log" 2>&1 &
process=$!
until compgen -G "$work/first/checkpoints/step-*" >/dev/null; do
  kill -0 "$process" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.05
done
startup_ms=$((($(date +%s%N) - start) / 1000000))
kill -KILL "$process"
wait "$process" 2>/dev/null || true

moved=0 # kills of runs that had gone on by at least a step
for ((i = 1; i <= kills; ++i)); do
  before=$(newest)
  (run "$work/killed" --resume auto) >"$work/log" 2>&1 &
  process=$!
  delay_ms=$(((RANDOM * 32768 + RANDOM) % (2 * startup_ms)))
  sleep "$((delay_ms / 1000)).$(printf '%03d' $((delay_ms % 1000)))"
  kill -KILL "$process" 2>/dev/null || true
  code=0
  wait "$process" 2>/dev/null || code=$?
  if [[ $code -ne 137 && $code -ne 0 ]]; then
    echo "kill $i: the run before it ended with code $code" >&2
    cat "$work/log" >&2
    exit 1
  fi
  if [[ $(newest) != "$before" ]]; then moved=$((moved + 1)); fi
  if [[ $code -eq 0 && $i -lt $kills ]]; then rm -r "$work/killed"; fi # it came to its end
done
if [[ $moved -eq 0 ]]; then
  echo "no killed run had gone on by a step: nothing was tested" >&2
  exit 1
fi

(run "$work/killed" --resume auto) >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
(run "$work/whole") >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
manifest=checkpoints/step-00000300/manifest.json
if ! cmp "$work/killed/$manifest" "$work/whole/$manifest"; then
  echo "the killed run's last checkpoint differs from the uninterrupted run's" >&2
  exit 1
fi
echo "killed $kills times, $moved of them past a new checkpoint: the last checkpoint equals the uninterrupted run's"
