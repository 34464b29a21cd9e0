#!/usr/bin/env bash
# The claims of two papers at quick, then the report.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .build/demo
status=0
quire run tensor_attention crate --out .build/demo || status=$?
quire report --records .build/demo --out .build/report
exit "$status"
