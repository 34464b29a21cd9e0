"""Reconstruction of blocks: the loss, the loop, its schedule, what may be learned and what may not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from quire.common.quant import uniform
from quire.common.quant.reconstruct import output_error, reconstruct_block
from quire.common.testing import assert_dtypes

RNG = np.random.default_rng(0)
X = RNG.standard_normal((12, 3)).astype(np.float32)
W = RNG.standard_normal((2, 3)).astype(np.float32)


def linear(params, x):
    return x @ params["w"].T + params["b"][None]


def start():
    return {"w": jnp.zeros((2, 3)), "b": jnp.zeros(2)}


TARGET = X @ W.T + np.array([0.5, -1.0], np.float32)


def test_error_is_summed_over_axis_1_and_averaged_over_the_others():
    a, b = RNG.standard_normal((2, 4, 3, 5)).astype(np.float32)
    np.testing.assert_allclose(output_error(jnp.asarray(a), jnp.asarray(b)), ((a - b) ** 2).sum(1).mean(), rtol=1e-6)
    assert_dtypes(lambda a: output_error(a, jnp.zeros_like(a)), a[:, :, 0])


def test_is_adam_with_a_cosine_and_losses_are_those_before_the_steps():
    steps, rate = 7, 0.05
    found = reconstruct_block(linear, start(), X, TARGET, steps=steps, rate=rate)
    tx = optax.adam(lambda step: rate * (1 + jnp.cos(jnp.pi * step / steps)) / 2)
    params, state, losses = start(), tx.init(start()), []
    for _ in range(steps):
        value, gradient = jax.value_and_grad(lambda p: output_error(linear(p, X), TARGET))(params)
        updates, state = tx.update(gradient, state)
        params = optax.apply_updates(params, updates)
        losses.append(value)
    np.testing.assert_allclose(found.losses, losses, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found.params, params)


def test_batches_name_the_rows_of_every_step():
    rows = np.array([[0, 1], [5, 5], [11, 2]], np.int32)
    found = reconstruct_block(linear, start(), X, TARGET, steps=3, rate=0.0, batches=rows)
    expected = [output_error(jnp.zeros((2, 2)), jnp.asarray(TARGET[each])) for each in rows]
    np.testing.assert_allclose(found.losses, expected, rtol=1e-6)


def test_every_part_has_its_own_rate_and_none_is_none():
    found = reconstruct_block(linear, start() | {"spare": None}, X, TARGET, steps=3, rate={"w": 0.1, "b": 0.0, "spare": None})
    assert not found.params["b"].any()
    assert found.params["w"].any()
    assert found.params["spare"] is None


def test_rates_are_traced_and_problems_run_side_by_side():
    fit = jax.jit(jax.vmap(lambda rate: reconstruct_block(linear, start(), X, TARGET, steps=20, rate=rate).losses[-1]))
    slow, fast = fit(jnp.array([1e-4, 0.2]))
    assert fast < slow


def test_penalty_sees_the_progress_and_the_optimiser_may_be_another():
    found = reconstruct_block(
        linear, start(), X, TARGET, steps=4, rate=0.1, penalty=lambda p, progress: 100 * progress, tx=optax.identity()
    )
    without = reconstruct_block(linear, start(), X, TARGET, steps=4, rate=0.1, tx=optax.identity())
    np.testing.assert_allclose(found.losses - without.losses, [0, 25, 50, 75], rtol=1e-5)
    gradient = jax.grad(lambda p: output_error(linear(p, X), TARGET))(start())
    one = reconstruct_block(linear, start(), X, TARGET, steps=1, rate=0.1, tx=optax.identity())
    np.testing.assert_allclose(one.params["b"], -0.1 * gradient["b"], rtol=1e-5)


@pytest.mark.parametrize(("probability", "expected"), [(0.0, 0.0), (1.0, 1.0), (0.25, 0.25)])
def test_inputs_in_full_precision_are_mixed_in_number_by_number(probability, expected):
    seen = reconstruct_block(
        lambda p, x: jnp.broadcast_to(x.mean(), (2000, 1)) + 0 * p,
        jnp.zeros(()),
        jnp.zeros((2000, 4)),
        jnp.zeros((2000, 1)),
        steps=2,
        x_full=jnp.ones((2000, 4)),
        input_prob=probability,
        key=jax.random.key(0),
    )
    np.testing.assert_allclose(np.sqrt(seen.losses), expected, atol=0.02)
    if 0 < probability < 1:
        assert seen.losses[0] != seen.losses[1]  # anew in every step


def test_refuses(as_installed):
    for options, message in (
        ({"steps": 0}, "steps is 0"),
        ({"steps": 2, "batches": np.zeros((3, 2), np.int32)}, "batches has shape"),
        ({"steps": 1, "batches": np.full((1, 2), 12)}, "batches runs from 12 to 12"),
        ({"steps": 1, "x_full": X}, "x_full needs a key"),
        ({"steps": 1, "x_full": X[:3], "key": jax.random.key(0)}, "x_full needs a key, and the shapes of x"),
    ):
        with pytest.raises(ValueError, match=message):
            reconstruct_block(linear, start(), X, TARGET, **options)
    with pytest.raises(ValueError, match=r"rows; they need the same number"):
        reconstruct_block(linear, start(), X[:3], TARGET, steps=1)
    for bad in (jnp.zeros(3), jnp.zeros((0, 3))):
        with pytest.raises(ValueError, match="one shape"):
            output_error(bad, bad)
    with pytest.raises(ValueError, match="one shape"):
        output_error(jnp.zeros((2, 3)), jnp.zeros((2, 1)))


def test_bits_of_a_grid_may_be_traced():
    w = jnp.asarray(X)
    quantize = jax.jit(lambda bits: uniform.affine_quantize(w, uniform.min_max_grid(w.min(), w.max(), bits), bits))
    for bits in (2, 5):
        np.testing.assert_allclose(
            quantize(bits), uniform.affine_quantize(w, uniform.min_max_grid(w.min(), w.max(), bits), bits), rtol=1e-5
        )


def test_one_sided_rows_of_two_sided_weights_try_every_zero_point():
    """Only a tensor that is one-sided as a whole has a single sensible zero point; so the search of BRECQ decides."""
    row = jnp.asarray(-np.abs(RNG.standard_normal(12)).astype(np.float32))
    w = jnp.stack([row, -2 * row])
    together, alone = uniform.search_range(w, 2, per_channel=True, num=10), uniform.search_range(row, 2, num=10)

    def error(grid):
        return float(jnp.mean(jnp.abs(row - uniform.affine_quantize(row, grid, 2)) ** 2.4))

    first = jax.tree.map(lambda x: x[0, 0], together)
    assert error(first) <= error(alone) * (1 + 1e-5)
