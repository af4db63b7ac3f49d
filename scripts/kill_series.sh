# Sourced by the kill tests: series of kills beside each other, counted together.

# A folder in memory where there is one: a killed process takes nothing from the page cache with
# it, so that the disk has no say, and waiting for it would be most of the time.
kill_folder() {
  if [[ -z ${TMPDIR:-} && -d /dev/shm && -w /dev/shm ]]; then mktemp -d -p /dev/shm; else mktemp -d; fi
}

end_series() { # of a script that is left early, too: its series see `stop`
  [[ -e $work/failed ]] && cp -r "$work" "${TMPDIR:-/tmp}/" 2>/dev/null &&
    echo "what is left: ${TMPDIR:-/tmp}/${work##*/}" >&2
  touch "$work/stop" 2>/dev/null || true
  wait
  rm -rf "$work"
}

sleep_ms() {
  sleep "$(($1 / 1000)).$(printf '%03d' $(($1 % 1000)))"
}

# newest FOLDER: sets `newest` to the last checkpoint of a run, empty where there is none.
newest_checkpoint() {
  local found=("$1"/checkpoints/step-*)
  newest=${found[-1]}
  [[ -e $newest ]] || newest=
}

# run_series JOBS KILLS: `one_series FOLDER KILLS NUMBER` in JOBS subshells that share the kills. It
# adds a line for each kill to FOLDER/kills, `new` if there was a new checkpoint, and begins
# each by `[[ ! -e $work/stop ]]`. Sets `killed` and `moved` to the numbers of both.
run_series() {
  local jobs=$1 kills=$2 shown=0 result=0 job process begin=$SECONDS
  local series=()
  ((jobs <= kills)) || jobs=$kills
  for ((job = 0; job < jobs; ++job)); do
    mkdir "$work/$job"
    : >"$work/$job/kills"
    (
      trap '(($? == 0)) || touch "$work/failed" "$work/stop"' EXIT
      one_series "$work/$job" $(((kills + job) / jobs)) "$job"
    ) &
    series+=($!)
  done
  while :; do
    local running=0
    for process in "${series[@]}"; do kill -0 "$process" 2>/dev/null && running=1; done
    killed=$(cat "$work"/*/kills | wc -l)
    moved=$(cat "$work"/*/kills | grep -c new || true)
    if ((killed >= shown + 50)); then
      shown=$((killed / 50 * 50))
      echo "$killed of $kills kills after $((SECONDS - begin)) s, $moved of them past a new checkpoint"
    fi
    ((running)) || break
    sleep 1
  done
  for process in "${series[@]}"; do wait "$process" || result=1; done
  if ((result == 0 && moved == 0)); then
    echo "no killed run had gone on by a step: nothing was tested" >&2
    result=1
  fi
  return "$result"
}
