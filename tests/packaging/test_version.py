"""One version for everything: what names it agrees, and what sets it sets all of it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.packaging


def run(folder, *arguments):
    return subprocess.run([sys.executable, folder / "ci/version.py", *arguments], capture_output=True, text=True)


@pytest.fixture
def checkout(tmp_path):
    for name in ("ci/version.py", "pyproject.toml", "common/pyproject.toml", "papers/crate/pyproject.toml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_every_package_and_the_citation_have_the_version_of_the_root():
    assert run(ROOT).returncode == 0
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[1]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {version}" in (ROOT / "CHANGELOG.md").read_text()


def test_a_new_version_goes_everywhere(checkout):
    assert run(checkout, "0.7.1").returncode == 0 == run(checkout).returncode
    paper, common = ((checkout / path / "pyproject.toml").read_text() for path in ("papers/crate", "common"))
    assert 'version = "0.7.1"' in paper and '"quire-common~=0.7.1"' in paper
    assert 'version = "0.7.1"' in common and 'name = "quire-common"' in common


def test_a_package_with_another_version_is_named(checkout):
    file = checkout / "papers/crate/pyproject.toml"
    file.write_text(file.read_text().replace('version = "', 'version = "9'))
    done = run(checkout)
    assert done.returncode == 1 and "papers/crate/pyproject.toml: not at" in done.stdout
    assert run(checkout, "two").returncode == 1
