"""Conformance of normalisers: what every layer `(x, train) -> y` must do, as checks that a test runs one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.testing import (
    assert_degenerate,
    assert_dtypes,
    assert_gradients,
    assert_jit_consistent,
    assert_matches_float64,
    assert_vmap_consistent,
)

FEATURES = 6
"""Channels of the layers under test."""


@dataclass(frozen=True)
class Normaliser:
    """A layer under test, and what it says of itself.

    Attributes:
        build: `build(axis_name=None) -> layer` for `FEATURES` channels, `layer(x, train=...)` keeping shapes. A layer that has no
            statistics over samples may ignore the argument.
        mixes: whether the output of a sample depends on other samples while training.
        evaluation_mixes: whether it does in evaluation.
        centres: axes over which the output of a fresh layer has mean 0 and variance 1 while training, or None.
        ordinary: input with a mean as large as this still comes out precise to 1e-3 in float32.
        single_value: whether one place in space and one sample are an input that it answers.
    """

    build: Callable[..., Any]
    mixes: bool = False
    evaluation_mixes: bool = False
    centres: tuple[int, ...] | None = None
    ordinary: float = 1e4
    single_value: bool = True

    def call(self, x: jax.Array, train: bool) -> jax.Array:
        """What a fresh layer makes of x."""
        return self.build()(x, train=train)


def _inputs(*shape: int, mean: float = 0.0) -> np.ndarray:
    return (mean + np.random.default_rng(0).normal(size=shape)).astype(np.float32)


def keeps_shapes_and_dtypes(norm: Normaliser) -> None:
    """One, two and three dimensions of space; integers and 16 bits as JAX promotes them, 64 bits as 64."""
    for space in ((4,), (3, 2), (2, 1, 2)):
        x = jnp.asarray(_inputs(2, *space, FEATURES), jnp.bfloat16)
        for train in (True, False):
            y = jax.eval_shape(lambda x, train=train: norm.call(x, train), x)
            assert y.shape == x.shape and y.dtype == jnp.bfloat16, f"{x.shape} bfloat16 became {y.shape} {y.dtype}"
    assert_dtypes(lambda x: norm.call(x, True), _inputs(2, 2, 3, FEATURES))


def standardises(norm: Normaliser) -> None:
    """Mean 0 and variance 1 over the axes that it says, whatever those of the input."""
    if norm.centres is None:
        return
    y = np.asarray(norm.call(jnp.asarray(3 + 2 * _inputs(2, 3, 5, FEATURES)), True))
    np.testing.assert_allclose(y.mean(norm.centres), 0, atol=1e-6)
    np.testing.assert_allclose(y.var(norm.centres), 1, rtol=1e-4)


def survives_degenerate_inputs(norm: Normaliser) -> None:
    """Zeros, constants, repeated samples, huge and tiny numbers, one sample: finite values and gradients, or a `ValueError`."""
    assert_degenerate(lambda x: norm.call(x, True), _inputs(2, 2, 3, FEATURES), axes=(0, 1))
    if norm.single_value:
        assert_degenerate(lambda x: norm.call(x, True), _inputs(1, 1, 1, FEATURES), axes=())


def answers_an_empty_batch(norm: Normaliser) -> None:
    """Without samples: nothing in evaluation; while training nothing, or an error that says what is missing."""
    x = jnp.zeros((0, 2, 3, FEATURES))
    for train in (True, False):
        try:
            assert norm.call(x, train).shape == x.shape
        except ValueError as error:
            assert "at least one value" in str(error) and (norm.mixes if train else norm.evaluation_mixes), str(error)


def keeps_samples_apart_or_not(norm: Normaliser) -> None:
    """The output of a sample alone is that in its batch exactly where the layer says so."""
    x = jnp.asarray(_inputs(3, 4, 2, FEATURES, mean=0.5))
    for train, mixes in ((True, norm.mixes), (False, norm.evaluation_mixes)):
        apart = float(jnp.abs(norm.call(x[:1], train) - norm.call(x, train)[:1]).max())
        assert (apart > 1e-3) if mixes else (apart < 1e-6), f"train={train}: alone and in a batch differ by {apart:.1e}"


def moves_its_statistics_in_training_alone(norm: Normaliser) -> None:
    """Training moves running statistics, evaluation leaves them; `train()` and `eval()` choose like the argument."""
    layer, x = norm.build(), jnp.asarray(_inputs(4, 3, 2, FEATURES, mean=1.0))
    if not isinstance(layer, nnx.Module):
        return

    def statistics():
        return [np.asarray(leaf) for leaf in jax.tree.leaves(nnx.state(layer, nnx.BatchStat))]

    def moved(before):
        return [not np.array_equal(a, b) for a, b in zip(before, statistics(), strict=True)]

    before = statistics()
    evaluated = layer(x, train=False)
    assert not any(moved(before)), "evaluation moved a running statistic"
    layer(x, train=True)
    assert all(moved(before)), "training left a running statistic"
    assert bool(before) == (norm.mixes and not norm.evaluation_mixes)
    fresh = norm.build()
    fresh.eval()
    np.testing.assert_array_equal(fresh(x), evaluated)


def agrees_under_transformations(norm: Normaliser) -> None:
    """`jit` and `vmap` change nothing, and derivatives are those of finite differences."""
    x = jnp.asarray(_inputs(2, 2, 3, 2, FEATURES))
    assert_jit_consistent(lambda x: norm.call(x, True), x[0])
    assert_vmap_consistent(lambda x: norm.call(x, True), x)
    assert_gradients(lambda x: norm.call(x, True), x[0], tolerance=1e-5)


def has_finite_gradients_at_zero(norm: Normaliser) -> None:
    """Where variances vanish and activations bend, the derivatives by input and parameters are finite."""
    layer = norm.build()
    x = jnp.zeros((2, 2, 2, FEATURES))
    if isinstance(layer, nnx.Module):
        graph, params, rest = nnx.split(layer, nnx.Param, ...)
        found = jax.grad(lambda p, x: nnx.merge(graph, p, rest, copy=True)(x, train=True).sum(), argnums=(0, 1))(params, x)
    else:
        found = jax.grad(lambda x: layer(x, train=True).sum())(x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found)), "a gradient at zero is not finite"


def is_precise_beside_a_large_mean(norm: Normaliser) -> None:
    """In float32 as in float64 where the inputs have a large mean."""
    assert_matches_float64(lambda x: norm.call(x, True), _inputs(2, 16, 16, FEATURES, mean=norm.ordinary))


def is_one_batch_over_an_axis(norm: Normaliser) -> None:
    """Devices or workers of one axis give what one batch of all of them gives, running statistics included."""
    x = jnp.asarray(_inputs(3, 2, 4, FEATURES, mean=0.5))
    split, whole = norm.build(axis_name="workers"), norm.build()
    if not isinstance(split, nnx.Module):
        return
    graph, state = nnx.split(split)

    def work(x):
        layer = nnx.merge(graph, state, copy=True)
        return layer(x, train=True), nnx.state(layer, nnx.BatchStat)

    out, after = jax.vmap(work, axis_name="workers")(x[:, :, :, None])
    expected = whole(x.reshape(6, 4, 1, FEATURES), train=True)
    np.testing.assert_allclose(out.reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
    for of_workers, one in zip(jax.tree.leaves(after), jax.tree.leaves(nnx.state(whole, nnx.BatchStat)), strict=True):
        np.testing.assert_allclose(of_workers, np.broadcast_to(one, of_workers.shape), rtol=1e-5, atol=1e-6)


CHECKS = (
    keeps_shapes_and_dtypes,
    standardises,
    survives_degenerate_inputs,
    answers_an_empty_batch,
    keeps_samples_apart_or_not,
    moves_its_statistics_in_training_alone,
    agrees_under_transformations,
    has_finite_gradients_at_zero,
    is_precise_beside_a_large_mean,
    is_one_batch_over_an_axis,
)
"""All checks: `@pytest.mark.parametrize("check", CHECKS)`, and `check(normaliser)` for every one."""
