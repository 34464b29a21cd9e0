"""AdaGrad as word vectors are trained with it: without a constant in the denominator, the accumulator's start instead."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from quire.common.checks import check_positive


class SquaredGradients(NamedTuple):
    """The accumulator, in the shapes of the parameters."""

    total: Any


def adagrad(learning_rate: float, *, start: float = 1e-8) -> optax.GradientTransformation:
    """`a += g²; p -= lr g / sqrt(a)`: the gradient is part of the accumulator that divides it.

    A row of a table without a gradient stays as it is, so that a dense step of a table is one of the rows that were touched.
    `optax.adagrad` adds a constant under the root, and forgets a gradient whose square vanishes in it.

    Args:
        learning_rate: lr.
        start: of the accumulator, positive.

    Raises:
        ValueError: for a rate or a start that is not positive.

    >>> tx = adagrad(0.1)
    >>> step, _ = tx.update(jnp.array([2.0, 0.0]), tx.init(jnp.zeros(2)))
    >>> print(step)
    [-0.1 -0. ]

    References:
        Duchi et al. 2011; licstar/compare.
    """

    def step(gradient, total):
        total = total + jnp.square(gradient)
        return -learning_rate * gradient * jax.lax.rsqrt(total), total

    return _transformation(learning_rate, start, step)


def delayed_adagrad(learning_rate: float, *, start: float = 1.0) -> optax.GradientTransformation:
    """`p -= lr g / sqrt(a); a += (lr g)²`: GloVe's rule, which divides by what came before, and accumulates steps.

    Args:
        learning_rate: lr.
        start: of the accumulator, positive.

    Raises:
        ValueError: for a rate or a start that is not positive.

    >>> tx = delayed_adagrad(0.5)
    >>> step, state = tx.update(jnp.array([2.0, 0.0]), tx.init(jnp.zeros(2)))
    >>> print(step, state.total)
    [-1. -0.] [2. 1.]

    References:
        Pennington et al. 2014, glove.c.
    """

    def step(gradient, total):
        scaled = learning_rate * gradient
        return -scaled * jax.lax.rsqrt(total), total + jnp.square(scaled)

    return _transformation(learning_rate, start, step)


def _transformation(learning_rate: float, start: float, step) -> optax.GradientTransformation:
    check_positive("learning_rate", learning_rate)
    check_positive("start", start)

    def init(params):
        return SquaredGradients(jax.tree.map(lambda p: jnp.full(p.shape, start, jnp.promote_types(p.dtype, jnp.float32)), params))

    def update(updates, state, params=None):
        leaves, tree = jax.tree.flatten(updates)
        wide = [g.astype(jnp.promote_types(g.dtype, jnp.float32)) for g in leaves]  # squares vanish in half precision
        steps, totals = zip(*map(step, wide, jax.tree.leaves(state.total)), strict=True) if leaves else ((), ())
        steps = [s.astype(g.dtype) for s, g in zip(steps, leaves, strict=True)]
        return jax.tree.unflatten(tree, steps), SquaredGradients(jax.tree.unflatten(tree, totals))

    return optax.GradientTransformation(init, update)
