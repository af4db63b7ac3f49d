#!/usr/bin/env bash
# Fails and shows the difference where a source is not as clang-format 14 would write it;
# `scripts/check_format.sh --fix` writes it so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mapfile -t files < <(git ls-files --cached --others --exclude-standard \
  '*.h' '*.cpp' '*.cu' '*.cuh' | grep -v '^build')
if [ "${1:-}" = --fix ]; then
  clang-format -i "${files[@]}"
else
  clang-format --dry-run --Werror "${files[@]}"
  echo "format: ok"
fi
