"""Strict JAX and the golden vectors for every test."""

import os
from pathlib import Path

import jax
import pytest
from jaxtyping import config as jaxtyping_config
from jaxtyping import install_import_hook

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_nans", True)
jax.config.update("jax_default_matmul_precision", "highest")

# Python's numeric tower: where a float is wanted, an int will do.
_hook = install_import_hook("quire", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

from quire.common.testing import Golden  # noqa: E402  (after the hook, so that shapes are checked)

HERE = Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption("--golden", metavar="DIR", default=str(HERE / "golden"), help="folder of the golden vectors, <slug>.npz")


@pytest.fixture(scope="session")
def golden(request):
    """`golden("crate")` reads the golden vectors of a paper from the folder that `--golden` names."""
    folder = Path(request.config.getoption("--golden"))

    def read(slug: str) -> Golden:
        file = folder / f"{slug}.npz"
        if not file.exists():
            file = folder / f"{slug.replace('_', '-')}.npz"
        if not file.exists():
            pytest.skip(f"no golden vectors of {slug} in {folder}")
        return Golden(file)

    return read


@pytest.fixture
def as_installed():
    """The library as a user has it: without the shape checks of the tests, so that its own errors show."""
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def quire_data() -> Path:
    """The folder that `QUIRE_DATA` names; tests that need it skip without it."""
    folder = os.environ.get("QUIRE_DATA")
    if not folder:
        pytest.skip("QUIRE_DATA is not set; it names a folder with one sub-folder per data set")
    return Path(folder)
