#!/usr/bin/env bash
# Format and include order, as scripts/test.sh checks them, in a second: for .git/hooks/pre-commit.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
scripts/check_includes.py
scripts/check_format.sh
