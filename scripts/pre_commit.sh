#!/usr/bin/env bash
# Format, include order and the reference of the public headers, as scripts/test.sh checks them, in
# seconds: for .git/hooks/pre-commit.
set -euo pipefail
cd "$(git rev-parse --show-toplevel)"
scripts/check_includes.py
scripts/check_format.sh
scripts/check_api_docs.sh
