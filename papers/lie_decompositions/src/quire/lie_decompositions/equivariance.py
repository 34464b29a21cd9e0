"""How far layers are from equivariance: exactly for quarter turns, up to the pixels for other maps."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.data.warp import affine_warp
from quire.common.random import generator
from quire.lie_decompositions.groups import MatrixGroup, Samples
from quire.lie_decompositions.kernels import KernelConfig
from quire.lie_decompositions.layers import GroupConv, LiftConv, lift, lift_kernel

SMALL = KernelConfig(hidden=16, depth=1)


def quarter_turns() -> Samples:
    """The four rotations by multiples of a right angle, without rounding."""
    g = np.array([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]], float)
    return Samples(g, g.transpose(0, 2, 1))


def quarter_turn_errors(
    groups: Sequence[MatrixGroup], key: jax.Array, dtype: Any, side: int = 9, channels: int = 3
) -> list[dict[str, float]]:
    """Largest difference between the layers of a turned image and the turned layers of the image; the largest value beside it.

    Args:
        groups: of the layers, lift and group convolution with random kernels.
        key: for image and kernels.
        dtype: of the computation.
        side: of the image, odd.
        channels: of both layers.

    Returns:
        Both numbers for every group.
    """
    rngs, layers = nnx.Rngs(key), []
    for group in groups:
        stem = LiftConv(group, 1, channels, 5, config=SMALL, rngs=rngs)
        layers += [stem, GroupConv(group, channels, channels, 3, config=SMALL, rngs=rngs)]
    graph, parameters = nnx.split(nnx.List(layers))
    image = generator(key).standard_normal((1, side, side, 1))
    both = np.concatenate([image, np.rot90(image, 1, (1, 2))])

    @jax.jit
    def run(parameters, samples, x):
        parts = nnx.merge(graph, parameters)
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return [conv(stem(x, samples.g_inv), samples.g, samples.g_inv) for stem, conv in pairs]

    inputs = jax.tree.map(lambda x: jnp.asarray(np.asarray(x), dtype), (parameters, quarter_turns(), both))
    found = []
    for straight, turned in map(np.asarray, run(*inputs)):
        expected = np.roll(np.rot90(straight, 1, (0, 1)), -1, axis=-1)
        found.append({"difference": float(np.abs(turned - expected).max()), "largest value": float(np.abs(straight).max())})
    return found


def blobs(side: int, matrix: Float[np.ndarray, "2 2"]) -> Float[np.ndarray, "1 side side 1"]:
    """A smooth image, moved by a matrix: a function of the plane, read at the pixels, whose square has sides of 2."""
    line = (2 * np.arange(side) + 1) / side - 1
    points = np.stack(np.meshgrid(line, line), -1) @ np.linalg.inv(matrix).T
    places = np.array([[0.25, 0.1], [-0.2, 0.25], [-0.05, -0.3], [0.1, -0.05]])
    square = np.sum((points[..., None, :] - places) ** 2, -1)
    return (np.exp(-square / 0.02) @ np.array([1.0, -0.7, 0.8, -0.5]))[None, ..., None]


class Waves(NamedTuple):
    """A kernel that has faded before it reaches the edges, also where an element stretches it: waves below a Gaussian.

    Attributes:
        directions: wave vectors `[waves, 2]`.
        phases: `[waves]`.
    """

    directions: Array | np.ndarray
    phases: Array | np.ndarray

    def __call__(self, p: Float[Array, "*batch 2"]) -> Float[Array, "*batch 1"]:
        """Values at positions."""
        angles = jnp.einsum("...a,wa->...w", p, self.directions, precision="highest")
        angles = angles + self.phases.reshape((1,) * (p.ndim - 1) + (-1,))
        return (jnp.sin(angles).mean(-1) * jnp.exp(-8 * jnp.sum(p**2, -1)))[..., None]


def random_waves(key: jax.Array, waves: int = 6) -> Waves:
    """Kernels of a few periods."""
    draw = generator(key)
    numbers = draw.normal(0, 2.5, (waves, 2)), draw.uniform(0, 2 * np.pi, waves)
    return Waves(*(x.astype(np.float32) for x in numbers))


def lift_error(group: MatrixGroup, samples: Samples, side: int, kernel: Waves, matrix: np.ndarray) -> dict[str, float]:
    """The lift of a moved image on g_j, against the lift of the image on `A^-1 g_j`, moved: relative, root mean square.

    A kernel covers a quarter of the image, at every resolution.

    Args:
        group: of the samples.
        samples: elements and inverses.
        side: of the images.
        kernel: a function of positions.
        matrix: A, of the group.

    Returns:
        The error, and that of moving the image only, with the samples left alone.
    """
    images = np.concatenate([blobs(side, matrix), blobs(side, np.eye(2))]).astype(np.float32)
    g_inv = np.asarray(samples.g_inv)
    both = np.concatenate([g_inv, g_inv @ matrix]).astype(np.float32)  # g^-1, and the inverses of A^-1 g
    found = _errors(group, kernel, images, both, np.asarray(matrix, np.float32))
    return dict(zip(("error", "samples left alone"), map(float, found), strict=True))


@partial(jax.jit, static_argnums=0)
def _errors(group, kernel, images, both, matrix):
    there, back = lift(images, lift_kernel(kernel, group, both, images.shape[1] // 4, 1))[..., 0, :]
    back = affine_warp(back[None], matrix)[0]
    count = len(both) // 2
    there = there[..., :count]
    return [_size(there - moved) / _size(there) for moved in (back[..., count:], back[..., :count])]


def _size(x):
    """Root mean square over the middle half."""
    cut = x.shape[0] // 4
    return jnp.sqrt(jnp.mean(x[cut:-cut, cut:-cut] ** 2))
