"""Builds a wheel and an sdist of every package into `dist`, and tries them as users will.

Metadata by twine; then each wheel is installed alone into an empty environment, with quire-common from the folder and everything
else from the package index, and imported outside the tree. With `--tag v0.2.0`: refuses a tag that is not the version.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from version import ROOT, current

DIST = ROOT / "dist"
IMPORT = """
import importlib, sys
from importlib.metadata import entry_points
module = importlib.import_module(f"quire.{sys.argv[1]}")
assert "site-packages" in module.__file__, module.__file__
found = [point.load().slug for point in entry_points(group="quire.papers")]
assert found == [slug for slug in sys.argv[1:] if slug != "common"], found
"""


def call(*command: str | Path, **options) -> None:
    """Run a command; on failure, stop with what it printed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def installs_alone(wheel: Path) -> None:
    """Install one wheel from the folder into an empty environment and import it."""
    name = wheel.name.split("-")[0].removeprefix("quire_")
    outside = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV", "QUIRE_DATA"}}
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "venv/bin/python"
        call("uv", "venv", "--quiet", "--python", sys.executable, python.parents[1], env=outside)
        call("uv", "pip", "install", "--quiet", "--python", python, "--find-links", DIST, wheel, cwd=folder, env=outside)
        call(python, "-c", IMPORT, name, cwd=folder, env=outside)
    print(f"installs alone: {wheel.name}", flush=True)


def main(arguments: list[str]) -> None:
    """Build, check, try."""
    if arguments[:1] == ["--tag"] and arguments[1:] != [f"v{current()}"]:
        sys.exit(f"the tag is {' '.join(arguments[1:])}; the packages are at v{current()}")
    shutil.rmtree(DIST, ignore_errors=True)
    call("uv", "build", "--all-packages", "--quiet", "--out-dir", DIST, cwd=ROOT)
    wheels = sorted(DIST.glob("*.whl"))
    sources = sorted(DIST.glob("*.tar.gz"))
    packages = 1 + len(list(ROOT.glob("papers/*/pyproject.toml")))
    if not len(wheels) == len(sources) == packages:
        sys.exit(f"{len(wheels)} wheels and {len(sources)} sdists of {packages} packages")
    call(sys.executable, "-m", "twine", "check", "--strict", *wheels, *sources)
    print(f"metadata of {len(wheels)} wheels and {len(sources)} sdists are in order", flush=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(installs_alone, wheels))


if __name__ == "__main__":
    main(sys.argv[1:])
