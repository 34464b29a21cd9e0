"""Infinite-width limits of deep networks under muP: by the Tensor-Program calculus, and, where linear, as a small network."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.mup.mlp import Nonlinearity, check_rate
from quire.common.mup.tensor_program import TensorProgram, Vector


class DeepLimit(NamedTuple):
    """Outputs before each step, and at test inputs after the last."""

    trajectory: Float[Array, " steps"]
    test: Float[Array, " tests"]


def deep_limit(
    program: TensorProgram,
    X: Float[AnyArray, "steps d"],
    y: Float[AnyArray, " steps"],
    X_test: Float[AnyArray, "tests d"],
    *,
    depth: int,
    eta: float,
    phi: Nonlinearity,
    readout: bool = True,
) -> DeepLimit:
    """Single-example SGD on `(f - y)^2 / 2` for `depth` hidden layers, every vector replaced by its limit.

    A trained matrix is its start and a sum of outer products, so `W_t x = W_0 x - eta sum_s chi_s dh_s E[Z^{x_s} Z^x]`.

    Args:
        program: a fresh one; its number of samples sets the accuracy where phi is not linear.
        X, y: the example of every step, `[steps, d]` and `[steps]`.
        X_test: where to evaluate at the end.
        depth: number of hidden layers.
        eta: learning rate.
        phi: nonlinearity.
        readout: whether the readout starts at N(0, 1) (times 1/n) or at 0.

    Raises:
        ValueError: if `depth` is below 1, X and y differ in length, or `eta` is negative.
    """
    check_at_least("depth", depth)
    check_examples(X, y, X_test)
    check_rate("eta", eta)
    net = _Network(program, X.shape[1], depth, phi, readout)
    outputs = []
    for x, target in zip(np.asarray(X, float), np.asarray(y, float), strict=True):
        hidden, features = net.forward(x)
        f = program.moment(net.v, features[-1])
        net.update(x, hidden, features, eta * (f - target))
        outputs.append(f)
    test = [program.moment(net.v, net.forward(x)[1][-1]) for x in np.asarray(X_test, float)]
    return DeepLimit(jnp.array(outputs), jnp.array(test))


def check_examples(
    X: Float[AnyArray, "steps d"], y: Float[AnyArray, " steps"], X_test: Float[AnyArray, "tests d"] | None = None
) -> None:
    """Every step needs an input and its target, and a test an input of the same size.

    Raises:
        ValueError: if X is not `[steps, d]` or y not `[steps]`, with at least one step, or X_test not `[tests, d]`.
    """
    if X.ndim != 2 or y.shape != X.shape[:1] or not len(y):
        raise ValueError(f"X has shape {X.shape} and y {y.shape}; they need [steps, d] and [steps], with at least one step")
    if X_test is not None and (X_test.ndim != 2 or X_test.shape[1] != X.shape[1]):
        raise ValueError(f"X_test has shape {X_test.shape}; it needs [tests, {X.shape[1]}]")


class _Network:
    """The program's vectors and matrices that make up the network, and the outer products added by training."""

    def __init__(self, program: TensorProgram, dim: int, depth: int, phi: Nonlinearity, readout: bool):
        self.program, self.phi = program, phi
        self.u = [program.gaussian() for _ in range(dim)]
        self.v = program.gaussian() if readout else program.constant(0.0)
        self.W = [program.matrix() for _ in range(depth - 1)]
        self.updates: list[list[tuple[float, Vector, Vector]]] = [[] for _ in self.W]  # (rate, dh, x): W -= rate dh x^T / n

    def forward(self, x: Float[np.ndarray, " d"]) -> tuple[list[Vector], list[Vector]]:
        hidden = [self.program.combine(list(x), self.u)]
        features = [self.program.nonlin(self.phi, hidden[0])]
        for layer in range(len(self.W)):
            hidden.append(self._apply(layer, features[-1]))
            features.append(self.program.nonlin(self.phi, hidden[-1]))
        return hidden, features

    def _apply(self, layer: int, x: Vector, *, transpose: bool = False) -> Vector:
        start = self.program.matmul(self.W[layer], x, transpose=transpose)
        outer = [(rate, *((b, a) if transpose else (a, b))) for rate, a, b in self.updates[layer]]
        coefficients = [-rate * self.program.moment(right, x) for rate, _, right in outer]
        return self.program.combine([1.0, *coefficients], [start, *(left for _, left, _ in outer)])

    def update(self, x: Float[np.ndarray, " d"], hidden: list[Vector], features: list[Vector], rate: float) -> None:
        """One step for all weights from the old values; derivatives are scaled by n to stay of order one."""
        back, new = self.v, []
        for layer in range(len(hidden) - 1, -1, -1):
            back = self.program.nonlin(lambda d, h: d * jax.jvp(self.phi, (h,), (jnp.ones_like(h),))[1], back, hidden[layer])
            if layer:
                new.append((layer - 1, (rate, back, features[layer - 1])))
                back = self._apply(layer - 1, back, transpose=True)
        self.u = [self.program.combine([1.0, -rate * x[i]], [u, back]) for i, u in enumerate(self.u)]
        self.v = self.program.combine([1.0, -rate], [self.v, features[-1]])
        for layer, outer in new:
            self.updates[layer].append(outer)


def deep_linear_limit(
    X: Float[AnyArray, "steps d"],
    y: Float[AnyArray, " steps"],
    X_test: Float[AnyArray, "tests d"],
    *,
    depth: int,
    eta: float,
    readout: bool = True,
) -> DeepLimit:
    """The limit for a linear network of any depth, exact: samples are matched in their moments, so there is no sampling error.

    Raises:
        ValueError: as for `deep_limit`.
    """
    check_at_least("depth", depth)
    check_examples(X, y, X_test)
    gaussians = X.shape[1] + 1 + 2 * max(depth - 1, 0) * (len(X) + len(X_test)) * (X.shape[1] + 1)
    program = TensorProgram(jax.random.key(0), gaussians + 8)
    return deep_limit(program, X, y, X_test, depth=depth, eta=eta, phi=lambda h: h, readout=readout)


def chain_limit(
    X: Float[AnyArray, "steps d"], y: Float[AnyArray, " steps"], X_test: Float[AnyArray, "tests d"], eta: float | Float[Array, ""]
) -> DeepLimit:
    """Two hidden linear layers: the limit is ordinary SGD on a small deterministic network.

    The Gaussians form d + 1 chains of T + 1 vectors. W_0 has ones on the diagonal of a chain and on its superdiagonal (the chains
    that start from the columns of U) or subdiagonal (the one that starts from the readout).

    Raises:
        ValueError: if X and y differ in length, or `eta` is negative.
    """
    check_examples(X, y, X_test)
    check_rate("eta", eta)
    dim, length = X.shape[1], X.shape[0] + 1
    identity, above = np.eye(length), np.eye(length, k=1)
    W = scipy.linalg.block_diag(*[identity + above] * dim, identity + above.T)
    starts = np.eye(len(W))[::length].T
    U, v = starts[:, :dim], starts[:, dim]

    def step(state, example):
        U, W, v = state
        x, target = example
        h1 = U @ x
        h2 = W @ h1
        f = v @ h2
        rate = eta * (f - target)
        new = U - rate * jnp.outer(W.T @ v, x), W - rate * jnp.outer(v, h1), v - rate * h2
        return new, f

    (U, W, v), outputs = jax.lax.scan(step, tuple(jnp.asarray(w, float) for w in (U, W, v)), (X, y))
    return DeepLimit(outputs, jnp.asarray(X_test) @ (U.T @ (W.T @ v)))
