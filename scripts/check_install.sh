#!/usr/bin/env bash
# Installs a build into an empty folder and moves it; checks that no path of the clone went along,
# that an account with no access to this one's files runs the programs, and that programs outside the
# project are built with the package (by CMake without a CUDA toolkit, and by pkg-config) and run.
# Then the same with the library as a shared one: the build folder is linked so, and back.
#
# usage: scripts/check_install.sh BUILD_FOLDER [static]     (static: without the shared library)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

die() {
  echo "install: $*" >&2
  exit 1
}

# As an account that can read neither the clone nor the cache, where this one may change to it.
as_another() {
  if [ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1; then
    setpriv --reuid=nobody --regid="$(id -g nobody)" --clear-groups env -i PATH=/usr/bin:/bin HOME=/ "$@"
  else
    env -i PATH=/usr/bin:/bin HOME=/ "$@"
  fi
}

check_prefix() { # PREFIX: an installation that was moved
  local prefix=$1 program leaks
  # The copy of LibTorch is as its makers built it.
  if leaks=$(find "$prefix" -path "$prefix/lib/fcc" -prune -o -type f -exec grep -lF "$root" {} + | grep .); then
    die "these files hold the path of the build: $leaks"
  fi
  [ -s "$prefix/share/doc/fcc/LICENSE" ] || die "the licence is missing"
  for program in "$prefix"/bin/fcc-*; do
    as_another "$program" --version >/dev/null || die "$program cannot be run by another account"
  done
  as_another "$prefix/bin/fcc-train" --print-keys >/dev/null || die "fcc-train cannot be run by another account"

  rm -rf "$work/consumer" "$work/consumer-build"
  cp -r "$root/tests/consumer" "$work/consumer"
  cmake -S "$work/consumer" -B "$work/consumer-build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    --no-warn-unused-cli -DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
  cmake --build "$work/consumer-build" >/dev/null
  as_another "$work/consumer-build/consumer"

  # The examples see the installed headers alone, so they show that these are enough.
  cmake -S "$root/examples" -B "$work/examples-build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    --no-warn-unused-cli -DCMAKE_DISABLE_FIND_PACKAGE_CUDAToolkit=ON -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
  cmake --build "$work/examples-build" >/dev/null
  ctest --test-dir "$work/examples-build" >/dev/null || die "an example fails with the installed library"
  rm -rf "$work/examples-build"

  local flags
  flags=$(PKG_CONFIG_PATH="$prefix/lib/pkgconfig" pkg-config --cflags --libs fcc)
  # shellcheck disable=SC2086
  ${CXX:-g++} "$work/consumer/main.cpp" -o "$work/by_pkg_config" $flags
  as_another "$work/by_pkg_config"
}

cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
check_prefix "$work/moved"
echo "install: ok"
if [ "${2:-}" = static ]; then
  exit 0
fi

# The same objects, linked to a shared library; LibTorch's copy is there already.
trap 'cmake -DBUILD_SHARED_LIBS=OFF "$build" >/dev/null; rm -rf "$work"' EXIT
cmake -DBUILD_SHARED_LIBS=ON "$build" >/dev/null
mapfile -t programs < <(basename -a "$work"/moved/bin/*)
cmake --build "$build" --target fcc "${programs[@]}" >/dev/null
cmake --install "$build" --component Unspecified --prefix "$work/shared" >/dev/null
mv "$work/moved/lib/fcc" "$work/shared/lib/fcc"
rm -rf "$work/moved"
mv "$work/shared" "$work/moved-shared"
[ -L "$work/moved-shared/lib/libfcc.so" ] || die "libfcc.so must be a link to the file of its version"
readelf -d "$work/moved-shared/lib/libfcc.so" | grep -q 'SONAME.*libfcc\.so\.0\.' ||
  die "libfcc.so must have a soname with its version"
if leaks=$(nm -D --defined-only "$work/moved-shared/lib/libfcc.so" | awk '$3 !~ /^_Z/ || $3 !~ /3fcc/' | grep .); then
  die "libfcc.so shows names that are not the project's: $(head -n 3 <<<"$leaks")"
fi
check_prefix "$work/moved-shared"
cmake -DBUILD_SHARED_LIBS=OFF "$build" >/dev/null
cmake --build "$build" --target "${programs[@]}" >/dev/null # as they were
echo "install of the shared library: ok"
