#!/usr/bin/env bash
# Style, layout, types.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "== lint"
ruff check .
ruff format --check .
ty check --error-on-warning --output-format concise
python ci/version.py
