# Sourced, from the root of the clone, by the scripts that run built programs.

# build_with PROGRAM [BUILD_FOLDER]: the folder of a build that has bin/PROGRAM: the one named, or
# the first of build/release and build/cpu. Says what is missing where there is none.
build_with() {
  local build
  local builds=("${2:-build/release}")
  [[ -n ${2:-} ]] || builds+=(build/cpu)
  for build in "${builds[@]}"; do
    if [[ -x $build/bin/$1 ]]; then
      printf '%s\n' "$build"
      return
    fi
  done
  if [[ -n ${2:-} ]]; then
    echo "$0: no program $2/bin/$1: build it, or name another build folder" >&2
  else
    echo "$0: neither build/release nor build/cpu has bin/$1: build it, or name the build folder" >&2
  fi
  return 1
}
