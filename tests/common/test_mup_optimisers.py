"""muP optimisers through `nnx.Optimizer`, which hands on arrays, and through bare optax on states, which hold parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from quire.common.mup.optimisers import mup_adam, mup_sgd, width_shapes

WIDTH, BASE = 16, 4


def build(width):
    rngs = nnx.Rngs(0)
    layers = nnx.Linear(3, width, rngs=rngs), nnx.Linear(width, width, rngs=rngs), nnx.Linear(width, 2, rngs=rngs)
    return nnx.Sequential(*layers)


def ones(params):
    return jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), params)


def moved(before, after):
    """How far a step of gradient one moved the kernel and the bias of each layer."""
    change = jax.tree.map(lambda a, b: float(np.ravel(b - a)[0]), before, after)
    return [(layer["kernel"], layer["bias"]) for _, layer in sorted(change["layers"].items())]


def through_nnx(tx):
    model = build(WIDTH)
    before = jax.device_get(nnx.to_pure_dict(nnx.state(model, nnx.Param)))
    nnx.Optimizer(model, tx, wrt=nnx.Param).update(model, ones(nnx.state(model, nnx.Param)))
    return moved(before, nnx.to_pure_dict(nnx.state(model, nnx.Param)))


def through_optax(tx):
    params = nnx.state(build(WIDTH), nnx.Param)
    updates, _ = tx.update(ones(params), tx.init(params), params)
    return moved(nnx.to_pure_dict(params), nnx.to_pure_dict(optax.apply_updates(params, updates)))


@pytest.mark.parametrize("step", [through_nnx, through_optax])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (mup_sgd, [(-4, -4), (-1, -4), (-4, -1)]),  # vectors by the growth, square matrices and what does not grow by 1
        (mup_adam, [(-1, -1), (-0.25, -1), (-1, -1)]),  # matrices by one over the growth of their fan-in
    ],
)
def test_rates_follow_the_width(step, make, expected):
    rate = 1 / 64
    np.testing.assert_allclose(step(make(rate, width_shapes(build(BASE)))), rate * np.array(expected), rtol=1e-3)


def test_a_gradient_of_another_model_is_refused():
    tx = mup_sgd(0.1, width_shapes(build(BASE)))
    tree = {"kernel": jnp.ones((4, 4))}
    with pytest.raises(ValueError, match="is not in the base model"):
        tx.update(tree, tx.init(tree))
