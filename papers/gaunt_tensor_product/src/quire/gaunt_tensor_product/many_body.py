"""Many-body interactions: products of nu equal fields, as in MACE (section 3.3).

`B_nu = proj_{l <= lmax_out}(f^nu)`: on a grid, the nu-th power of the values.
"""

import math
from functools import partial
from itertools import combinations_with_replacement
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from scipy.fft import next_fast_len

from quire.common.checks import check_at_least
from quire.common.equivariant.clebsch_gordan import real_clebsch_gordan
from quire.common.equivariant.irreps import at_least_float32, lmax_of, num_coefficients, per_degree
from quire.common.equivariant.sphere_grid import PRECISION, from_grid, to_grid
from quire.common.equivariant.torus_fourier import from_half_series, from_torus, half_series, to_torus
from quire.common.tables import cached_table
from quire.gaunt_tensor_product.initial import normal_weights


@partial(jax.jit, static_argnames=("nu", "lmax_out", "method"))
def gaunt_power(
    x: Float[Array, "*batch n"], nu: int, lmax_out: int | None = None, *, method: Literal["grid", "fft"] = "grid"
) -> Float[Array, "*batch n3"]:
    """`proj_{l <= lmax_out}(f^nu)`, nu equal factors on one grid that is fine enough for all of them.

    Args:
        x: coefficients `[..., (L + 1)^2]`.
        nu: number of factors.
        lmax_out: highest degree of the result; L when None.
        method: `"grid"` (quadrature on the sphere) or `"fft"` (Fourier series on the torus).

    Returns:
        `[..., (lmax_out + 1)^2]`.

    Raises:
        ValueError: if nu is below 1, `lmax_out` exceeds `nu L`, or the method is unknown.

    >>> bool(jnp.allclose(gaunt_power(jnp.arange(4.0), 1), jnp.arange(4.0), atol=1e-5))
    True
    """
    lmax = lmax_of(x)
    lmax_out = lmax if lmax_out is None else lmax_out
    if nu < 1 or not 0 <= lmax_out <= nu * lmax:
        raise ValueError(f"nu is {nu} and lmax_out {lmax_out}; nu is at least 1 and degrees go from 0 to nu * {lmax}")
    if method == "grid":
        degree = nu * lmax + lmax_out
        return from_grid(to_grid(at_least_float32(x), degree) ** nu, lmax_out, degree).astype(x.dtype)
    if method == "fft":
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        values = to_torus(half_series(rows), next_fast_len(2 * nu * lmax + 1)) ** nu
        power = from_half_series(from_torus(values, nu * lmax, lmax_out), lmax_out)
        return power.astype(x.dtype).reshape(*x.shape[:-1], num_coefficients(lmax_out))
    raise ValueError(f"method is {method!r}; choose from grid, fft")


@partial(jax.jit, static_argnames=("nu", "lmax_out"))
def many_body_terms(x: Float[Array, "*batch n"], nu: int, lmax_out: int) -> Float[Array, "nu *batch n3"]:
    """`proj(f), proj(f^2), ..., proj(f^nu)`, degrees that a power lacks being zero.

    Args:
        x: coefficients `[..., (L + 1)^2]`.
        nu: largest number of factors.
        lmax_out: highest degree of the results.

    Raises:
        ValueError: as for `gaunt_power`.

    >>> many_body_terms(jnp.ones((5, 9)), 3, 1).shape
    (3, 5, 4)
    """
    lmax = lmax_of(x)
    if nu < 1 or not 0 <= lmax_out <= nu * lmax:
        raise ValueError(f"nu is {nu} and lmax_out {lmax_out}; nu is at least 1 and degrees go from 0 to nu * {lmax}")
    degree = nu * lmax + lmax_out
    values = to_grid(x, degree)
    powers = [values]
    for _ in range(nu - 1):
        powers.append(powers[-1] * values)
    return from_grid(jnp.stack(powers), lmax_out, degree)


class ManyBody(nnx.Module):
    """`out = sum_nu w_nu[element, channel, l] proj_l(f_nu f^(nu - 1))`, by Gaunt products on one grid.

    In the authors' code all factors are f. With `weigh_inputs`, one factor `f_nu` of each order carries weights per element,
    channel and degree of its own, the weighted product of section 3.2.

    Args:
        nu: largest number of factors.
        lmax_in, lmax_out: degrees of f and of the result.
        num_elements: chemical elements; each has its own weights.
        channels: channels of f.
        weigh_inputs: see above.
        rngs: for the weights, standard normal.

    Raises:
        ValueError: for a size below 1, or degrees that the powers do not have.
    """

    def __init__(
        self,
        nu: int,
        lmax_in: int,
        lmax_out: int,
        num_elements: int,
        channels: int,
        *,
        weigh_inputs: bool = False,
        rngs: nnx.Rngs,
    ):
        check_block(nu, lmax_in, lmax_out, num_elements, channels)
        self.weights = normal_weights(rngs, (nu, num_elements, channels, lmax_out + 1))
        self.input_weights = normal_weights(rngs, (nu, num_elements, channels, lmax_in + 1)) if weigh_inputs else None
        self.lmax_in, self.lmax_out = lmax_in, lmax_out

    def __call__(
        self, x: Float[Array, "*batch channels n"], one_hot: Float[Array, "*batch elements"]
    ) -> Float[Array, "*batch channels n3"]:
        """Features `[..., channels, (lmax_in + 1)^2]` and elements, one-hot, to `[..., channels, (lmax_out + 1)^2]`.

        Raises:
            ValueError: if x has another number of channels or another degree, or the elements do not fit it.
        """
        nu, elements, channels, _ = self.weights.shape
        check_features(x, one_hot, channels, self.lmax_in, elements)
        first = x[None]
        if self.input_weights is not None:  # orders stand first, so that splitting them again costs nothing
            weights = per_degree(of_element(one_hot, self.input_weights[...]))
            first = jnp.stack([x * weights[..., k, :, :] for k in range(nu)])
        terms = _times_powers(first, x, nu, self.lmax_out) if self.lmax_out else _means_with_powers(first, x, nu)
        weights = per_degree(of_element(one_hot, self.weights[...]))
        return jnp.sum(terms * jnp.moveaxis(weights, -3, 0), axis=0)


def _times_powers(first: Array, x: Array, nu: int, lmax_out: int) -> Array:
    """`proj(f_1), proj(f_2 f), ..., proj(f_nu f^(nu - 1))`, the first factors `[nu or 1, ..., n]`."""
    degree = nu * lmax_of(x) + lmax_out
    values = to_grid(x, degree)
    return from_grid(to_grid(first, degree) * jnp.stack([values**k for k in range(nu)]), lmax_out, degree)


def _means_with_powers(first: Array, x: Array, nu: int) -> Array:
    """The same of degree 0 alone: an integral of two fields is a sum over their coefficients, and only powers need a grid."""
    lmax = lmax_of(x)
    degree = nu * lmax
    one = np.zeros(x.shape[-1], x.dtype)
    one[0] = (4 * np.pi) ** 0.5
    powers = [jnp.broadcast_to(one, x.shape), x][:nu]
    if nu > 2:
        values = to_grid(x, degree)
        powers += list(from_grid(jnp.stack([values**k for k in range(2, nu)]), lmax, degree))
    return jnp.sum(first * jnp.stack(powers), axis=-1, keepdims=True) / (4 * np.pi) ** 0.5


def of_element(one_hot: Float[Array, "*batch elements"], weights: Float[Array, "*orders elements channels k"]) -> Array:
    """The weights of each atom's element `[..., *orders, channels, k]`, by a product with its one-hot code.

    They are zero for an atom that only pads.
    """
    by_element = jnp.moveaxis(weights, -3, 0)
    flat = by_element.reshape(len(by_element), math.prod(by_element.shape[1:]))
    return jnp.matmul(one_hot.astype(flat.dtype), flat, precision=PRECISION).reshape(*one_hot.shape[:-1], *by_element.shape[1:])


def check_block(nu: int, lmax_in: int, lmax_out: int, num_elements: int, channels: int) -> None:
    """Raise a ValueError for a size below 1, or degrees that products of nu fields do not have."""
    for name, size in (("nu", nu), ("num_elements", num_elements), ("channels", channels)):
        check_at_least(name, size)
    if lmax_in < 0 or not 0 <= lmax_out <= nu * lmax_in:
        raise ValueError(f"lmax_in is {lmax_in} and lmax_out {lmax_out}; degrees of the product go from 0 to nu * lmax_in")


def check_features(x: Array, one_hot: Array, channels: int, lmax: int, elements: int) -> None:
    """Raise a ValueError unless x is `[..., channels, (lmax + 1)^2]` and `one_hot` `[..., elements]`."""
    if x.ndim < 2 or x.shape[-2:] != (channels, num_coefficients(lmax)):
        raise ValueError(f"x has shape {x.shape}; it must end in {channels} channels of (lmax + 1)^2 = {num_coefficients(lmax)}")
    if one_hot.shape != (*x.shape[:-2], elements):
        raise ValueError(f"one_hot has shape {one_hot.shape}; features {x.shape} need {(*x.shape[:-2], elements)}")


# --- The baseline: MACE's symmetric contraction ---


@cached_table(maxsize=None)
def symmetric_monomials(size: int, nu: int) -> np.ndarray:
    """Monomials of degree nu in `size` variables, as factors: int32 `[monomials, nu]`."""
    monomials = list(combinations_with_replacement(range(size), nu))
    return np.array(monomials, np.int32).reshape(len(monomials), nu)


@cached_table(maxsize=None)
def symmetric_couplings(lmax: int, nu: int, l_out: int) -> np.ndarray:
    """All independent ways to couple nu equal factors of degrees 0 .. lmax to degree `l_out`: the paths of MACE.

    Trees of Clebsch-Gordan couplings with an even sum of degrees, symmetrised over the factors; an orthonormal basis of what they
    span, separately for each multiset of degrees.

    Returns:
        float64 `[monomials, paths, 2 l_out + 1]`: `monomials(x) @ couplings` are the basis functions, in the order of
        `symmetric_monomials`.
    """
    monomials = symmetric_monomials(num_coefficients(lmax), nu)
    place = {tuple(m): i for i, m in enumerate(monomials.tolist())}
    blocks = []
    for degrees in combinations_with_replacement(range(lmax + 1), nu):
        if (sum(degrees) + l_out) % 2:
            continue
        trees = _coupling_trees(degrees, l_out)
        if not trees:
            continue
        rows = np.zeros((len(trees), len(monomials), 2 * l_out + 1))
        for row, tensor in zip(rows, trees, strict=True):
            for index in np.ndindex(tensor.shape[:-1]):
                factors = sorted(l * l + i for l, i in zip(degrees, index, strict=True))
                row[place[tuple(factors)]] += tensor[index]
        _, singular, basis = np.linalg.svd(rows.reshape(len(trees), -1), full_matrices=False)
        blocks.append(basis[singular > 1e-10].reshape(-1, len(monomials), 2 * l_out + 1))
    return np.concatenate(blocks).transpose(1, 0, 2) if blocks else np.zeros((len(monomials), 0, 2 * l_out + 1))


def _coupling_trees(degrees: tuple[int, ...], l_out: int) -> list[np.ndarray]:
    """Couplings `((l1 l2) l3) ... -> l_out` through every intermediate degree, `[2 l1 + 1, ..., 2 l_out + 1]`."""
    trees = {degrees[0]: [np.eye(2 * degrees[0] + 1)]}
    for k, l in enumerate(degrees[1:], 2):
        last = k == len(degrees)
        grown: dict[int, list[np.ndarray]] = {}
        for before, tensors in trees.items():
            for after in range(abs(before - l), before + l + 1):
                if last and after != l_out:
                    continue
                C = real_clebsch_gordan(before, l, after)
                grown.setdefault(after, []).extend(np.einsum("...i,ijk->...jk", tensor, C) for tensor in tensors)
        trees = grown
    return trees.get(l_out, [])


class SymmetricContraction(nnx.Module):
    """`out_l = sum_nu sum_path w[element, channel, path] (path of nu factors f to l)`: MACE's own product block.

    Arguments and call as for `ManyBody`; a weight for every independent path instead of one per degree.
    """

    def __init__(self, nu: int, lmax_in: int, lmax_out: int, num_elements: int, channels: int, *, rngs: nnx.Rngs):
        check_block(nu, lmax_in, lmax_out, num_elements, channels)
        paths = [sum(symmetric_couplings(lmax_in, k, l).shape[1] for l in range(lmax_out + 1)) for k in range(1, nu + 1)]
        self.weights = nnx.List(normal_weights(rngs, (num_elements, channels, count), max(1, count)) for count in paths)
        self.nu, self.lmax_in, self.lmax_out, self.channels, self.num_elements = nu, lmax_in, lmax_out, channels, num_elements

    def __call__(
        self, x: Float[Array, "*batch channels n"], one_hot: Float[Array, "*batch elements"]
    ) -> Float[Array, "*batch channels n3"]:
        """As `ManyBody`."""
        check_features(x, one_hot, self.channels, self.lmax_in, self.num_elements)
        orders = range(1, self.nu + 1)
        values = [_monomials(x, nu - 1) for nu in orders]
        weights = [of_element(one_hot, each[...]) for each in self.weights]
        parts, starts = [], [0] * self.nu
        for l in range(self.lmax_out + 1):
            mixed = jnp.zeros((*x.shape[:-1], (2 * l + 1) * x.shape[-1]), x.dtype)  # all paths, their last factor left out
            for k, nu in enumerate(orders):
                table = _split_couplings(self.lmax_in, nu, l)
                stop = starts[k] + table.shape[1]
                if stop > starts[k]:
                    flat = table.reshape(len(table), -1).astype(x.dtype)
                    paths = jnp.matmul(values[k], flat, precision=PRECISION).reshape(*x.shape[:-1], table.shape[1], -1)
                    mixed += jnp.sum(weights[k][..., starts[k] : stop, None] * paths, axis=-2)
                starts[k] = stop
            parts.append(jnp.sum(x[..., None, :] * mixed.reshape(*x.shape[:-1], 2 * l + 1, x.shape[-1]), axis=-1))
        return jnp.concatenate(parts, axis=-1)


@cached_table(maxsize=None)
def _split_couplings(lmax: int, nu: int, l_out: int) -> np.ndarray:
    """`symmetric_couplings` with the last factor of each monomial apart: `[monomials of nu - 1, paths, 2 l_out + 1,
    coefficients]`.

    Monomials of nu factors are then never formed: there are several times more of them. Weighing and summing the paths before
    the last factor comes in leaves one product with it.
    """
    size = num_coefficients(lmax)
    table = symmetric_couplings(lmax, nu, l_out)
    shorter = {tuple(m): i for i, m in enumerate(symmetric_monomials(size, nu - 1).tolist())}
    split = np.zeros((len(shorter), *table.shape[1:], size))
    for row, monomial in zip(table, symmetric_monomials(size, nu).tolist(), strict=True):
        split[shorter[tuple(monomial[:-1])], ..., monomial[-1]] = row
    return split


@cached_table(maxsize=None)
def _selections(size: int, nu: int) -> tuple[np.ndarray, ...]:
    """One-hot matrices `[size, monomials]` that pick each factor: products scatter nothing in the backward pass."""
    return tuple(np.eye(size)[:, column] for column in symmetric_monomials(size, nu).T)


def _monomials(x: Float[Array, "*batch n"], nu: int) -> Float[Array, "*batch monomials"]:
    """All monomials of degree nu in the coefficients."""
    if nu == 0:
        return jnp.ones_like(x[..., :1])
    if nu == 1:
        return x
    factors = [jnp.matmul(x, one.astype(x.dtype), precision=PRECISION) for one in _selections(x.shape[-1], nu)]
    return math.prod(factors[1:], start=factors[0])
