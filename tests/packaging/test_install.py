"""Wheels: built, installed into an empty environment, used outside the tree."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = shutil.which("uv") or shutil.which("uv", path=ROOT / ".uv/bin")

pytestmark = [pytest.mark.packaging, pytest.mark.skipif(UV is None, reason="uv is not installed; `make test` brings it")]

USE = """
import importlib.util, pathlib, sys
import jax.numpy as jnp, numpy as np
from flax import nnx
import quire.common, quire.crate
from quire.crate import CRATE, CRATEConfig, load_classifier
assert "site-packages" in quire.crate.__file__, quire.crate.__file__
arrays = np.load(sys.argv[1])
state = {k.removeprefix("classifier/param/"): arrays[k] for k in arrays.files if k.startswith("classifier/param/")}
image = arrays["classifier/img_nchw"].transpose(0, 2, 3, 1)
model = load_classifier(state, num_heads=arrays["theory/U"].shape[0], image_size=image.shape[1:3])
np.testing.assert_allclose(model(jnp.asarray(image)), arrays["classifier/logits"], atol=1e-4)
print("loaded")
"""


def call(*command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=540, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    call(UV, "build", "--all-packages", "--wheel", "-o", folder, cwd=ROOT)
    return folder


def test_wheels_hold_their_package_and_nothing_else(wheels):
    import zipfile

    built = sorted(wheels.glob("*.whl"))
    assert len(built) == 1 + len(list(ROOT.glob("papers/*/pyproject.toml")))
    for wheel in built:
        leaf = wheel.name.split("-")[0].removeprefix("quire_")
        names = [name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")]
        assert f"quire/{leaf}/py.typed" in names
        assert all(name.startswith((f"quire/{leaf}/", f"quire_{leaf}-")) for name in names), names


def test_an_installed_paper_works_outside_the_tree(wheels, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV", "QUIRE_DATA"}}
    call(UV, "venv", "--python", sys.executable, tmp_path / "venv", env=environment)
    python = tmp_path / "venv/bin/python"
    pins = tmp_path / "pins.txt"
    freeze = call(UV, "pip", "freeze", "--python", sys.executable)
    pins.write_text("\n".join(line for line in freeze.splitlines() if "==" in line))
    chosen = [next(wheels.glob(f"quire_{name}-*.whl")) for name in ("common", "crate")]
    call(UV, "pip", "install", "--quiet", "--python", python, "-c", pins, *chosen, env=environment)
    assert "loaded" in call(python, "-c", USE, ROOT / "tests/golden/crate.npz", cwd=tmp_path, env=environment)
    out = call(tmp_path / "venv/bin/quire", "run", "crate", "--claim", "C4", "--json", cwd=tmp_path, env=environment)
    assert json.loads(out)["claims"][0]["verdict"] == "reproduced"
    assert [
        p["slug"] for p in json.loads(call(tmp_path / "venv/bin/quire", "list", "--json", cwd=tmp_path, env=environment))
    ] == ["crate"]
