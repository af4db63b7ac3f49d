#!/usr/bin/env bash
# Passes every check of the project: set-up, build, format, include order, all tests, and a program
# that links the installed library. Tests that need a GPU say that they were skipped.
#
# usage: scripts/test.sh [PRESET]     (release, the default: GPU code where CUDA is there; cpu; asan; tsan)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:-release}
build=build/$preset

case $preset in
  cpu | asan | tsan) scripts/setup.sh --cpu ;;
  *) scripts/setup.sh --transformers ;; # where there is no CUDA it says that it leaves them out
esac
scripts/check_includes.py
scripts/check_format.sh
scripts/check_api_docs.sh
cmake --preset "$preset" -DFCC_BUILD_TESTS=ON -DFCC_BUILD_TOOLS=ON
cmake --build "$build"
ctest --test-dir "$build" --output-on-failure --parallel "$(nproc)"
scripts/check_install.sh "$build"
