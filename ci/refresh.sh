#!/usr/bin/env bash
# Gathers what the shards published and opens one pull request with notebooks, records and tables: `ci/refresh.sh FOLDER`. Every
# shard uploads the whole folders, so only files that differ from the checkout are its own.
set -euo pipefail
cd "$(dirname "$0")/.."
for shard in "$1"/*/; do
    (cd "$shard" && find . -type f) | while read -r file; do
        if ! git diff --quiet --no-index -- "$file" "$shard$file"; then cp "$shard$file" "$file.new"; fi
    done
done
find notebooks papers -name '*.new' | while read -r file; do mv "$file" "${file%.new}"; done
python ci/tables.py
if git diff --quiet; then exit 0; fi
branch=refresh-$(date -u +%Y-%m-%d)
git switch -c "$branch"
git -c user.name=quire -c user.email=quire@users.noreply.github.com commit -qam "Records, notebooks and scoreboard of $(date -u +%Y-%m-%d)"
git push -u origin "$branch"
gh pr create --fill --head "$branch"
