"""The wave equation `u_tt = div(c^2 grad u)` on a rectangle: bilinear elements, consistent mass, Newmark steps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Real, ScalarLike

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive, floating
from quire.common.pde.newmark import Boundary, Motion, newmark
from quire.common.pde.tensor_mesh import Diagonalisation, along_axes, fast_diagonalisation, grid_stiffness, line_matrices

Edge = Literal["neumann", "dirichlet"]
Speed = float | Array | Callable[[Float[Array, "points 2"]], Float[Array, " points"]]


@dataclass(frozen=True)
class WaveFE:
    """A membrane of `nx` times `ny` elements; node `(i, j)` has the number `i (ny + 1) + j`.

    Attributes:
        nx, ny: elements along x and y.
        lx, ly: lengths of the sides.
        c: speed of sound, one number (it may be traced) or a function of points `[n, 2]`.
        bc: at all edges: free (`neumann`), or held at zero (`dirichlet`).

    Raises:
        ValueError: if a size is not positive or `bc` is unknown.

    >>> fe = WaveFE(4, 3)
    >>> fe.nodes().shape, f"{fe.mass().sum():.3f}"
    ((20, 2), '1.000')
    """

    nx: int
    ny: int
    lx: float = 1.0
    ly: float = 1.0
    c: Speed = 1.0
    bc: Edge = "neumann"

    def __post_init__(self):
        for name in ("nx", "ny"):
            check_at_least(name, getattr(self, name))
        for name in ("lx", "ly") if callable(self.c) else ("lx", "ly", "c"):
            check_positive(name, getattr(self, name))
        if self.bc not in get_args(Edge):
            raise ValueError(f"bc is {self.bc!r}; it must be one of {', '.join(get_args(Edge))}")

    @property
    def shape(self) -> tuple[int, int]:
        """Nodes along x and y."""
        return self.nx + 1, self.ny + 1

    @property
    def spacing(self) -> tuple[float, float]:
        """Edges of an element."""
        return self.lx / self.nx, self.ly / self.ny

    def nodes(self) -> Float[np.ndarray, "n 2"]:
        """Positions of the nodes."""
        axes = np.linspace(0, self.lx, self.nx + 1), np.linspace(0, self.ly, self.ny + 1)
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)

    def edge_nodes(self) -> Int[np.ndarray, " b"]:
        """Numbers of the nodes on the edges."""
        return ring(self.shape)

    def mass(self) -> Float[Array, "n n"]:
        """The consistent mass matrix, of all nodes."""
        (mx, _), (my, _) = self._lines()
        return jnp.asarray(np.kron(mx, my))

    def stiffness(self) -> Float[Array, "n n"]:
        """`int c^2 grad N_i . grad N_j` of all nodes; a function c is evaluated at 3 x 3 Gauss points in each element."""
        speed = self.c
        if isinstance(speed, Callable):
            return grid_stiffness((self.nx, self.ny), self.spacing, lambda x: speed(x) ** 2)
        (mx, kx), (my, ky) = self._lines()
        return speed**2 * jnp.asarray(np.kron(kx, my) + np.kron(mx, ky))

    def newmark(
        self,
        u0: Real[AnyArray, " n"],
        v0: Real[AnyArray, " n"],
        dt: ScalarLike,
        steps: int,
        boundary: Boundary | None = None,
        *,
        a0: Real[AnyArray, " n"] | None = None,
    ) -> Motion:
        """The motion of all nodes, `[steps + 1, n]`; see `quire.common.pde.newmark`.

        With a speed of one number and no driven nodes, steps are solved by fast diagonalisation, else by a dense factor.

        Args:
            u0, v0: displacement and velocity at the start; zero at edges that are held.
            dt, steps, a0: as of `newmark`.
            boundary: driven nodes, instead of the edges' own condition.

        Raises:
            ValueError: as `newmark`.
        """
        self._check_nodes("u0", u0)
        self._check_nodes("v0", v0)
        if boundary is None and not callable(self.c):
            return self._newmark_by_modes(u0, v0, dt, steps, a0)
        if boundary is None and self.bc == "dirichlet":
            edge = self.edge_nodes()
            boundary = Boundary(edge, np.zeros((steps + 1, edge.size)))
        return newmark(self.mass(), self.stiffness(), u0, v0, dt, steps, boundary, a0=a0)

    def _check_nodes(self, name, values):
        if np.shape(values) != (n := self.shape[0] * self.shape[1],):
            raise ValueError(f"{name} has shape {np.shape(values)}; this mesh has {n} nodes")

    def energy(self, u: Real[AnyArray, "*times n"], v: Real[AnyArray, "*times n"]) -> Float[Array, "*times"]:
        """`v^T M v / 2 + u^T K u / 2`.

        Raises:
            ValueError: if u and v differ in shape or do not end in one number a node.
        """
        n = self.shape[0] * self.shape[1]
        if np.shape(u) != np.shape(v) or np.shape(u)[-1:] != (n,):
            raise ValueError(f"u has shape {np.shape(u)} and v {np.shape(v)}; they need [*times, {n}]")
        u, v = floating(u, v)
        mass, stiffness = self.mass().astype(u.dtype), self.stiffness().astype(u.dtype)
        return (jnp.sum(v * (v @ mass), axis=-1) + jnp.sum(u * (u @ stiffness), axis=-1)) / 2

    def acceleration(self, u: Real[AnyArray, " n"]) -> Float[Array, " n"]:
        """`-M^-1 K u`, zero at edges that are held; for a speed of one number.

        Raises:
            ValueError: if the speed is a function, or u has another shape.
        """
        self._check_nodes("u", u)
        _, stiffness, solve = self._operators()
        return self._whole(solve(-stiffness(self._free(u)), 1.0, 0.0))

    def diagonalisation(self) -> Diagonalisation:
        """Modes of the free nodes for c = 1: the squares of their frequencies are the eigenvalues."""
        return fast_diagonalisation(self._lines(self._held))

    def _lines(self, held: int = 0):
        """Mass and stiffness along x and along y, without the nodes that are held at the ends."""
        lines = [line_matrices(n, h) for n, h in zip((self.nx, self.ny), self.spacing, strict=True)]
        return [tuple(matrix[held : len(matrix) - held, held : len(matrix) - held] for matrix in line) for line in lines]

    @property
    def _held(self) -> int:
        return int(self.bc == "dirichlet")

    def _free(self, values):
        """Values at the free nodes, on their grid."""
        held = self._held
        return floating(values)[0].reshape(self.shape)[held : self.shape[0] - held, held : self.shape[1] - held]

    def _whole(self, grid):
        """Values at all nodes, zero at those that are held."""
        around = [(0, 0)] * (grid.ndim - 2) + [(self._held, self._held)] * 2
        return jnp.pad(grid, around).reshape(*grid.shape[:-2], -1)

    def _operators(self):
        """What applies mass and stiffness on the grid of free nodes, and what solves with both."""
        if callable(self.c):
            raise ValueError("c is a function; modes need a speed of one number")
        square = self.c**2
        (mx, kx), (my, ky) = self._lines(self._held)
        basis = self.diagonalisation()

        def mass(u):
            return along_axes((mx, my), u)

        def stiffness(u):
            return square * (along_axes((kx, my), u) + along_axes((mx, ky), u))

        def solve(right, mass_weight, stiffness_weight):
            return basis.solve(right, mass_weight, stiffness_weight * square)

        return mass, stiffness, solve

    def _newmark_by_modes(self, u0, v0, dt, steps, a0):
        mass, stiffness, solve = self._operators()
        start = None if a0 is None else self._free(a0)
        motion = newmark(mass, stiffness, self._free(u0), self._free(v0), dt, steps, a0=start, solve=solve)
        return Motion(*(self._whole(x) for x in motion))


def ring(shape: tuple[int, int]) -> Int[np.ndarray, " b"]:
    """Numbers of the nodes at the rim of a grid of nodes, ascending.

    >>> ring((3, 3)).tolist()
    [0, 1, 2, 3, 5, 6, 7, 8]
    """
    inner = np.zeros(shape, bool)
    inner[1:-1, 1:-1] = True
    return np.flatnonzero(~inner)
