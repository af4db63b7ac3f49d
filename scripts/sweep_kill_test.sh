#!/usr/bin/env bash
# Kills sweeps of fcc-eval (passkey and capacity) with SIGKILL at random moments, N times (default
# 10), and starts them again each time; in the end every file must equal that of a sweep that was
# left alone, but for the seconds that cells took.
#
#   scripts/sweep_kill_test.sh [N] [BUILD_FOLDER]     (default: build/release, else build/cpu)
set -euo pipefail

kills=${1:-10}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
source scripts/find_build.sh
build=$(build_with fcc-eval "${2:-}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A model that knows nothing answers as fast as one that does.
cat >"$work/run.json" <<JSON
{"output": "$work/run",
 "model": {"config": {"vocab_size": 260, "hidden_size": 32, "intermediate_size": 64,
   "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16,
   "rope_theta": 10000, "fcc": {"arch": "condensation", "segment_length": 64}}},
 "data": {"tokenizer": {"type": "bytes"},
   "train": [{"type": "passkey", "length": "free"}]},
 "train": {"seed": 1, "threads": 1, "stages": [{"steps": 2, "segments": 8}]},
 "engine": {"device": "cpu", "dtype": "float32"}}
JSON
"$build/bin/fcc-train" --config "$work/run.json" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }

sweep() { # COMMAND OUTPUT
  local settings=(--device cpu --model "$work/run/final" -n 8 --batch-size 4 -o "$2")
  if [[ $1 == passkey ]]; then
    exec "$build/bin/fcc-eval" passkey "${settings[@]}" --segments 6,12,24,48 --spread 64 --depths 0,0.5,1
  fi
  exec "$build/bin/fcc-eval" capacity "${settings[@]}" --pairs 1,3,9 --segments 1,8,32
}

# Every file without the seconds: name, then content.
content() { # FOLDER
  (cd "$1" && for file in $(ls | sort); do
    echo "== $file"
    sed -E 's/"seconds": ?[-+0-9.e]+/"seconds": 0/' "$file" | awk -F, -v csv="${file##*.}" \
      'csv == "csv" && NF > 6 { $7 = 0 } { print }'
  done)
}

killed=0
for command in passkey capacity; do
  begin=$(date +%s%N)
  (sweep "$command" "$work/$command.whole") >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  whole_ms=$((($(date +%s%N) - begin) / 1000000 + 1))
  done_kills=0
  while ((done_kills < kills)); do
    (sweep "$command" "$work/$command.killed") >"$work/log" 2>&1 &
    process=$!
    delay=$((RANDOM * whole_ms / 32768))
    sleep "$((delay / 1000)).$(printf '%03d' $((delay % 1000)))"
    kill -KILL "$process" 2>/dev/null || true
    code=0
    wait "$process" 2>/dev/null || code=$?
    if [[ $code -eq 137 ]]; then
      done_kills=$((done_kills + 1))
    elif [[ $code -ne 0 ]]; then
      echo "after $done_kills kills the sweep ended with code $code" >&2
      cat "$work/log" >&2
      exit 1
    else # it came to its end: begin anew, so that the kills hit something
      diff <(content "$work/$command.whole") <(content "$work/$command.killed")
      rm -r "$work/$command.killed"
    fi
  done
  (sweep "$command" "$work/$command.killed") >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
  diff <(content "$work/$command.whole") <(content "$work/$command.killed")
  killed=$((killed + done_kills))
done
echo "killed $killed times: the sweeps ended with the files of those left alone"
