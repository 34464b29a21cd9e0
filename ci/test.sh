#!/usr/bin/env bash
# Everything that must pass before a change lands.
set -euo pipefail
cd "$(dirname "$0")/.."
echo "== lint"
ruff check .
ruff format --check .
echo "== unit, golden, property, conformance and packaging tests, doctests"
python -m pytest -n 2 --dist loadscope tests
python -m pytest --doctest-modules common/src papers/*/src
echo "== notebooks"
ci/notebooks.sh
