#!/usr/bin/env bash
# Kills a random rank of a training run on CPU ranks at random moments, N times (default 50): every
# rank must be gone within 30 s with a code that says so, and the run must go on each time. What it
# ends in must equal what a run of as many ranks ends in that was never killed.
#
#   scripts/rank_kill_test.sh [--jobs J] [N] [RANKS] [BUILD_FOLDER]   (default: 2 ranks; build/release, else build/cpu)
#
# --jobs: J runs beside each other, which share the N kills. The model is tiny and every step is
# saved, so that most moments are moments of a save.
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
source scripts/kill_series.sh
build=$(build_with fcc-train "${3:-}")
work=$(kill_folder)
trap end_series EXIT

settings=(
  --config configs/quickstart.json --rank-timeout 10
  --set model.config.hidden_size=16 --set model.config.intermediate_size=24
  --set model.config.num_attention_heads=2 --set model.config.num_key_value_heads=1
  --set model.config.head_dim=8
  --set engine.device=cpu --set train.threads=1 --set train.batch_size=$((2 * ranks))
  --set train.validate_every=7 --set train.validation_batches=1 --set train.validation_segments=2
  --set 'train.stages=[{"steps": 60, "segments": [2, 3]}]'
  --set checkpoint.every=1 --set checkpoint.keep_last=2 --set log.every=1000
)
manifest=checkpoints/step-00000060/manifest.json
export OMP_NUM_THREADS=1

processes=()
first_port=20000 num_ports=10000
start() { # FOLDER OUTPUT, more arguments: all ranks, their numbers in `processes`
  local folder=$1 output=$2 port=$((first_port + RANDOM % num_ports)) rank
  shift 2
  processes=()
  for ((rank = 0; rank < ranks; ++rank)); do
    RANK=$rank LOCAL_RANK=$rank WORLD_SIZE=$ranks MASTER_ADDR=127.0.0.1 MASTER_PORT=$port \
      "$build/bin/fcc-train" "${settings[@]}" --set output="$output" "$@" >"$folder/log-$rank" 2>&1 &
    processes+=($!)
  done
}

fail() { # MESSAGE FOLDER
  echo "$1" >&2
  tail -n 5 "$2"/log-* >&2
  for process in "${processes[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
  exit 1
}

to_the_end() { # FOLDER OUTPUT, more arguments
  start "$@"
  for process in "${processes[@]}"; do
    wait "$process" || fail "a run that nobody kills ended with code $?" "$1"
  done
}

compare() { # FOLDER of a series whose run came to its end
  cmp "$1/killed/$manifest" "$work/whole/$manifest" >&2 ||
    fail "the killed run's last checkpoint differs from the uninterrupted run's" "$1"
}

one_series() { # FOLDER KILLS NUMBER
  local folder=$1 kills=$2 i rank code ended before delay_ms startup_ms begin killed_at victim
  RANDOM=$((BASHPID + $3))
  num_ports=$((10000 / jobs))
  first_port=$((20000 + $3 * num_ports))

  # How long a run takes to its first checkpoint here.
  begin=$(date +%s%N)
  start "$folder" "$folder/killed"
  newest=
  until [[ -n $newest ]]; do
    kill -0 "${processes[0]}" 2>/dev/null || fail "the first run ended without a checkpoint" "$folder"
    sleep 0.05
    newest_checkpoint "$folder/killed"
  done
  startup_ms=$((($(date +%s%N) - begin) / 1000000))
  for process in "${processes[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
  for process in "${processes[@]}"; do wait "$process" 2>/dev/null || true; done

  for ((i = 1; i <= kills; ++i)); do
    [[ ! -e $work/stop ]] || exit 0
    newest_checkpoint "$folder/killed"
    before=$newest
    start "$folder" "$folder/killed" --resume auto
    # One of eight while it starts, the others around its first checkpoint and behind.
    if ((i % 8 == 0)); then
      delay_ms=$((RANDOM * startup_ms / 32768))
    else
      delay_ms=$((startup_ms * 9 / 10 + RANDOM * startup_ms / 2 / 32768))
    fi
    sleep_ms "$delay_ms"
    victim=$((RANDOM % ranks))
    kill -KILL "${processes[$victim]}" 2>/dev/null || true
    killed_at=$(date +%s%N)
    ended=0
    for ((rank = 0; rank < ranks; ++rank)); do
      # The shell says of each that it was killed: that is no news.
      while kill -0 "${processes[$rank]}" && (($(date +%s%N) - killed_at < 30000000000)); do
        sleep 0.05
      done 2>/dev/null
      ! kill -0 "${processes[$rank]}" 2>/dev/null ||
        fail "kill $i: rank $rank was there 30 s after rank $victim" "$folder"
      code=0
      wait "${processes[$rank]}" 2>/dev/null || code=$?
      # 0: the run had come to its end before.
      [[ $code -eq 0 || $code -eq 1 || $code -eq 137 ]] || fail "kill $i: rank $rank ended with $code" "$folder"
      if ((code == 0)); then ended=$((ended + 1)); fi
    done
    echo "$((($(date +%s%N) - killed_at) / 1000000))" >>"$folder/waits"
    newest_checkpoint "$folder/killed"
    if [[ $newest != "$before" ]]; then
      echo new >>"$folder/kills"
      startup_ms=$((startup_ms * 99 / 100))
    else
      echo none >>"$folder/kills"
      ((i % 8 == 0)) || startup_ms=$((startup_ms * 21 / 20 + 1)) # the machine is slower than it was
    fi
    if ((ended == ranks)); then
      compare "$folder"
      rm -r "$folder/killed"
      echo end >>"$folder/ends"
    fi
  done
  to_the_end "$folder" "$folder/killed" --resume auto
  compare "$folder"
  echo end >>"$folder/ends"
}

mkdir "$work/alone"
to_the_end "$work/alone" "$work/whole"
run_series "$jobs" "$kills"
ends=$(cat "$work"/*/ends | wc -l)
slowest=$(cat "$work"/*/waits | sort -n | tail -n 1)
echo "killed a rank of $ranks $killed times, $moved of them past a new checkpoint: all ranks were gone within" \
  "$slowest ms; $ends runs came to their end, and the last checkpoint of each equals the uninterrupted run's"
