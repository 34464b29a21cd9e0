"""Hidden units in another order."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from quire.common.layers.permute import UnitAxis, permute_units, read, written


def net():
    return nnx.Sequential(
        nnx.Linear(3, 4, rngs=nnx.Rngs(0)), nnx.LayerNorm(4, rngs=nnx.Rngs(1)), nnx.Linear(4, 2, rngs=nnx.Rngs(2))
    )


def units(model):
    return written(model, ("layers", 0), ("layers", 1)) + read(model, ("layers", 2))


def with_random_parameters(model):
    graph, state = nnx.split(model)
    rng = np.random.default_rng(0)
    flat = [(p, x.replace(jnp.asarray(rng.standard_normal(x.shape), jnp.float32))) for p, x in nnx.to_flat_state(state)]
    return nnx.merge(graph, nnx.from_flat_state(flat))


def test_the_function_stays_and_the_rows_move():
    model, order = with_random_parameters(net()), np.array([2, 0, 3, 1])
    x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    before = np.asarray(model.layers[0].kernel[...])
    permuted = permute_units(model, [(order, units(model))])
    np.testing.assert_allclose(permuted(x), model(x), atol=1e-5)
    assert np.array_equal(permuted.layers[0].kernel[...], before[:, order])
    assert np.array_equal(model.layers[0].kernel[...], before)


def test_every_axis_matters():
    model, order = with_random_parameters(net()), np.array([2, 0, 3, 1])
    x = np.random.default_rng(1).standard_normal((5, 3)).astype(np.float32)
    every = units(model)
    assert len(every) == 5
    for left_out in range(len(every)):
        some = every[:left_out] + every[left_out + 1 :]
        assert np.abs(permute_units(model, [(order, some)])(x) - model(x)).max() > 1e-2


def test_units_that_repeat_and_units_of_several_numbers():
    model = nnx.Sequential(nnx.Linear(2, 12, use_bias=False, rngs=nnx.Rngs(0)))
    axis = UnitAxis(("layers", 0, "kernel"), 1, outer=2, inner=3)
    permuted = permute_units(model, [(np.array([1, 0]), [axis])])
    kernel = np.asarray(model.layers[0].kernel[...]).reshape(2, 2, 2, 3)
    assert np.array_equal(permuted.layers[0].kernel[...], kernel[:, :, ::-1].reshape(2, 12))


def test_errors():
    model = net()
    with pytest.raises(ValueError, match="every number from 0 to 3 once"):
        permute_units(model, [(np.array([0, 0, 1, 2]), units(model))])
    with pytest.raises(ValueError, match="axis -1 needs 3 entries"):
        permute_units(model, [(np.array([0, 2, 1]), units(model))])
    with pytest.raises(ValueError, match="no such variable"):
        permute_units(model, [(np.array([1, 0]), [UnitAxis(("layers", 9, "kernel"), 0)])])
    with pytest.raises(ValueError, match="no variables there"):
        written(model, ("layers", 7))
    with pytest.raises(ValueError, match="0 of these modules have a kernel"):
        read(model, ("layers", 1))
