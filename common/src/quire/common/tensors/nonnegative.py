"""Nonnegative CP decomposition by least squares: hierarchical alternating least squares, multiplicative updates, matching.

A tensor of rank R is `x ~ sum_r a_r o b_r o c_r o ...` with factors `[dim, R]`, one for each axis, none of them negative. Cells
that were not observed are left out by a mask. Given the other modes, a factor needs two things: the matricised tensor times their
Khatri-Rao product, M, and their Gram matrix H, the elementwise product of `F^T F`.

References:
    Cichocki and Phan, *Fast local algorithms for large scale nonnegative matrix and tensor factorizations*, 2009; Lee and Seung,
    *Algorithms for non-negative matrix factorization*, 2001.
"""

from collections.abc import Sequence
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, floating, is_concrete

Factors = tuple[Float[Array, "_ rank"], ...]
Mask = Bool[AnyArray, "..."] | None
Given = Sequence[Real[AnyArray, "_ _"]]

FLOOR = 1e-12
"""What is divided by is at least this."""


def cp_tensor(factors: Sequence[Real[AnyArray, "_ rank"]]) -> Real[Array, "*dims"]:
    """The tensor of these factors, `sum_r a_r o b_r o ...`.

    >>> cp_tensor((jnp.array([[1.0], [2.0]]), jnp.array([[3.0], [5.0]]))).tolist()
    [[3.0, 5.0], [6.0, 10.0]]
    """
    axes = _letters(len(factors))
    return jnp.einsum(f"{','.join(axis + 'z' for axis in axes)}->{axes}", *factors, optimize="optimal")


def mttkrp(x: Real[AnyArray, "*dims"], factors: Given, mode: int) -> Real[Array, "_ _"]:
    """Matricised tensor times Khatri-Rao product, `unfold(x, mode) khatri_rao(the other factors)`, without forming either.

    Args:
        x: `[dims]`.
        factors: one `[dim, rank]` for each axis; that of `mode` is not looked at.
        mode: which axis stays.

    Raises:
        ValueError: if there is no such axis, or a factor does not fit.

    >>> x = jnp.arange(6.0).reshape(2, 3)
    >>> mttkrp(x, [jnp.ones((2, 1)), jnp.ones((3, 1))], 0).tolist()  # sums of the rows
    [[3.0], [12.0]]
    """
    check_factors(x.shape, factors)
    if not 0 <= mode < x.ndim:
        raise ValueError(f"mode is {mode}; a tensor with {x.ndim} axes needs one from 0 to {x.ndim - 1}")
    axes = _letters(x.ndim)
    others = [(axis + "z", factor) for axis, factor in zip(axes, factors, strict=True) if axis != axes[mode]]
    terms = ",".join([axes, *(name for name, _ in others)])
    return jnp.einsum(f"{terms}->{axes[mode]}z", x, *(factor for _, factor in others), optimize="optimal")


def hals_sweep(x: Real[AnyArray, "*dims"], factors: Given, mask: Mask = None) -> Factors:
    """One pass of hierarchical alternating least squares over all modes and, within each, over the columns.

    `F_r <- max(0, F_r + (M_r - F H_r) / H_rr)`: the exact minimiser of the squared error over one column. Cells that the mask
    leaves out count as what the factors say of them, which does not raise the error of the others either. A column whose partners
    in the other modes vanish becomes 0 and stays so.

    Args:
        x: `[dims]`, not negative; what the mask leaves out may be NaN.
        factors: one `[dim, rank]` for each axis.
        mask: True for what was observed, of the shape of `x`; None if all was.

    Returns:
        The new factors, with an error that is not larger.

    Raises:
        ValueError: if factors or mask do not fit.
    """
    x, factors, mask = _checked(x, factors, mask)
    for mode in range(x.ndim):
        filled = x if mask is None else jnp.where(mask, x, cp_tensor(factors))
        product, gram = mttkrp(filled, factors, mode), _gram(factors, mode)

        def column(r, factor, product=product, gram=gram):
            step = (product[:, r] - factor @ gram[:, r]) / jnp.maximum(gram[r, r], FLOOR)
            return factor.at[:, r].set(jnp.maximum(factor[:, r] + step, 0))

        factors = _replaced(factors, mode, jax.lax.fori_loop(0, gram.shape[0], column, factors[mode]))
    return factors


def mu_sweep(x: Real[AnyArray, "*dims"], factors: Given, mask: Mask = None) -> Factors:
    """One pass of multiplicative updates over all modes: `F <- F * M / (F H)`.

    With a mask, `M` is that of the observed cells of `x` and the denominator that of the same cells of the reconstruction. A zero
    stays a zero.

    Args, Returns, Raises: as `hals_sweep`.
    """
    x, factors, mask = _checked(x, factors, mask)
    for mode in range(x.ndim):
        if mask is None:
            below = factors[mode] @ _gram(factors, mode)
        else:
            below = mttkrp(jnp.where(mask, cp_tensor(factors), 0), factors, mode)
        factors = _replaced(factors, mode, factors[mode] * mttkrp(x, factors, mode) / jnp.maximum(below, FLOOR))
    return factors


SWEEPS = {"hals": hals_sweep, "mu": mu_sweep}


def nonnegative_cp(
    x: Real[AnyArray, "*dims"],
    start: Given,
    sweeps: int,
    *,
    method: str = "hals",
    mask: Mask = None,
) -> tuple[Factors, Float[Array, " sweeps"]]:
    """Factors after some sweeps, all of them one compiled loop; `jax.vmap` over `start` runs several starts at once.

    Args:
        x: `[dims]`, not negative; what the mask leaves out may be NaN.
        start: one `[dim, rank]` for each axis, not negative.
        sweeps: how many.
        method: `hals` or `mu`.
        mask: True for what was observed, of the shape of `x`; None if all was.

    Returns:
        The factors, and after every sweep the relative error of the observed cells, `|x - reconstruction| / |x|`.

    Raises:
        ValueError: for negative or missing numbers, a method that there is not, no sweep, or shapes that do not fit.

    >>> x = np.outer([1.0, 2.0], [3.0, 1.0, 2.0])
    >>> factors, errors = nonnegative_cp(x, [np.ones((2, 1)), np.ones((3, 1))], 3)
    >>> bool(errors[-1] < 1e-6), np.asarray(cp_tensor(factors)).round(3).tolist()
    (True, [[3.0, 1.0, 2.0], [6.0, 2.0, 4.0]])
    """
    check_at_least("sweeps", sweeps)
    if method not in SWEEPS:
        raise ValueError(f"method is {method!r}; it must be one of {', '.join(SWEEPS)}")
    x, *start = floating(x, *start)
    check_factors(x.shape, start)
    seen = x if mask is None or not is_concrete(x, mask) else np.asarray(x)[np.broadcast_to(np.asarray(mask, bool), x.shape)]
    for name, numbers in (("x", seen), *((f"start {mode}", factor) for mode, factor in enumerate(start))):
        if is_concrete(numbers) and not bool((np.asarray(numbers) >= 0).all()):
            raise ValueError(f"{name} holds a negative number or NaN; it must hold none")
    return _run(x, tuple(start), mask, sweeps=sweeps, method=method)


@partial(jax.jit, static_argnames=("sweeps", "method"))
def _run(x, start, mask, *, sweeps, method):
    x, start, mask = _checked(x, start, mask)
    size = jnp.maximum(jnp.linalg.norm(x), jnp.finfo(x.dtype).tiny)

    def sweep(factors, _):
        factors = SWEEPS[method](x, factors, mask)
        rest = x - cp_tensor(factors)
        return factors, jnp.linalg.norm(rest if mask is None else jnp.where(mask, rest, 0)) / size

    return jax.lax.scan(sweep, start, length=sweeps)


def unit_columns(factors: Sequence[Float[AnyArray, "_ rank"]]) -> tuple[Float[np.ndarray, " rank"], tuple[np.ndarray, ...]]:
    """The weight of each term and factors whose columns have norm 1, the heaviest term first. A column of zeros stays one.

    >>> weights, (a, b) = unit_columns([np.array([[1.0, 3.0]]), np.array([[2.0, 0.0], [0.0, 4.0]])])
    >>> weights.tolist(), a.tolist(), b.tolist()
    ([12.0, 2.0], [[1.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]])
    """
    norms, directions = _directions([np.asarray(factor) for factor in factors])
    weights = reduce(np.multiply, norms)
    order = np.argsort(-weights, kind="stable")
    return weights[order], tuple(factor[:, order] for factor in directions)


def match_factors(a: Given, b: Given) -> tuple[Int[np.ndarray, " rank"], Float[np.ndarray, " rank"]]:
    """Terms of `b` that go with those of `a`, scale aside: the assignment with the largest sum of products of cosines.

    Args:
        a: some modes' factors `[dim, rank]`.
        b: the same modes' factors `[dim, columns]`, with at least as many columns.

    Returns:
        A column of `b` for each of `a`, and the products of the cosines; 0 where a column vanishes.

    Raises:
        ValueError: if the modes do not fit each other, `b` has too few columns, or a number is not finite.

    >>> a = [np.array([[1.0, 0.0], [0.0, 2.0]])]
    >>> columns, similarity = match_factors(a, [np.array([[0.0, 1.0], [3.0, 1.0]])])
    >>> columns.tolist(), similarity.round(3).tolist()
    ([1, 0], [0.707, 1.0])
    """
    from scipy.optimize import linear_sum_assignment

    a, b = ([np.asarray(factor, float) for factor in factors] for factors in (a, b))
    if not a or [len(f) for f in a] != [len(f) for f in b] or a[0].shape[1] > b[0].shape[1]:
        shapes = [[f.shape for f in factors] for factors in (a, b)]
        raise ValueError(f"a has shapes {shapes[0]} and b {shapes[1]}; they need the same modes, and b no fewer columns")
    if not all(np.isfinite(factor).all() for factor in (*a, *b)):
        raise ValueError("a or b holds a number that is not finite; matching needs finite factors")
    (_, a), (_, b) = (_directions(factors) for factors in (a, b))
    similarity = reduce(np.multiply, [f.T @ g for f, g in zip(a, b, strict=True)])
    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return columns, similarity[rows, columns]


def _directions(factors):
    norms = [np.linalg.norm(factor, axis=0) for factor in factors]
    return norms, [factor / np.where(norm > 0, norm, 1) for factor, norm in zip(factors, norms, strict=True)]


def check_factors(dims: Sequence[int], factors: Sequence[AnyArray]) -> None:
    """One factor `[dim, rank]` for each axis of a tensor of these sizes, all of one rank of at least 1.

    Raises:
        ValueError: if it is not so.
    """
    shapes = [tuple(factor.shape) for factor in factors]
    ranks = {shape[-1] for shape in shapes if shape}
    if [shape[:-1] for shape in shapes] != [(dim,) for dim in dims] or len(ranks) != 1 or ranks == {0}:
        raise ValueError(
            f"factors have shapes {shapes}; a tensor of sizes {tuple(dims)} needs one [size, rank] for each, rank >= 1"
        )


def _checked(x, factors, mask):
    """In one dtype, and 0 where nothing was observed."""
    x, *factors = floating(x, *factors)
    check_factors(x.shape, factors)
    if mask is None:
        return x, tuple(factors), None
    if tuple(mask.shape) != tuple(x.shape):
        raise ValueError(f"mask has shape {tuple(mask.shape)}; it must be that of x, {tuple(x.shape)}")
    mask = jnp.asarray(mask) != 0
    return jnp.where(mask, x, 0), tuple(factors), mask


def _gram(factors: Factors, mode: int) -> Float[Array, "rank rank"]:
    return reduce(jnp.multiply, [f.T @ f for m, f in enumerate(factors) if m != mode])


def _replaced(factors: Factors, mode: int, factor: Array) -> Factors:
    return (*factors[:mode], factor, *factors[mode + 1 :])


def _letters(count: int) -> str:
    return "abcdefghijklmnopqrstuvwxy"[:count]
