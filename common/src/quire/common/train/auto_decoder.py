"""Auto-decoders: a code per training example that is trained beside the network, and codes that are fitted to new examples."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import at_least_float32, check_at_least, check_ids, check_positive, floating
from quire.common.random import generator


def bounded(codes: Float[Array | np.ndarray, "*n d"], max_norm: float) -> Float[Array, "*n d"]:
    """Codes that are longer than `max_norm` shortened to it.

    >>> print(" ".join(f"{x:.2f}" for x in bounded(jnp.array([[3.0, 4.0], [0.3, 0.4]]), 1.0).ravel().tolist()))
    0.60 0.80 0.30 0.40
    """
    (codes,) = floating(codes)
    (wide,) = at_least_float32(codes)
    squared = jnp.sum(wide**2, axis=-1, keepdims=True)
    long = squared > max_norm**2
    return jnp.where(long, wide * (max_norm * jax.lax.rsqrt(jnp.where(long, squared, 1))), wide).astype(codes.dtype)


class CodeTable(nnx.Module):
    """A code for each of n examples, from a normal distribution of variance `1 / dim`, none longer than `max_norm`.

    Train it with `within(max_norm)` last in the optimiser's chain, so that updates do not lengthen codes beyond it; a lookup
    shortens what is too long nevertheless.

    Args:
        n: examples.
        dim: numbers in a code.
        max_norm: largest Euclidean length.
        rngs: for the first codes.

    >>> table = CodeTable(5, 3, rngs=nnx.Rngs(0))
    >>> table(jnp.array([4, 0])).shape
    (2, 3)
    """

    def __init__(self, n: int, dim: int, max_norm: float = 1.0, *, rngs: nnx.Rngs):
        check_at_least("n", n)
        check_at_least("dim", dim)
        check_positive("max_norm", max_norm)
        codes = generator(rngs.params()).standard_normal((n, dim)) / dim**0.5
        length = np.linalg.norm(codes, axis=1, keepdims=True)
        self.codes = nnx.Param(jnp.asarray(codes * np.minimum(1, max_norm / length), float))
        self.max_norm = max_norm

    def __call__(self, ids: Int[Array | np.ndarray, "*batch"]) -> Float[Array, "*batch d"]:
        """Codes of some examples.

        Raises:
            ValueError: for ids out of range; traced ones give NaN.
        """
        check_ids("ids", ids, self.codes.get_value().shape[0])
        return bounded(jnp.take(self.codes[...], ids, axis=0, mode="fill"), self.max_norm)


def within(max_norm: float, is_code: Callable[[str], bool] = lambda name: "codes" in name) -> optax.GradientTransformation:
    """Shortens updates so that no code becomes longer than `max_norm`; last in an optimiser's chain.

    Args:
        max_norm: largest Euclidean length of a code.
        is_code: which parameters are codes `[..., dim]`, by their path as text.

    Raises:
        ValueError: for a bound that is not positive.

    >>> tx = optax.chain(optax.sgd(1.0), within(1.0))
    >>> params = {"codes": jnp.array([[0.8, 0.0]])}
    >>> updates, _ = tx.update({"codes": jnp.array([[-3.0, 0.0]])}, tx.init(params), params)
    >>> f"{float(optax.apply_updates(params, updates)['codes'][0, 0]):.3f}"
    '1.000'
    """
    check_positive("max_norm", max_norm)

    def shorten(path, update, param):
        if not is_code(jax.tree_util.keystr(path)):
            return update
        return bounded(param + update, max_norm) - param

    return optax.stateless(lambda updates, params: jax.tree.map_with_path(shorten, updates, params))


def fit_code(
    loss: Callable[[Any], Float[Array, ""]], code: Any, steps: int, tx: optax.GradientTransformation | float = 5e-3
) -> tuple[Any, Float[Array, " steps"]]:
    """Codes that minimise a loss; whatever the loss closes over, the network above all, stays as it is.

    Args:
        loss: `loss(code) -> scalar`; traceable. Codes of many examples are fitted at once through the sum of their losses.
        code: where to start, a pytree of arrays.
        steps: how many.
        tx: optimiser, or the rate of Adam.

    Returns:
        The codes, and the losses before each step.

    Raises:
        ValueError: for fewer than one step.

    >>> code, losses = fit_code(lambda z: jnp.sum((z - 2.0) ** 2), jnp.zeros(1), 200, 0.1)
    >>> print(f"{float(code[0]):.2f} {losses.shape}")
    2.00 (200,)
    """
    check_at_least("steps", steps)
    tx = tx if isinstance(tx, optax.GradientTransformation) else optax.adam(tx)

    def step(carry, _):
        code, state = carry
        value, gradient = jax.value_and_grad(loss)(code)
        updates, state = tx.update(gradient, state, code)
        return (optax.apply_updates(code, updates), state), value

    (code, _), losses = jax.lax.scan(step, (code, tx.init(code)), length=steps)
    return code, losses
