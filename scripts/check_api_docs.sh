#!/usr/bin/env bash
# Builds the reference of the public headers (build/api/html) where Doxygen is installed; a warning
# fails.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v doxygen >/dev/null; then
  echo "api docs: skipped (doxygen is not installed)"
  exit 0
fi
mkdir -p build
doxygen docs/Doxyfile
echo "api docs: ok"
