#!/usr/bin/env bash
# Kills a training run with SIGKILL at random moments, N times (default 200), and resumes it each
# time; at the end the last checkpoint must equal that of a run that was never killed.
#
#   scripts/kill_test.sh [N] [BUILD_DIRECTORY]
set -euo pipefail

kills=${1:-200}
build=${2:-build/release}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
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

for ((i = 1; i <= kills; ++i)); do
  (run "$work/killed" --resume auto) >"$work/log" 2>&1 &
  process=$!
  sleep "0.$((RANDOM % 900 + 100))"
  kill -KILL "$process" 2>/dev/null || true
  code=0
  wait "$process" 2>/dev/null || code=$?
  if [[ $code -ne 137 && $code -ne 0 ]]; then
    echo "kill $i: the run before it ended with code $code" >&2
    cat "$work/log" >&2
    exit 1
  fi
done

(run "$work/killed" --resume auto) >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
(run "$work/whole") >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
manifest=checkpoints/step-00000300/manifest.json
if ! cmp "$work/killed/$manifest" "$work/whole/$manifest"; then
  echo "the killed run's last checkpoint differs from the uninterrupted run's" >&2
  exit 1
fi
echo "killed $kills times: the last checkpoint equals the uninterrupted run's"
