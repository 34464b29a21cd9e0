#!/usr/bin/env bash
# Style and layout.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "== lint"
ruff check .
ruff format --check .
python ci/version.py
