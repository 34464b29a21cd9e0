#!/usr/bin/env bash
# What the change since a commit affects: lint, tests, doctests, notebooks. `ci/check.sh REF`; the nearest of origin/main, main and the
# commit before this one stands in for a REF that does not exist.
set -euo pipefail
cd "$(dirname "$0")/.."
ref=$(python ci/lanes.py ref "${1:-}")
affected=$(quire affected --since "$ref")
list() { sed -n "s/^$1: //p" <<<"$affected"; }
mapfile -t tests < <(list tests; list doctests)
mapfile -t papers < <(list papers)
ci/lint.sh
echo "== since $ref: ${#tests[@]} files of tests and doctests"
if [ ${#tests[@]} -gt 0 ]; then
    status=0
    python -m pytest -n 2 --dist loadfile -m "not records" --doctest-modules "${tests[@]}" || status=$?
    if [ "$status" -ne 0 ] && [ "$status" -ne 5 ]; then exit "$status"; fi  # 5: files without a test or a doctest
fi
echo "== since $ref: notebooks of ${#papers[@]} papers"
if [ ${#papers[@]} -gt 0 ]; then ci/notebooks.sh "${papers[@]}"; fi
