"""Checks of arguments look at numbers that are known, also inside `jit`, and let those pass that are traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quire.common.checks import at_least_float32, check_finite, check_ids, check_positive
from quire.common.layers.tensor_attention import low_rank_tensor_attention
from quire.common.quant.uniform import code_range


@pytest.mark.parametrize("ids", [np.array([0, 3]), jnp.array([0, 3]), jnp.array(3)])
def test_known_ids_are_looked_at_inside_jit(ids):
    size = 4
    jax.jit(lambda x: (check_ids("ids", ids, size), x)[1])(1.0)
    with pytest.raises(ValueError, match="ids runs from"):
        jax.jit(lambda x: (check_ids("ids", ids, 3), x)[1])(1.0)


def test_traced_ids_pass_by_dtype():
    jax.jit(lambda ids: (check_ids("ids", ids, 1), ids)[1])(jnp.array([7]))
    with pytest.raises(ValueError, match="ids are integers"):
        jax.jit(lambda ids: (check_ids("ids", ids, 1), ids)[1])(jnp.array([0.5]))


def test_known_scalars_are_looked_at_inside_jit():
    known = jnp.float32(0)
    with pytest.raises(ValueError, match="eps is 0"):
        jax.jit(lambda x: (check_positive("eps", known), x)[1])(1.0)
    bits = jnp.int32(17)
    with pytest.raises(ValueError, match="bits is 17"):
        jax.jit(lambda x: (code_range(bits), x)[1])(1.0)


def test_known_masks_are_looked_at_inside_jit():
    x, masks = jnp.ones((2, 3)), [jnp.ones((1, 2), bool), jnp.zeros((1, 2), bool)]
    with pytest.raises(ValueError, match="without any token"):
        jax.jit(lambda q: low_rank_tensor_attention(q, [x, x], [x, x], degree=2, radius=1.0, masks=masks))(x)


def test_half_precision_is_widened_and_the_rest_stays():
    given = jnp.zeros(1, jnp.float16), np.zeros(1, bool), jnp.zeros(1)
    assert {x.dtype.name for x in at_least_float32(*given)} == {"float32"}
    with jax.enable_x64():
        assert at_least_float32(np.zeros(1))[0].dtype == np.float64


def test_numbers_that_are_not_finite_are_counted_unless_they_are_traced():
    with pytest.raises(ValueError, match="x has 2 numbers that are not finite"):
        check_finite("x", np.array([np.nan, np.inf, 1.0]))
    check_finite("x", jnp.ones(2, jnp.bfloat16))
    assert jax.jit(lambda x: (check_finite("x", x), x)[1])(jnp.array(1.0)) == 1
