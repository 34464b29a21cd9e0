"""Roots and lengths with a derivative everywhere."""

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.roots import length, root
from quire.common.testing import assert_degenerate, assert_dtypes


def test_lengths_have_a_slope_at_zero_and_keep_nan(as_installed):
    assert_degenerate(length, np.array([[3.0, 4.0]], np.float32), scales=(1e-15, 1e6))
    assert_dtypes(length, np.array([[3.0, -4.0], [1.0, 2.0]]))
    assert jax.grad(root)(0.0) == 0
    with jax.debug_nans(False):
        assert np.isnan(root(jnp.array(jnp.nan, jnp.bfloat16)))
