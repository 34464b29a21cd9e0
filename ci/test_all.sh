#!/usr/bin/env bash
# Everything, however long it takes: what a release needs.
set -euo pipefail
cd "$(dirname "$0")/.."
ci/lint.sh
echo "== all tests and doctests with XLA's default flags, records against sources"
XLA_FLAGS='' python -m pytest -n 2 --dist loadfile --doctest-modules tests common/src papers/*/src
echo "== all notebooks with XLA's default flags, claims by the clock included"
XLA_FLAGS='' ci/notebooks.sh --gate-undecided
echo "== every claim in a process with float64"
ci/float64.sh
