#!/usr/bin/env bash
# Measures every claim at quick, publishes the records, and makes the tables of the READMEs from them.
set -euo pipefail
cd "$(dirname "$0")/.."
for paper in ${1:-$(ls papers)}; do
    quire run "$paper" --out .build/records
    mkdir -p "papers/$paper/records"
    cp ".build/records/$paper.quick.json" "papers/$paper/records/quick.json"
done
python ci/tables.py
