#!/usr/bin/env bash
# Starts N ranks of a program on this machine and waits for them; torchrun without Python.
#
#   scripts/start_ranks.sh N build/release/bin/fcc-train --config run.json …
#
# A signal goes on to all ranks. Exits with the first code that is not 0.
set -euo pipefail

ranks=${1:?usage: scripts/start_ranks.sh N PROGRAM ARGUMENTS…}
shift
export WORLD_SIZE=$ranks MASTER_ADDR=${MASTER_ADDR:-127.0.0.1} MASTER_PORT=${MASTER_PORT:-29500}

processes=()
for ((r = 0; r < ranks; ++r)); do
  RANK=$r LOCAL_RANK=$r "$@" &
  processes+=($!)
done
for signal in INT TERM HUP USR1 USR2; do
  trap "kill -$signal \"\${processes[@]}\" 2>/dev/null || true" "$signal"
done

result=0
for process in "${processes[@]}"; do
  code=0
  wait "$process" || code=$?
  while kill -0 "$process" 2>/dev/null; do # a signal ended the wait, not the rank
    code=0
    wait "$process" || code=$?
  done
  if ((result == 0)); then result=$code; fi
done
exit "$result"
