#!/usr/bin/env bash
# What must pass before a change lands.
set -euo pipefail
cd "$(dirname "$0")/.."
ci/lint.sh
echo "== unit, golden, property, conformance and packaging tests, doctests"
python -m pytest -p no:nbmake -n 2 --dist loadfile -m "not records" --doctest-modules tests common/src papers/*/src
echo "== records that were measured with other sources"
quire stale --why || true
echo "== notebooks"
mapfile -t papers < <(python ci/lanes.py test)
if [ ${#papers[@]} -gt 0 ]; then ci/notebooks.sh "${papers[@]}"; fi
