"""`quire new`: the paper it writes is checked as any other is, by its tests, the linter and its notebook."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from quire.common.cli.scaffold import scaffold

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.packaging


def call(folder, command, **environment):
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkout")
    for path in ("pyproject.toml", "tests/conftest.py"):
        (root / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, root / path)
    scaffold(root, "fresh_paper", "A fresh paper")
    return root


@pytest.fixture
def source_path(checkout):
    return {"PYTHONPATH": f"{checkout / 'papers/fresh_paper/src'}:{ROOT / 'common/src'}"}


def test_its_tests_pass(checkout, source_path):
    call(checkout, "pytest -q -p no:cacheprovider tests papers --doctest-modules", **source_path)


def test_the_linter_has_nothing_to_say(checkout):
    for command in ("check", "format --check"):
        call(checkout, f"ruff {command} --no-cache papers tests notebooks")


def test_its_notebook_runs_and_its_claims_end_as_expected(checkout, source_path):
    call(checkout, "pytest -q -p no:cacheprovider --nbmake --nbmake-kernel=python3 notebooks", **source_path)
