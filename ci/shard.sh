#!/usr/bin/env bash
# One of several shards of everything, as ci/test_all.sh runs it: `ci/shard.sh 0 8`. Papers are packed by their recorded seconds;
# notebooks and records are published into the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
index=$1 count=$2
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}
mapfile -t papers < <(python ci/lanes.py shard "$index" "$count")
tests=()
number=0
for file in tests/common/test_*.py tests/packaging/test_*.py; do
    if [ $((number++ % count)) -eq "$index" ]; then tests+=("$file"); fi
done
for paper in "${papers[@]}"; do
    tests+=(tests/papers/test_"$paper"*.py "papers/$paper/src")
done
if [ "$index" -eq 0 ]; then
    ci/lint.sh
    tests+=(common/src)
fi
XLA_FLAGS='' python -m pytest -n 2 --dist loadfile -m "not records" --doctest-modules "${tests[@]}"
if [ ${#papers[@]} -gt 0 ]; then
    ci/notebooks.sh --write "${papers[@]}"
    ci/float64.sh "${papers[@]}"
fi
