"""What models and functions cost."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.convolution import conv_nd
from quire.common.metrics.cost import count_params, macs, tree_bytes


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_costs_of_a_convolution_in_a_scan():
    def repeated(x, kernel):
        step = lambda x, _: (jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", feature_group_count=2), None)  # noqa: E731
        return jax.lax.scan(step, x, None, length=3)[0]

    x, kernel = jax.ShapeDtypeStruct((1, 4, 6, 6), jnp.float32), jax.ShapeDtypeStruct((4, 2, 3, 3), jnp.float32)
    assert macs(repeated, x, kernel) == 3 * (4 * 6 * 6) * (2 * 9)
    image, channels_last = jnp.zeros((2, 6, 6, 4)), jnp.zeros((3, 3, 4, 5))
    for impl in ("xla", "canonical", "im2col", "shifted"):
        assert macs(partial(conv_nd, impl=impl), image, channels_last) == (2 * 6 * 6 * 5) * (9 * 4)
    assert count_params(nnx.eval_shape(lambda: nnx.Linear(1000, 7, rngs=nnx.Rngs(0)))) == 7007
    shared = np.zeros(4, np.float16)
    assert tree_bytes([shared, shared, jnp.zeros(3, jnp.float8_e4m3fn)]) == 11
    assert tree_bytes({"keys": jax.random.split(jax.random.key(0), 3)}) == 24
    with pytest.raises(ValueError, match="while loop"):
        macs(lambda a: jax.lax.while_loop(lambda a: a.sum() < 9, lambda a: a @ a, a), jnp.ones((2, 2)))
