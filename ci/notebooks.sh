#!/usr/bin/env bash
# Executes the notebooks, each a test; with --overwrite the results are written back.
set -euo pipefail
cd "$(dirname "$0")/.."
python -m pytest --nbmake --nbmake-kernel=python3 --nbmake-timeout=600 -n 2 "$@" notebooks/*.ipynb
