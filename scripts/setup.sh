#!/usr/bin/env bash
# Installs what libfcc is built with: Debian packages, and LibTorch unpacked into a cache that all
# clones share. Run it again at any time: what is there already costs nothing.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: scripts/setup.sh [--cpu | --cuda] [--no-parquet] [--no-python] [--transformers] [--prefix DIR]

  --cpu    LibTorch for a build without GPU code (1.2 GB)
  --cuda   and the CUDA libraries that torch's GPU code loads (3.9 GB)
           default: --cuda where nvcc is on the PATH, else --cpu
  --no-parquet  without Arrow C++ (0.1 GB), by which fcc-data and pairs read Parquet files
  --no-python   without what builds and tests the Python package inside a build (0.1 GB)
  --transformers  PyTorch's Python files and Hugging Face transformers, by which the tests compare exported
                models (0.1 GB, with an older cache 0.6); with --cuda and Python 3.11 alone
  --prefix DIR  no root: libraries that are missing are unpacked into DIR, and DIR/env.sh says where;
           the compiler, git and Python must be there, else the packages that root must install are named

LibTorch goes to $FCC_CACHE (default ~/.cache/libfcc). Debian packages are installed by apt-get as
root, or with sudo.
TEXT
}

kind=cpu
command -v nvcc >/dev/null && kind=cuda
parquet=yes
python=yes
transformers=no
prefix=
while (($#)); do
  argument=$1
  shift
  case "$argument" in
    --prefix) prefix=${1:?--prefix needs a folder}; shift ;;
    --prefix=*) prefix=${argument#*=} ;;
    --cpu) kind=cpu ;;
    --cuda) kind=cuda ;;
    --no-parquet) parquet=no ;;
    --no-python) python=no ;;
    --transformers) transformers=yes ;;
    --parquet) ;; # the default by now
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${FCC_CACHE:-$HOME/.cache/libfcc}
torch=$cache/torch-2.11.0
arrow=$cache/pyarrow-26.0.1
tools=$cache/python-1
hugging=$cache/transformers-1

say() { printf 'setup: %s\n' "$*"; }

# --- Debian packages -----------------------------------------------------------------------------
packages=(g++ cmake ninja-build ccache pkg-config git python3 python3-dev python3-pip clang-format
  libssl-dev libsentencepiece-dev nlohmann-json3-dev libspdlog-dev libcli11-dev libpcre2-dev
  libzstd-dev zlib1g-dev libgtest-dev)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
# Without root: what a package holds works from another folder, where that is told (env.sh).
unpack_packages() { # unpack_packages FOLDER PACKAGE...
  local target=$1 work arch
  shift
  arch=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
  mkdir -p "$target"
  target=$(cd "$target" && pwd)
  work=$(mktemp -d "$target/.unpack-XXXXXX")
  # apt says which packages these need that are not there yet.
  apt-get install --simulate --reinstall -qq --no-install-recommends "$@" |
    awk '$1 == "Inst" { print $2 }' | sort -u > "$work/names"
  (cd "$work" && xargs -r apt-get download -qq < names)
  for file in "$work"/*.deb; do
    dpkg-deb -x "$file" "$target"
  done
  rm -rf "$work"
  # Libraries that the system has already are not unpacked again.
  find "$target/usr/lib" -xtype l -name '*.so*' 2>/dev/null | while read -r link; do
    if [ -e "/usr/lib/$arch/$(readlink "$link")" ]; then
      ln -sf "/usr/lib/$arch/$(readlink "$link")" "$link"
    fi
  done
  find "$target" -name '*.pc' -exec sed -i "s#=/usr#=$target/usr#" {} +
  cat > "$target/env.sh" <<TEXT
# Read by: . $target/env.sh
export PATH="$target/usr/bin:\$PATH"
export CMAKE_PREFIX_PATH="$target/usr\${CMAKE_PREFIX_PATH:+:\$CMAKE_PREFIX_PATH}"
export PKG_CONFIG_PATH="$target/usr/lib/$arch/pkgconfig:$target/usr/lib/pkgconfig:$target/usr/share/pkgconfig\${PKG_CONFIG_PATH:+:\$PKG_CONFIG_PATH}"
export LD_LIBRARY_PATH="$target/usr/lib/$arch\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
TEXT
}

if ((${#missing[@]})); then
  if ! command -v apt-get >/dev/null; then
    say "this script knows Debian and Ubuntu only; please install: ${missing[*]}" >&2
    exit 1
  fi
  if [ -n "$prefix" ]; then
    by_root=() unpacked=()
    for package in "${missing[@]}"; do
      case "$package" in
        g++ | git | python3 | python3-pip) by_root+=("$package") ;;
        clang-format | python3-dev) ;; # no build needs them
        *) unpacked+=("$package") ;;
      esac
    done
    if ((${#by_root[@]})); then
      say "root must install: ${by_root[*]}" >&2
      exit 1
    fi
    if ((${#unpacked[@]})); then
      say "unpacking into $prefix: ${unpacked[*]}"
      unpack_packages "$prefix" "${unpacked[@]}"
      say "before building: . $prefix/env.sh"
    fi
  else
    root=()
    if [ "$(id -u)" != 0 ]; then
      if ! command -v sudo >/dev/null; then
        say "run as root, or let root install: ${missing[*]}; or --prefix DIR unpacks the libraries" >&2
        exit 1
      fi
      root=(sudo)
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    "${root[@]}" apt-get update -qq
    "${root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  fi
fi

# --- LibTorch ------------------------------------------------------------------------------------
# Wheels are fetched for one fixed Python, whatever runs here: only their C++ parts are unpacked.
unpack() { # unpack LIST MARKER FOLDER [REGULAR EXPRESSION OF FURTHER FILES]
  local target=$3
  [ -e "$target/$2" ] && return
  mkdir -p "$cache"
  local work
  work=$(mktemp -d "$cache/.unpack-XXXXXX")
  trap 'rm -rf "$work"' EXIT
  say "downloading and checking $(grep -c '==' "$1") packages ($(basename "$1" .txt))"
  local platforms=()
  for tag in 2_28 2_27 2_25 2_18 2_17; do platforms+=(--platform "manylinux_${tag}_x86_64"); done
  for tag in 2014 2010 1; do platforms+=(--platform "manylinux${tag}_x86_64"); done
  python3 -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
    --require-hashes --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
    --abi none "${platforms[@]}" --dest "$work" --requirement "$1"
  say "unpacking to $target"
  mkdir -p "$target"
  python3 - "$work" "$target" "${4:-}" <<'PYTHON'
import pathlib, re, sys, zipfile
wanted = re.compile(r"(torch/(lib|include)/|nvidia/[^/]+/lib/|[^/]+\.dist-info/"
                    r"|nvidia/cudnn/include/|include/cudnn_"
                    r"|pyarrow/(include/|lib(arrow|parquet)\.so)" + (f"|{sys.argv[3]}" if sys.argv[3] else "") + ")")
target = pathlib.Path(sys.argv[2])
for wheel in sorted(pathlib.Path(sys.argv[1]).glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            place = target / entry.filename
            # A file of an earlier list stays as it is: a program may have it open.
            if wanted.match(entry.filename) and not (place.is_file() and place.stat().st_size == entry.file_size):
                archive.extract(entry, target)
PYTHON
  touch "$target/$2"
  rm -rf "$work"
  trap - EXIT
}
# PyTorch as Python imports it: where CUDA's libraries, which it loads, are there and its wheel fits.
if [ "$transformers" = yes ]; then
  if [ "$kind" != cuda ]; then
    say "--transformers is for --cuda alone: PyTorch cannot be imported without CUDA's libraries"
    transformers=no
  elif [ "$(python3 -c 'import sys; print(*sys.version_info[:2])')" != "3 11" ]; then
    say "--transformers is for Python 3.11 alone, as the wheel of LibTorch is"
    transformers=no
  fi
fi
python_files='(torch|torchgen)/.*\.py$|torch/_C\.|torch/bin/torch_shm_manager'
if [ "$transformers" = yes ] && [ ! -e "$torch/cpu.complete" ]; then
  unpack "$here/wheels/cpu.txt" cpu.complete "$torch" "$python_files"
  touch "$torch/torch-python.complete"
fi
unpack "$here/wheels/cpu.txt" cpu.complete "$torch"
if [ "$kind" = cuda ]; then
  unpack "$here/wheels/cuda.txt" cuda.complete "$torch"
  unpack "$here/wheels/cudnn.txt" cudnn.complete "$torch"
fi
if [ "$parquet" = yes ]; then
  # Where the wheel cannot be had, the build goes on without Parquet, and says so.
  set +e # not `||`, inside which a failure would be passed over
  (set -e; unpack "$here/wheels/parquet.txt" parquet.complete "$arrow")
  fetched=$?
  set -e
  if [ "$fetched" != 0 ]; then
    say "Arrow C++ could not be fetched: builds will read no Parquet files"
  fi
fi
# --- The Python package's tools --------------------------------------------------------------------
# nanobind builds it, numpy and pytest test it; for whichever Python this is.
if [ "$python" = yes ] && [ ! -e "$tools/python.complete" ]; then
  say "fetching nanobind, numpy and pytest"
  if python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-cache-dir --no-deps --require-hashes \
    --only-binary=:all: --upgrade --target "$tools" --requirement "$here/wheels/python.txt"; then
    touch "$tools/python.complete"
  else
    say "they could not be fetched: builds will leave out the Python package and its tests"
  fi
fi
# --- transformers ----------------------------------------------------------------------------------
if [ "$transformers" = yes ]; then
  # A cache that was filled without them gets PyTorch's Python files from the wheel of its LibTorch.
  list=$(mktemp)
  grep '^torch==' "$here/wheels/cpu.txt" > "$list"
  unpack "$list" torch-python.complete "$torch" "$python_files"
  rm -f "$list"
  if [ ! -e "$hugging/transformers.complete" ]; then
    say "fetching transformers"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-cache-dir --no-deps --require-hashes \
      --only-binary=:all: --upgrade --target "$hugging" --requirement "$here/wheels/transformers.txt"
    # This Python with all of it: what FCC_PYTHON may name, and what the tests take where it is not set.
    cat > "$hugging/python" <<TEXT
#!/bin/sh
PYTHONPATH="$hugging:$torch:$tools\${PYTHONPATH:+:\$PYTHONPATH}" exec "$(python3 -c 'import sys; print(sys.executable)')" "\$@"
TEXT
    chmod +x "$hugging/python"
    touch "$hugging/transformers.complete"
  fi
fi
say "ready ($kind): LibTorch in $torch"
