"""A small invariant task: name the tetris shape of four noisy points, with and without Selfmix layers."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int32

from quire.common.checks import check_at_least, check_positive
from quire.common.equivariant.irreps import per_degree
from quire.common.equivariant.radial import bessel_basis
from quire.common.equivariant.rotations import random_rotation
from quire.common.equivariant.spherical_harmonics import normalize, spherical_harmonics
from quire.gaunt_tensor_product.convolution import summed_convolution
from quire.gaunt_tensor_product.initial import normal_weights
from quire.gaunt_tensor_product.interaction import Selfmix
from quire.gaunt_tensor_product.tensor_product import gaunt_tensor_product

SHAPES = np.array(
    [
        [[0, 0, 0], [0, 0, 1], [1, 0, 0], [1, 1, 0]],
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]],
        [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 0, 3]],
        [[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]],
        [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0]],
        [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 1]],
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0]],
    ],
    np.float32,
)
"""Screw, square, line, corner, L, T and zigzag. The screw's mirror image is the same class: Gaunt products
cannot tell them apart."""


@dataclass(frozen=True)
class ShapeTask:
    """Network and training.

    Attributes:
        channels, lmax: of the features.
        noise: standard deviation of the displacement of each point; the edges have length 1.
        steps, batch_size, learning_rate: training with Adam on fresh samples.
        test_size: fresh samples of the test.

    Raises:
        ValueError: for a size below 1, a negative degree or noise, or a rate that is not positive.
    """

    channels: int = 8
    lmax: int = 2
    noise: float = 0.1
    steps: int = 300
    batch_size: int = 32
    learning_rate: float = 1e-2
    test_size: int = 1000

    def __post_init__(self):
        for name in ("channels", "steps", "batch_size", "test_size"):
            check_at_least(name, getattr(self, name))
        check_at_least("lmax", self.lmax, 0)
        check_noise(self.noise)
        check_positive("learning_rate", self.learning_rate)


def check_noise(noise: float) -> None:
    """Raise a ValueError unless `noise` is a standard deviation."""
    if not noise >= 0:
        raise ValueError(f"noise is {noise}; a standard deviation must be at least 0")


def sample_shapes(key: jax.Array, count: int, noise: float) -> tuple[Float[Array, "count 4 3"], Int32[Array, " count"]]:
    """Noisy shapes, turned at random, with their class.

    Raises:
        ValueError: if `count` or `noise` is negative.
    """
    check_at_least("count", count, 0)
    check_noise(noise)
    first, second, third = jax.random.split(key, 3)
    labels = jax.random.randint(first, (count,), 0, len(SHAPES), jnp.int32)
    points = jnp.asarray(SHAPES)[labels]
    points = points + noise * jax.random.normal(second, points.shape)
    return jnp.einsum("bij,bnj->bni", random_rotation(third, (count,)), points, precision="highest"), labels


class SwitchedMix(Selfmix):
    """Selfmix, or linear layers in its place, `x + W3 (W1 x + W2 x)`: as many parameters, no interaction.

    Which of them is a number that the layer holds, so that networks of both kinds are trained by one program.
    """

    def __init__(self, lmax: int, channels: int, *, selfmix: bool, rngs: nnx.Rngs):
        super().__init__(lmax, channels, rngs=rngs)
        self.selfmix = nnx.Variable(jnp.asarray(selfmix))

    def __call__(self, x: Float[Array, "*batch channels n"]) -> Float[Array, "*batch channels n"]:
        """`[..., channels, (lmax + 1)^2]` to the same shape."""
        left, right = self.left(x), self.right(x)
        mixed = jnp.where(self.selfmix[...], gaunt_tensor_product(left, right, self.lmax, self.method), left + right)
        return x + self.out(mixed)


class ShapeClassifier(nnx.Module):
    """Two rounds of messages between all points, each followed by a mixing layer, then an MLP on the summed scalars.

    The second round is an equivariant convolution. `selfmix=False` replaces the mixing layers by linear ones of equal size.
    """

    def __init__(self, task: ShapeTask, *, selfmix: bool, rngs: nnx.Rngs):
        channels, lmax, num_bessel = task.channels, task.lmax, 6
        self.first_radial, self.second_radial = (
            normal_weights(rngs, (num_bessel, channels * (lmax + 1)), num_bessel) for _ in range(2)
        )
        self.mixes = nnx.List(SwitchedMix(lmax, channels, selfmix=selfmix, rngs=rngs) for _ in range(2))
        self.hidden = nnx.Linear(channels, 32, rngs=rngs)
        self.out = nnx.Linear(32, len(SHAPES), rngs=rngs)
        self.channels, self.lmax, self.num_bessel = channels, lmax, num_bessel

    def __call__(self, points: Float[Array, "*batch atoms 3"]) -> Float[Array, "*batch classes"]:
        """Logits of point sets."""
        atoms, channels, lmax = points.shape[-2], self.channels, self.lmax
        vectors = points[..., None, :, :] - points[..., :, None, :]
        r = normalize(vectors)[1]
        other = (~np.eye(atoms, dtype=bool)).astype(points.dtype).reshape((1,) * (points.ndim - 2) + (atoms, atoms, 1, 1))
        basis = bessel_basis(r[..., 0], 6.0, self.num_bessel)

        def radial(kernel):
            weights = jnp.matmul(basis, kernel[...]).reshape(*basis.shape[:-1], channels, lmax + 1)
            return weights * other / max(1, atoms - 1)

        harmonics = spherical_harmonics(lmax, vectors, "component")[..., None, :]
        x = self.mixes[0]((per_degree(radial(self.first_radial)) * harmonics).sum(-3))
        x = self.mixes[1](x + summed_convolution(x, vectors, radial(self.second_radial)))
        return self.out(jax.nn.silu(self.hidden(x[..., 0].sum(-2))))


def shape_batches(task: ShapeTask, keys: jax.Array) -> tuple[Float[Array, "..."], Int32[Array, "..."]]:
    """Fresh samples for every step of every seed: points `[seeds, steps, batch, 4, 3]` and classes `[seeds, steps, batch]`."""
    draw = jax.jit(jax.vmap(lambda key: sample_shapes(jax.random.fold_in(key, 1), task.steps * task.batch_size, task.noise)))
    return jax.tree.map(lambda a: a.reshape(len(keys), task.steps, task.batch_size, *a.shape[2:]), draw(keys))


def nearest_shape(points: Float[Array | np.ndarray, "count atoms 3"]) -> Int32[np.ndarray, " count"]:
    """Classes by the nearest of the seven lists of sorted distances: no network, no training.

    Raises:
        ValueError: unless every shape has 4 points of 3 finite coordinates.

    >>> nearest_shape(SHAPES).tolist()
    [0, 1, 2, 3, 4, 5, 6]
    """

    if np.shape(points)[1:] != SHAPES.shape[1:] or not np.isfinite(points).all():
        raise ValueError(f"points has shape {np.shape(points)}; shapes are 4 points of 3 finite coordinates, [count, 4, 3]")

    def distances(x):
        rows, columns = np.triu_indices(x.shape[1], 1)
        return np.sort(np.linalg.norm(x[:, rows] - x[:, columns], axis=-1), axis=1)

    gaps = distances(np.asarray(points))[:, None] - distances(SHAPES)[None]
    return np.argmin(np.sum(gaps**2, axis=-1), axis=1).astype(np.int32)


def shape_loss(model: nnx.Module, batch: tuple[Array, Array], key: jax.Array) -> Float[Array, ""]:
    """Cross-entropy of points and classes."""
    points, labels = batch
    return optax.softmax_cross_entropy_with_integer_labels(model(points), labels).mean()
