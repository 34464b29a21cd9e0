"""The polynomial method's accounts: how large the scores can be, which degree that asks for, and what error remains."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating
from quire.common.layers.polynomials import exp_polynomial, num_monomials
from quire.common.layers.streaming import tuple_scores, tuple_values
from quire.common.layers.tensor_attention import low_rank_tensor_attention, tensor_attention

Kind = Literal["taylor", "chebyshev"]


def max_entry(*arrays: Float[Array, "..."]) -> float:
    """The bound `B` of the paper, measured: the largest absolute entry of all arrays, NaN if one is.

    >>> max_entry(jnp.array([0.5, -2.0]), jnp.array([[1.0]]))
    2.0
    """
    return float(np.max([jnp.max(jnp.abs(x), initial=0) for x in floating(*arrays)]))  # NaN if any is, unlike Python's max


def score_radius(bound: float, order: int, *, dim: int | None = None, scale: float | None = None) -> float:
    """Bound on `|scale * score|` for entries up to `B`: `R = scale * d * B^order`, `B^order` at the default scale `1 / d`.

    Args:
        bound: `B`, the largest absolute entry of queries and keys; take it from `max_entry`.
        order: 2 for matrix attention, 3 for pairs, and so on.
        dim, scale: `d` and the factor on the scores, both or neither.

    Returns:
        `R`.

    Raises:
        ValueError: for a bound that is negative or not finite, an order below 2, or only one of `dim` and `scale`.

    >>> score_radius(2.0, 3), score_radius(2.0, 3, dim=16, scale=0.25)
    (8.0, 32.0)
    """
    if not 0 <= bound < math.inf:
        raise ValueError(f"bound is {bound}; it must be the largest absolute entry, finite and not negative")
    if order < 2:
        raise ValueError(f"order is {order}; it must be at least 2 (ordinary attention)")
    if dim is None and scale is None:
        return bound**order
    if dim is None or scale is None:
        raise ValueError(f"dim is {dim} and scale {scale}; give both, or neither for the scale 1 / d")
    return bound**order * dim * abs(scale)


def max_score(
    q: Float[Array, "n d"], ks: Sequence[Float[Array, "_ d"]], scale: float | None = None, *, exact: bool = False
) -> float:
    """Bound on `|scale * score|` measured from the arrays.

    By default in linear time, from the largest entries of each channel, `R = scale * sum_t max|Q_t| prod_l max|K_lt|`, which
    never exceeds `B^order` times `scale * d`; with `exact`, the largest of all scores, each one formed.

    Args:
        q, ks: queries `[n, d]` and the keys of each memory `[n_l, d]`.
        scale: factor on the scores, `1 / d` by default.
        exact: form every score.

    Returns:
        `R`, 0 without a query.

    Raises:
        ValueError: for shapes that do not fit together, or without a memory, a channel or a token in a memory.
    """
    q, ks, _ = _checked(q, ks)
    scale = 1 / q.shape[-1] if scale is None else scale
    if exact:
        return max_entry(tuple_scores(q, ks, scale))
    return float(abs(scale) * math.prod(map(_tallest, ks), start=_tallest(q)).sum())


def _tallest(x: Array) -> Array:
    """Largest absolute entry of every channel."""
    return jnp.max(jnp.abs(x), axis=0, initial=0)


def _checked(q: Array, ks: Sequence[Array], vs: Sequence[Array] | None = None) -> tuple[Array, list[Array], list[Array]]:
    """One problem in one dtype; the operation's own errors for shapes that do not fit, here of measurements without values."""
    jax.eval_shape(tensor_attention, q, list(ks), list(ks if vs is None else vs))
    if q.ndim != 2:
        raise ValueError(f"q has {q.ndim} axes; it must be one problem [tokens, channels]")
    q, *kv = floating(q, *ks, *(vs or []))
    return q, kv[: len(ks)], kv[len(ks) :]


def entry_error(coefficients: Sequence[float] | Float[np.ndarray, " g"], radius: float) -> float:
    """Relative error of one entry of the attention matrix, `eps = max |p(x) / e^x - 1|` over `[-R, R]`.

    The derivative of `p(x) / e^x` is `(p' - p) / e^x`, so the extremes lie at the ends or at roots of `p' - p`; a grid stands by
    for roots that rounding misplaces.

    Args:
        coefficients: of `p`, constant term first.
        radius: `R`.

    Returns:
        `eps`; for the Taylor polynomial it is the error at one of the ends.

    Raises:
        ValueError: if `radius` is negative or not finite.

    >>> round(entry_error([1.0, 1.0, 0.5], 1.0), 6)  # at x = -1: e / 2 - 1
    0.359141
    """
    if not 0 <= radius < math.inf:
        raise ValueError(f"radius is {radius}; it must be finite and not negative")
    p = np.polynomial.Polynomial(np.asarray(coefficients, float))
    slope = np.asarray((p.deriv() - p).coef, float)  # shorter than p's where its last coefficients are zero
    slope = slope * radius ** np.arange(len(slope))  # in u = x / R, so that roots of interest lie in [-1, 1]
    roots = np.polynomial.Polynomial(slope / max(abs(slope).max(), 1e-300)).trim(1e-15).roots()
    roots = roots.real[(abs(roots.imag) < 1e-6) & (abs(roots.real) <= 1)]
    x = radius * np.concatenate([np.linspace(-1, 1, 1025), roots])
    return float(np.abs(p(x) * np.exp(-x) - 1).max())


def required_degree(
    bound: float,
    order: int,
    eps: float,
    *,
    dim: int | None = None,
    scale: float | None = None,
    kind: Kind = "taylor",
    max_degree: int = 100,
) -> int:
    """Smallest degree whose polynomial is within relative error `eps` of `exp` on `[-R, R]`, `R = scale * d * B^order`.

    It grows like `max(log(1/eps) / log(log(1/eps) / R), R)` (Aggarwal & Alman 2022): with `B = o((log n)^{1/order})` it is
    `o(log n)`, and the rank `C(d + g, g)` stays below every power of `n`.

    Args:
        bound: `B`, the largest absolute entry of queries and keys, measured by `max_entry`; a `B` that the entries exceed voids
            the guarantee.
        order: 2 for matrix attention, 3 for pairs, and so on.
        eps: allowed relative error of each entry of the attention matrix, between 0 and 1.
        dim, scale: `d` and the factor on the scores, both or neither; neither means the scale `1 / d`.
        kind: Taylor series or Chebyshev interpolant.
        max_degree: where to give up.

    Returns:
        The degree. Since `eps < 1`, its polynomial is positive on `[-R, R]`, whether the degree is even or odd.

    Raises:
        ValueError: for `eps` outside `(0, 1)`, a bound or order that `score_radius` refuses, or when no degree up to `max_degree`
            reaches `eps` (beyond `R ~ 12` rounding in float64 alone exceeds small `eps`).

    >>> required_degree(1.0, 3, 1e-3), required_degree(1.5, 3, 1e-3), required_degree(1.5, 4, 1e-3)
    (6, 15, 21)
    """
    return _smallest_degree(score_radius(bound, order, dim=dim, scale=scale), eps, kind, max_degree)


def _smallest_degree(radius: float, eps: float, kind: Kind, max_degree: int) -> int:
    if not 0 < eps < 1:
        raise ValueError(f"eps is {eps}; it must lie between 0 and 1")
    if radius == 0:
        return 0
    best = math.inf
    for degree in range(max_degree + 1):
        error = entry_error(exp_polynomial(degree, radius, kind), radius)
        if error <= eps:
            return degree
        best = min(best, error)
    raise ValueError(
        f"no {kind} polynomial of degree up to {max_degree} comes within {eps:g} of exp on [-{radius:.3g}, {radius:.3g}] "
        f"(best {best:.3g}); scale the entries down, lower the order or allow a larger eps"
    )


def output_bound(eps: float, vs: Sequence[Float[Array, "_ c"]]) -> float:
    """Error of the output when each entry of `A` is off by a factor within `1 +- eps`: `2 eps / (1 - eps) * max |V1 ... Vm|`.

    Numerator and denominator are each off by `1 +- eps`, and no weighted mean exceeds the largest product of values.

    Args:
        eps: relative error of the entries; infinity comes back for 1 and above, where the denominator may vanish.
        vs: values of each memory `[n_l, c]`.

    Returns:
        Bound on the largest absolute error of the output.

    Raises:
        ValueError: if `eps` is negative, there is no memory, or the numbers of channels differ.

    >>> round(output_bound(0.01, [jnp.array([[2.0], [-3.0]]), jnp.array([[5.0]])]), 6)
    0.30303
    """
    if not eps >= 0:
        raise ValueError(f"eps is {eps}; it must not be negative")
    return math.inf if eps >= 1 else 2 * eps / (1 - eps) * _max_value(vs)


def error_bound(
    q: Float[Array, "n d"],
    ks: Sequence[Float[Array, "_ d"]],
    vs: Sequence[Float[Array, "_ c"]],
    *,
    degree: int,
    kind: Kind = "taylor",
    scale: float | None = None,
    radius: float | None = None,
) -> float:
    """Guaranteed largest absolute error of `low_rank_tensor_attention` on these arrays, in exact arithmetic.

    Everything is measured: `R` from the entries of `q` and `ks`, `eps` of the polynomial on `[-R, R]`, `max |V1 ... Vm|`.

    Args:
        q, ks, vs, scale: as for `tensor_attention`.
        degree, kind: of the polynomial.
        radius: half-width of the interval, at least `max_score(q, ks, exact=True)`; by default `max_score(q, ks)`. The Chebyshev
            interpolant is the one of this interval.

    Returns:
        The bound; infinity where `eps >= 1`.

    Raises:
        ValueError: for a negative degree, an unknown kind, or shapes that do not fit together.
    """
    q, ks, vs = _checked(q, ks, vs)
    radius = max_score(q, ks, scale) if radius is None else radius
    return output_bound(entry_error(exp_polynomial(degree, radius, kind), radius), vs)


def rounding_error(q: Float[Array, "n d"], ks: Sequence[Float[Array, "_ d"]], scale: float | None = None) -> float:
    """Bound, up to a small factor, on the relative rounding error of the low-rank form's normaliser, in linear time.

    Its terms sum to at most `e^{R_i}` per tuple in absolute value, `R_i` the bound on the scores of query `i`, while the
    normaliser is at least `e^{mean score}` per tuple by Jensen's inequality; what cancels is lost in units of the precision `u`.

        u max_i exp(R_i - scale * <q_i, mean(K_1) * ... * mean(K_m)>)

    Args:
        q, ks, scale: as for `max_score`.

    Returns:
        The bound; large where a query has large negative scores with nearly all tuples.

    >>> q, k = jnp.full((1, 1), 8.0), jnp.ones((3, 1))
    >>> rounding_error(q, [k]) < 2e-7, rounding_error(-q, [k]) > 1  # float32
    (True, True)
    """
    q, ks, _ = _checked(q, ks)
    scale = 1 / q.shape[-1] if scale is None else scale
    radius = abs(scale) * jnp.abs(q) @ math.prod(map(_tallest, ks))
    mean = scale * q @ math.prod(jnp.mean(k, axis=0) for k in ks)
    with np.errstate(over="ignore"):
        return float(jnp.finfo(q.dtype).eps * np.exp(np.float64(jnp.max(radius - mean, initial=0))))


compiled_low_rank = jax.jit(low_rank_tensor_attention, static_argnames=("degree", "radius", "kind", "scale", "block"))
"""`low_rank_tensor_attention`, compiled. Only for scores within the radius: the check of concrete denominators is lost."""


class Approximation(NamedTuple):
    """Output `[n, c]` of `approximate_tensor_attention` with what was chosen and is guaranteed."""

    out: Array
    degree: int
    rank: int
    radius: float
    bound: float


def approximate_tensor_attention(
    q: Float[Array, "n d"],
    ks: Sequence[Float[Array, "_ d"]],
    vs: Sequence[Float[Array, "_ c"]],
    *,
    error: float,
    kind: Kind = "taylor",
    scale: float | None = None,
    block: int | None = 1024,
) -> Approximation:
    """Tensor attention within `error` of the exact output in near-linear time: the problem that the paper solves.

    The degree is the smallest with `2 eps / (1 - eps) * max |V1 ... Vm| <= error` on the interval that the arrays' own entries
    span.

    Args:
        q, ks, vs, scale: as for `tensor_attention`, without batch axes; not traced, since the degree depends on them.
        error: allowed largest absolute error of the output; the guarantee is for exact arithmetic, and rounding that could
            exceed it is refused.
        kind: Taylor series or Chebyshev interpolant.
        block: rows per tile of the feature maps.

    Returns:
        Output, degree `g`, rank `C(d + g, g)`, interval half-width `R` and guaranteed error.

    Raises:
        ValueError: if `error` is not positive and finite, no degree reaches it, the rank is too large, or large negative scores
            would cancel too many digits of this precision; for batch axes, and for shapes as `tensor_attention`.

    >>> q = k = v = jnp.linspace(-1, 1, 12).reshape(6, 2)
    >>> approximate_tensor_attention(q, [k, k], [v, v], error=1e-3)._replace(out=None)[1:3]
    (6, 28)
    """
    if not 0 < error < math.inf:
        raise ValueError(f"error is {error}; it must be positive and finite")
    if q.ndim != 2:
        raise ValueError(
            f"q has {q.ndim} axes; it must be one problem [tokens, channels], since the degree depends on its entries"
        )
    q, ks, vs = _checked(q, ks, vs)
    radius = max(max_score(q, ks, scale), 1e-300)
    eps = min(error / (2 * _max_value(vs) + error), 0.5)  # values that are all zero would let eps reach 1
    degree = _smallest_degree(radius, eps, kind, max_degree=100)
    if (rounding := 2 * rounding_error(q, ks, scale) * _max_value(vs)) > error:
        raise ValueError(
            f"rounding in {q.dtype} may move the output by {rounding:.2g}, more than the error {error:g}: "
            f"some queries have large negative scores, where the polynomial cancels; use float64 or smaller entries"
        )
    out = compiled_low_rank(q, ks, vs, degree=degree, radius=radius, kind=kind, scale=scale, block=block)
    bound = error_bound(q, ks, vs, degree=degree, kind=kind, scale=scale, radius=radius)
    return Approximation(out, degree, num_monomials(q.shape[-1], degree), radius, bound)


def truncation_errors(
    q: Float[Array, "n d"],
    ks: Sequence[Float[Array, "_ d"]],
    vs: Sequence[Float[Array, "_ c"]],
    max_degree: int,
    factor: Float[Array, ""] | float = 1.0,
) -> Float[Array, " degrees"]:
    """Largest output error of the Taylor polynomial of every degree `0 .. max_degree`, from one pass of partial sums.

    The polynomial acts on the dense scores, which is what the low-rank form computes without forming them.

    Args:
        q, ks, vs: as for `tensor_attention`, at the scale `1 / d`.
        max_degree: highest degree.
        factor: multiplies all scores; `B^order` turns entries +-1 into +-B.

    Returns:
        `[max_degree + 1]`. Odd degrees have no positivity to rely on: their normaliser may pass through zero.

    Raises:
        ValueError: if `max_degree` is negative, there is no query, or shapes do not fit together.
    """
    check_at_least("max_degree", max_degree, 0)
    q, ks, vs = _checked(q, ks, vs)
    check_at_least("number of queries", len(q))
    scores = factor * tuple_scores(q, ks, 1 / q.shape[-1])
    exact = tuple_values(jax.nn.softmax(scores, axis=1), vs)

    def add(carry, degree):
        term, total = carry
        term = jnp.where(degree > 0, term * scores / jnp.maximum(degree, 1), term)
        total = total + term
        out = tuple_values(total, vs) / total.sum(1)[:, None]
        return (term, total), jnp.max(jnp.abs(out - exact))

    return lax.scan(add, (jnp.ones_like(scores), jnp.zeros_like(scores)), jnp.arange(max_degree + 1))[1]


def _max_value(vs: Sequence[Array]) -> float:
    """`max |V1[j_1, c] ... Vm[j_m, c]|` over all tuples and channels."""
    if not vs or len({v.shape[-1] for v in vs}) > 1:
        raise ValueError(f"vs have shapes {[v.shape for v in vs]}; they need one number of channels, and at least one of them")
    return float(jnp.max(math.prod(map(_tallest, floating(*vs))), initial=0))
