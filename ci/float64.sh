#!/usr/bin/env bash
# Every claim of some papers, or of all, runs with JAX_ENABLE_X64=1. Other verdicts are shown; only a claim that does not run fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export JAX_ENABLE_X64=1
for paper in "${@:-$(ls papers)}"; do
    for slug in $paper; do
        python - "$slug" <<'PYTHON'
import sys

from quire.common.claims import run
from quire.common.claims.display import surprises

wrong, undecided = surprises(run(sys.argv[1]).entries())
print(f"{sys.argv[1]}: every claim ran" + "".join(f"; {one}" for one in (*wrong, *undecided)))
PYTHON
    done
done
