#!/usr/bin/env bash
# The site in .build/site, from what CI executed; nothing is executed and nothing fetched.
set -euo pipefail
cd "$(dirname "$0")/.."
python docs/pages.py .build/site-source
sphinx-build --quiet --fail-on-warning --keep-going -j 2 -b html .build/site-source .build/site
python docs/check_links.py .build/site
