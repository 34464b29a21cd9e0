"""Identities measured in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.claims.criteria import all_of, below
from quire.common.claims.identity import identity

HOLDS = all_of(below(1e-12), below(1e-5, of="float32"))


def third(dtype):
    return abs(float(jnp.asarray(1, dtype) / 3) - 1 / 3)


def test_the_value_is_double_and_single_stands_beside():
    measured = identity(third, "a third")
    assert measured.value < 1e-15
    assert 1e-9 < measured.extras["float32"] < 1e-7
    assert HOLDS.judge([measured]).verdict == "reproduced"


@pytest.mark.parametrize("outside", [False, True])
def test_precision_is_set_whatever_the_process_has(outside):
    seen = []

    def error(dtype):
        seen.append((dtype, jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision, jnp.ones(1, dtype).dtype))
        return 0.0

    with jax.enable_x64(outside):
        identity(error, "nothing")
        assert jax.config.jax_enable_x64 is outside
    assert seen == [(jnp.float64, True, "highest", np.float64), (jnp.float32, False, "highest", np.float32)]


@pytest.mark.parametrize("errors", [[0.0, np.nan], [np.nan, 0.0], {"one": 0.0, "two": np.nan}])
def test_an_error_that_is_no_number_fails_the_claim(errors):
    measured = identity(lambda dtype: errors, "nothing")
    assert np.isnan(measured.value)
    assert HOLDS.judge([measured]).verdict == "not reproduced"


def test_named_errors_become_extras():
    measured = identity(lambda dtype: {"plain": 1e-16, "streamed": 2e-16}, "nothing", single=False, extras={"cases": 3})
    assert measured.value == 2e-16
    assert measured.extras == {"plain": 1e-16, "streamed": 2e-16, "cases": 3}


def test_no_error_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        identity(lambda dtype: [], "nothing")
