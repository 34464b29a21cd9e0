#!/usr/bin/env bash
# Executes notebooks under the guard, each a test; see ci/notebooks.py for the options.
set -euo pipefail
cd "$(dirname "$0")/.."
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}
for option in "$@"; do  # what is published says what it costs cold
    if [ "$option" = --write ]; then unset JAX_COMPILATION_CACHE_DIR; fi
done
exec python ci/notebooks.py "$@"
