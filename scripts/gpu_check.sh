#!/usr/bin/env bash
# Checks a build on a machine with a GPU of compute capability 9.0: every GPU test, over the Hopper
# kernels and the portable ones, then the kernels' tests under compute-sanitizer, and with --bench the
# tables of docs/performance.md. Needs the built programs and nothing else: no compiler, no CMake.
set -uo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/gpu_check.sh [--bench] [--no-sanitizer] [BINARIES] LOGS

  BINARIES        the build folder (tests/test_*, bin/fcc-bench), or one folder with all programs;
                  default: $BINARIES, else build/release of the clone
  LOGS            a folder for the logs: made, and what is in it overwritten
  --bench         tables at the end: kernels, training steps, figures 5-7
  --no-sanitizer  leave compute-sanitizer out (it takes some minutes)

On a machine other than the one that built them, set LD_LIBRARY_PATH to that machine's torch/lib (of
the same torch version) first. The exit code is 1 if a test fails, if a GPU test was skipped for want
of a GPU, if compute-sanitizer finds something, or if a table cannot be made.
TEXT
}

bench=no
sanitizer=yes
places=()
for argument in "$@"; do
  case "$argument" in
    --bench) bench=yes ;;
    --no-sanitizer) sanitizer=no ;;
    -h | --help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) places+=("$argument") ;;
  esac
done
case ${#places[@]} in
  1) binaries=${BINARIES:-$(dirname "${BASH_SOURCE[0]}")/../build/release}; logs=${places[0]} ;;
  2) binaries=${places[0]}; logs=${places[1]} ;;
  *) usage >&2; exit 2 ;;
esac
if [ ! -d "$binaries" ]; then
  echo "gpu_check: no folder $binaries" >&2
  exit 2
fi
mkdir -p "$logs" || exit 2

failures=0
say() { printf 'gpu_check: %s\n' "$*" | tee -a "$logs/summary.txt"; }
: > "$logs/summary.txt"

program() { # program NAME: its path, in the build's folders or flat
  local place
  for place in "$binaries" "$binaries/tests" "$binaries/tests/kernels" "$binaries/bin"; do
    if [ -f "$place/$1" ] && [ -x "$place/$1" ]; then
      printf '%s\n' "$place/$1"
      return 0
    fi
  done
  return 1
}

run() { # run LOG COMMAND...: 0 if it succeeds; its output goes to the log
  local log=$logs/$1.txt
  shift
  printf '$ %s\n' "$*" > "$log"
  "$@" >> "$log" 2>&1
}

passes() { # passes NAME COMMAND...: counts a failure and says so
  local name=$1
  if run "$@"; then
    say "ok: $name"
  else
    say "FAILED: $name (see $logs/$name.txt)"
    failures=$((failures + 1))
  fi
}

# --- the machine ---------------------------------------------------------------------------------
if command -v nvidia-smi >/dev/null; then
  run machine nvidia-smi
  nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | tee -a "$logs/summary.txt"
else
  say "nvidia-smi is not on the PATH: the card's name is in the tables only"
fi

# --- GPU tests -----------------------------------------------------------------------------------
tested=0
test_program() { # test_program NAME FILTER
  local path
  if ! path=$(program "$1"); then
    say "FAILED: $1 is not in $binaries"
    failures=$((failures + 1))
    return
  fi
  passes "$1" "$path" --gtest_filter="$2"
  if grep -q 'needs a GPU' "$logs/$1.txt"; then
    say "FAILED: $1 skipped tests for want of a GPU"
    failures=$((failures + 1))
  fi
  if ! grep -Eq '\[  PASSED  \] [1-9]' "$logs/$1.txt"; then
    say "FAILED: $1 ran no test of '$2'"
    failures=$((failures + 1))
  fi
  tested=$((tested + 1))
}
test_program test_kernels '*'
test_program test_ops '*OnAGpu*'
test_program test_gpu '*'
test_program test_generate '*Cuda*'
test_program test_train '*RunEngineOnAGpu*'
say "$tested test programs ran"

# --- compute-sanitizer ---------------------------------------------------------------------------
# The suites `Small`: L 17, 113 and 239, up to three cells, both head widths, both passes.
if [ "$sanitizer" = no ]; then
  say "compute-sanitizer: left out as asked"
elif ! command -v compute-sanitizer >/dev/null; then
  say "compute-sanitizer is not on the PATH: its passes are skipped"
elif kernels=$(program test_kernels); then
  for tool in memcheck racecheck initcheck synccheck; do
    passes "sanitizer_$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 \
      "$kernels" --gtest_filter='Small/*'
  done
fi

# --- tables --------------------------------------------------------------------------------------
if [ "$bench" = yes ]; then
  if program fcc-bench >/dev/null; then
    table() { # table NAME ARGUMENTS of fcc-bench...
      local name=$1
      shift
      passes "$name" "$(program fcc-bench)" "$@"
      cat "$logs/$name.txt"
    }
    table bench_kernels kernels --csv "$logs/kernels.csv" --json "$logs/kernels.json"
    table bench_table1 train --preset table-1 --segment-length 256,0 --tokens 4096,16384,65536 \
      --csv "$logs/table1.csv" --json "$logs/table1.json"
    table bench_schedules train --preset table-1 --segment-length 256 --tokens 16384 --steps 5 \
      --schedule wavefront,sequential --activations store,recompute \
      --csv "$logs/schedules.csv" --json "$logs/schedules.json"
    table bench_1b train --preset llama-3.2-1b --segment-length 512 --tokens 16384 --steps 5 \
      --profile --trace "$logs/trace_1b.json" --csv "$logs/1b.csv" --json "$logs/1b.json"
    table bench_1b_portable train --preset llama-3.2-1b --segment-length 512 --tokens 16384 \
      --steps 5 --kernels portable --csv "$logs/1b_portable.csv" --json "$logs/1b_portable.json"
    table bench_1b_128k train --preset llama-3.2-1b --segment-length 512 --tokens 131072 \
      --chunk-segments 86 --steps 3 --csv "$logs/1b_128k.csv" --json "$logs/1b_128k.json"
    table bench_memory memory --max-tokens 65536 --output "$logs/figures"
    table bench_speed speed --max-tokens 65536 --output "$logs/figures"
  else
    say "FAILED: fcc-bench is not in $binaries"
    failures=$((failures + 1))
  fi
fi

if ((failures)); then
  say "$failures failures"
  exit 1
fi
say "everything passed"
