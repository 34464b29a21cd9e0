"""Sets of equiangular basis vectors by any of the generators, and sets that grow without moving what is there."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.layers.nested import unit_rows
from quire.common.random import generator
from quire.equiangular_basis.annealing import SHARPNESS, annealed_descent
from quire.equiangular_basis.coherence import as_vectors, check_unit
from quire.equiangular_basis.exact import etf
from quire.equiangular_basis.hinge import hinge_descent

Method = Literal["hinge", "anneal", "exact"]


def generate_ebv(
    key: jax.Array,
    n: int,
    d: int,
    threshold: float = 0.0,
    steps: int | None = None,
    method: Method = "hinge",
    slice_size: int | None = None,
    lr: float | None = None,
) -> Float[Array, "n d"]:
    """n unit vectors of `R^d` whose absolute cosines are as small as the method gets them.

    Args:
        key: for the normal numbers to start from.
        n: classes; beyond d the coherence is at least `welch_bound(n, d)`.
        d: dimension; more than n work and are of no use.
        threshold: of the hinge, which stops 1e-4 above it; the default asks for the smallest mean.
        steps: of the hinge at most, 100000 by default; of all stages of `"anneal"` together, 2400 by default.
        method: `"hinge"`, the authors'; `"anneal"`, which gets closer to the bound; `"exact"`, see `etf`, which draws nothing.
        slice_size: rows whose cosines are held at once.
        lr: rate of the descent; the default of `hinge_descent` or `annealed_descent`.

    Returns:
        Unit rows in the default floating dtype.

    Raises:
        ValueError: for n below 2, d below 1, another method, numbers out of range; for `"exact"` where no construction is known.

    >>> vectors = generate_ebv(jax.random.key(0), 6, 3, method="anneal", steps=1200)
    >>> print(f"{jnp.abs(vectors @ vectors.T - jnp.eye(6)).max():.2f}")
    0.45
    """
    check_at_least("n", n, 2)
    if method not in get_args(Method):
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(get_args(Method))}")
    if method == "exact":
        return jnp.asarray(etf(n, d), float)
    check_at_least("d", d, 2)  # on a line all vectors are parallel
    return _descend(normal_rows(key, n, d), threshold, steps, method, slice_size, lr, None)


def normal_rows(key: jax.Array, n: int, d: int) -> Float[Array, "n d"]:
    """Independent normal numbers: where every descent starts."""
    return jnp.asarray(generator(key).standard_normal((n, d)), float)


def random_unit_vectors(key: jax.Array, n: int, d: int) -> Float[Array, "n d"]:
    """n directions drawn uniformly: what a fixed classifier is without any optimisation.

    Raises:
        ValueError: for n below 2, or d below 1.

    >>> random_unit_vectors(jax.random.key(0), 3, 2).shape
    (3, 2)
    """
    return unit_rows(normal_rows(key, check_at_least("n", n, 2), check_at_least("d", d)))


def extend_ebv(
    key: jax.Array,
    vectors: Num[AnyArray, "n d"],
    n_new: int,
    threshold: float = 0.0,
    steps: int | None = None,
    method: Method = "hinge",
    slice_size: int | None = None,
    lr: float | None = None,
) -> Float[Array, "n_all d"]:
    """Append vectors for new classes. Those of the old classes stay as they are, bit for bit, so that their networks stay valid.

    Args:
        key: for the rows to start from.
        vectors: unit rows.
        n_new: how many to append.
        threshold, steps, method, slice_size, lr: as for `generate_ebv`, of `"hinge"` and `"anneal"`; only pairs with a new
            vector count.

    Returns:
        `[n + n_new, d]`, the old rows first.

    Raises:
        ValueError: as `generate_ebv`; if a row is not of length 1, or `n_new` below 1.

    >>> vectors = extend_ebv(jax.random.key(0), jnp.eye(3)[:2], 1)
    >>> print(f"{jnp.abs(vectors[2]).round(2)}")
    [0. 0. 1.]
    """
    vectors = check_unit("vectors", as_vectors("vectors", vectors, least=1))
    check_at_least("n_new", n_new)
    if method not in ("hinge", "anneal"):
        raise ValueError(f"method is {method!r}; a set grows by 'hinge' or 'anneal'")
    start = normal_rows(key, n_new, vectors.shape[1]).astype(vectors.dtype)
    return jnp.concatenate([vectors, _descend(start, threshold, steps, method, slice_size, lr, vectors)])


def _descend(start, threshold, steps, method, slice_size, lr, fixed):
    options = {"slice_size": slice_size, "fixed": fixed} | ({} if lr is None else {"lr": lr})
    if method == "hinge":
        return hinge_descent(start, threshold, **options | ({} if steps is None else {"steps": steps})).vectors
    if steps is not None and (steps < len(SHARPNESS) or steps % len(SHARPNESS)):
        raise ValueError(f"steps is {steps}; annealing has {len(SHARPNESS)} stages, which must divide it")
    return annealed_descent(start, **options | ({} if steps is None else {"steps": steps // len(SHARPNESS)})).vectors
