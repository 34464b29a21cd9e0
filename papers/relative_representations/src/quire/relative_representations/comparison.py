"""How alike two spaces are: measures of codes of the same samples, each beside the same measure of codes of different samples."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import floating
from quire.common.layers.nested import unit_rows
from quire.common.metrics.similarity import counterpart_mrr, linear_cka, neighbour_jaccard, rbf_cka
from quire.common.random import generator


def code_cosine(a: Num[AnyArray, "n m"], b: Num[AnyArray, "n m"], *, centred: bool = False) -> Float[Array, ""]:
    """Mean cosine of corresponding rows.

    Args:
        a, b: codes of the same samples in two spaces.
        centred: take off each side's mean code first. Latents in one orthant have codes that are alike whatever the sample.

    Raises:
        ValueError: if shapes differ or there are no rows.

    >>> print(code_cosine(jnp.eye(2), 3 * jnp.eye(2)), code_cosine(jnp.eye(2), jnp.eye(2)[::-1], centred=True).round(3))
    1.0 -1.0
    """
    a, b = _same_shape(a, b)
    if centred:
        a, b = a - a.mean(0, keepdims=True), b - b.mean(0, keepdims=True)
    return jnp.mean(jnp.sum(unit_rows(a) * unit_rows(b), axis=1))


def code_mse(a: Num[AnyArray, "n m"], b: Num[AnyArray, "n m"]) -> Float[Array, ""]:
    """Mean squared difference of all numbers.

    Raises:
        ValueError: if shapes differ or there are no rows.

    >>> print(code_mse(jnp.zeros((2, 2)), jnp.array([[1.0, 0.0], [0.0, 1.0]])))
    0.5
    """
    a, b = _same_shape(a, b)
    return jnp.mean((a - b) ** 2)


def derangement(key: jax.Array, n: int) -> np.ndarray:
    """A permutation of `0 .. n - 1` in one cycle: nothing stays in its place, so no sample is paired with itself.

    Raises:
        ValueError: for n below 2.

    >>> derangement(jax.random.key(0), 4).tolist()
    [1, 3, 0, 2]
    """
    if n < 2:
        raise ValueError(f"n is {n}; two samples at least can change places")
    order = generator(key).permutation(n)
    result = np.empty(n, int)
    result[order] = np.roll(order, -1)
    return result


def compare_codes(
    key: jax.Array, a: Num[AnyArray, "n m"], b: Num[AnyArray, "n m"], *, k: int = 10
) -> dict[str, tuple[float, float]]:
    """All measures of two sets of codes by name: `(same samples, shuffled)`.

    Shuffled pairs every code with that of another sample: what a measure says there, it says about any two spaces.

    Args:
        key: of the shuffle.
        a, b: codes of the same samples.
        k: neighbours that are compared, and the lowest rank that counts.

    Returns:
        cosine, centred cosine, MSE, Jaccard of neighbours, mean reciprocal rank, linear CKA and RBF CKA. The last one needs
        memory `n^2 m`.

    Raises:
        ValueError: if shapes differ, there are fewer than two rows, or k is not between 1 and n.
    """
    a, b = _same_shape(a, b)
    shuffled = b[derangement(key, len(b))]
    same, different = _all_measures(a, b, k), _all_measures(a, shuffled, k)
    return {name: (float(same[name]), float(different[name])) for name in _measures(k)}


@partial(jax.jit, static_argnames="k")
def _all_measures(a, b, k):
    return {name: measure(a, b) for name, measure in _measures(k).items()}


def _measures(k: int) -> dict[str, Callable[[Array, Array], Array]]:
    return {
        "cosine": code_cosine,
        "cosine, centred": lambda a, b: code_cosine(a, b, centred=True),
        "MSE": code_mse,
        f"Jaccard of {k} neighbours": lambda a, b: neighbour_jaccard(a, b, k),
        f"MRR at {k}": lambda a, b: counterpart_mrr(a, b, k),
        "linear CKA": linear_cka,
        "RBF CKA": rbf_cka,
    }


def _same_shape(a: AnyArray, b: AnyArray) -> tuple[Array, Array]:
    if a.ndim != 2 or a.shape != b.shape or a.shape[0] == 0:
        raise ValueError(f"a and b have shapes {a.shape} and {b.shape}; they need one shape [n, m], n at least 1")
    a, b = floating(a, b)
    return a, b
