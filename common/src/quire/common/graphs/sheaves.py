"""Cellular sheaves on graphs: restriction maps, coboundary, Laplacian, energy and harmonic space.

A sheaf gives every node and every edge a vector space, its *stalk*, and every node at an edge a linear *restriction map* from the
stalk of the node into that of the edge. Features that all maps bring into agreement are *global sections*; the Laplacian
`L = delta^T delta` measures disagreement. Everything here works on edges: no matrix of size (n d) x (n d) is ever formed,
except by `todense`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.checks import floating, is_concrete
from quire.common.graphs.edges import Graph, degrees, sum_sides, symmetric_product
from quire.common.graphs.stalk_maps import inverse_sqrt, stalk_product

MapKind = Literal["scalar", "diagonal", "orthogonal", "general"]


def apply_maps(maps: Array, x: Array) -> Array:
    """Each map times its row of x: numbers on `[e, h]`, diagonals and matrices on `[e, d, h]`."""
    return stalk_product(maps, x) if maps.ndim == 3 else maps[..., None] * x


def transposed(maps: Array) -> Array:
    """The adjoint of each map."""
    return maps.mT if maps.ndim == 3 else maps


@partial(jax.tree_util.register_dataclass, data_fields=["graph", "maps", "diagonal", "scale"], meta_fields=["kind"])
@dataclass(frozen=True)
class SheafLaplacian:
    """Sheaf Laplacian as an operator; made by `sheaf_laplacian`.

    Features are `[n, h]` for scalar maps and `[n, d, h]` for the others: h channels on stalks of dimension d.

    Attributes:
        graph: the edges.
        maps: restriction maps of both sides of every edge, in the order of `graph.directed`: `[2 m]`, `[2 m, d]` or
            `[2 m, d, d]`.
        diagonal: blocks `D_s = sum_e F_s^T F_s` of the plain Laplacian, of the shape of a map.
        scale: `(D + I)^(-1/2)`, or None for the plain Laplacian.
        kind: of the maps.
    """

    graph: Graph
    maps: Array
    diagonal: Array
    scale: Array | None
    kind: MapKind

    @property
    def stalk_shape(self) -> tuple[int, ...]:
        """`()` for scalar maps, `(d,)` for the others."""
        return self.maps.shape[1:2]

    def coboundary(self, x: Array) -> Array:
        """`(delta x)_e = F_j x_j - F_i x_i` for every pair (i, j): disagreement on the edges, `[m, ..., h]`."""
        self._check(x)
        return self._differences(self._scaled(x))

    def matvec(self, x: Array) -> Array:
        """`L x`, or `(D + I)^(-1/2) L (D + I)^(-1/2) x`, without forming L.

        Raises:
            ValueError: if x does not have a row for every node and coordinate of the stalks.
        """
        self._check(x)
        x = self._scaled(x)
        m = self.graph.num_edges
        if self.kind == "scalar":
            mixed = symmetric_product(self.graph, self.maps[:m] * self.maps[m:], x)
            return self._scaled(apply_maps(self.diagonal, x) - mixed)
        difference = self._differences(x)
        sides = apply_maps(transposed(self.maps), jnp.concatenate([-difference, difference]))
        return self._scaled(sum_sides(self.graph, sides))

    def energy(self, x: Array) -> Float[Array, ""]:
        """Dirichlet energy `tr(x^T L x) = |delta x|^2`: one term for each undirected edge."""
        return jnp.sum(self.coboundary(x) ** 2)

    def harmonic(self, x: Array, *, tolerance: float = 1e-6, max_steps: int | None = None) -> Array:
        """Orthogonal projection to the kernel of the operator: `x - z` with `L z = L x`, z by conjugate gradients from zero.

        Args:
            x: features.
            tolerance: relative residual to stop at; float32 reaches 1e-6 on well-conditioned graphs.
            max_steps: iterations at most; twice the number of unknowns if left out.

        Returns:
            The projection; NaN in a traced function if the residual stays above ten times the tolerance.

        Raises:
            ValueError: if the residual stays above ten times the tolerance.
        """
        steps = 2 * self.graph.num_nodes * (self.stalk_shape or (1,))[0] if max_steps is None else max_steps
        target = self.matvec(x)
        z, _ = jax.scipy.sparse.linalg.cg(self.matvec, target, tol=tolerance, maxiter=steps)
        left, bound = jnp.linalg.norm(target - self.matvec(z)), jnp.linalg.norm(target)
        if is_concrete(left) and not left <= 10 * tolerance * bound:
            raise ValueError(
                f"max_steps is {steps} and tolerance {tolerance}; a residual of {float(left / bound):.1e} is left: "
                "allow more steps or a larger tolerance, or work in float64"
            )
        return jnp.where(left <= 10 * tolerance * bound, x - z, jnp.nan)

    def todense(self) -> Float[Array, "nd nd"]:
        """The matrix, rows and columns ordered by node, then by stalk coordinate; for tests and small graphs."""
        stalks = (self.graph.num_nodes, *self.stalk_shape)
        size = self.graph.num_nodes * (self.stalk_shape or (1,))[0]
        eye = jnp.eye(size, dtype=self.maps.dtype).reshape(*stalks, size)
        return self.matvec(eye).reshape(size, size)

    def _differences(self, x: Array) -> Array:
        at_first, at_second = jnp.split(apply_maps(self.maps, x[self.graph.pairs.reshape(-1)]), 2)
        return at_second - at_first

    def _scaled(self, x: Array) -> Array:
        if self.scale is None:
            return x
        return self.scale.reshape(-1, *[1] * (x.ndim - 1)) * x if self.scale.ndim == 1 else apply_maps(self.scale, x)

    def _check(self, x: Array) -> None:
        wanted = (self.graph.num_nodes, *self.stalk_shape)
        if x.ndim != len(wanted) + 1 or x.shape[:-1] != wanted:
            raise ValueError(f"x has shape {x.shape}; {self.kind} maps on {wanted[0]} nodes need {(*wanted, 'channels')}")


def check_kind(kind: str) -> None:
    """One of the kinds of maps.

    Raises:
        ValueError: otherwise.
    """
    if kind not in get_args(MapKind):
        raise ValueError(f"kind is {kind!r}; it must be one of {list(get_args(MapKind))}")


def sheaf_laplacian(graph: Graph, maps: Array, kind: MapKind, *, normalised: bool = True) -> SheafLaplacian:
    """Laplacian of a sheaf, normalised as `(D + I)^(-1/2) L (D + I)^(-1/2)`; D is its block diagonal.

    Blocks: `L_ss = sum_e F_s^T F_s`, `L_st = -F_s^T F_t`. The `+ I` keeps isolated nodes harmless, and the eigenvalues of the
    normalised form lie in `[0, 2)`.

    Args:
        graph: the edges.
        maps: restriction maps in the order of `graph.directed`: `[2 m]` for scalar, `[2 m, d]` for diagonal, `[2 m, d, d]` for
            orthogonal and general maps.
        kind: of the maps. Orthogonal maps are trusted to be orthogonal: their D is the degree.
        normalised: False for L itself.

    Raises:
        ValueError: for another kind, or maps that do not fit the kind or the graph.

    >>> from quire.common.graphs.edges import undirected
    >>> sheaf_laplacian(undirected([[0], [1]], 2), jnp.array([2.0, 1.0]), "scalar", normalised=False).todense().tolist()
    [[4.0, -2.0], [-2.0, 1.0]]
    """
    check_kind(kind)
    (maps,) = floating(maps)
    ndim = {"scalar": 1, "diagonal": 2}.get(kind, 3)
    if maps.ndim != ndim or maps.shape[0] != 2 * graph.num_edges or (ndim == 3 and maps.shape[1] != maps.shape[2]):
        shape = ("2 m", "d", "d")[:ndim]
        raise ValueError(f"maps has shape {maps.shape}; {kind} maps of m = {graph.num_edges} edges need ({', '.join(shape)})")
    if kind == "orthogonal":
        degree = degrees(graph, maps.dtype)
        diagonal = degree[:, None, None] * jnp.eye(maps.shape[-1], dtype=maps.dtype)[None]
        scale = jax.lax.rsqrt(degree + 1)
    elif kind == "general":
        diagonal = sum_sides(graph, stalk_product(maps.mT, maps))
        scale = inverse_sqrt(diagonal + jnp.eye(maps.shape[-1], dtype=maps.dtype)[None]) if normalised else None
    else:
        diagonal = sum_sides(graph, maps**2)
        scale = jax.lax.rsqrt(diagonal + 1)
    return SheafLaplacian(graph, maps, diagonal, scale if normalised else None, kind)
