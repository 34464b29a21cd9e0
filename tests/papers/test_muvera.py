"""MUVERA: Multi-Vector Retrieval via Fixed Dimensional Encodings: golden parity, properties, errors."""

import jax
import jax.numpy as jnp
import pytest

from quire.common.claims import run
from quire.common.testing import assert_close, assert_equivariant, assert_jit_consistent, assert_vmap_consistent, cast
from quire.muvera import paper, running_mean


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-12), (jnp.float32, 1e-6)])
def test_golden(golden, dtype, tolerance):
    with jax.enable_x64():
        case = cast(golden("muvera").case("running_mean"), dtype)
        assert_close(running_mean(case["x"]), case["y"], tolerance)


def test_shifts_and_scales_with_its_input():
    x = jax.random.normal(jax.random.key(0), (9,))

    def act(g, y):
        return g[0] * y + g[1]

    assert_equivariant(running_mean, x, elements=[(2.0, 0.0), (-1.0, 3.0)], act_in=act, act_out=act, tolerance=1e-5)


def test_jit_and_vmap():
    x = jax.random.normal(jax.random.key(1), (4, 9))
    assert_jit_consistent(running_mean, x)
    assert_vmap_consistent(running_mean, x)


def test_empty_input_is_refused():
    with pytest.raises(ValueError, match="x is empty"):
        running_mean(jnp.zeros((0,)))


def test_claims_end_as_expected():
    assert run(paper).as_expected
