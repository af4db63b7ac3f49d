#!/usr/bin/env bash
# Installs a build into an empty folder, checks that no path of the clone went along, and builds
# and runs a program outside the project that finds the package there.
#
# usage: scripts/check_install.sh BUILD_FOLDER
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/prefix" >/dev/null
if leaks=$(grep -rl --fixed-strings "$root" "$work/prefix"); then
  echo "install: these files hold the path of the build:" >&2
  echo "$leaks" >&2
  exit 1
fi
cp -r "$root/tests/consumer" "$work/consumer"
cmake -S "$work/consumer" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build" >/dev/null
"$work/build/consumer"
echo "install: ok"
