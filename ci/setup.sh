#!/usr/bin/env bash
# Makes .venv with every member of the workspace; brings uv along when the machine has none.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "quire needs Python 3.11 or newer; $python is $("$python" --version 2>&1 || echo missing). Say which: make PYTHON=python3.12 ..." >&2
    exit 2
fi
# uv does not read pip's settings: hand a configured package index on.
if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    index=${PIP_INDEX_URL:-$("$python" -m pip config get global.index-url 2>/dev/null || true)}
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
fi
if ! command -v uv >/dev/null; then
    "$python" -m venv .uv
    .uv/bin/python -m pip install --quiet "uv>=0.9,<1"
fi
extra=${QUIRE_EXTRA:+--extra $QUIRE_EXTRA}  # cuda or tpu: which JAX build
# shellcheck disable=SC2086
uv sync --quiet --compile-bytecode --all-packages --python "$("$python" -c 'import sys; print(sys.executable)')" $extra
