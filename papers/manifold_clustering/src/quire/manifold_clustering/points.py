"""What is clustered: curves on a sphere, digits, photographs; their augmentations; and the imbalanced versions."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least
from quire.common.data.images import cifar10, cifar10_subset, digits, pixels
from quire.common.data.warp import affine_warp
from quire.common.random import generator


class Points(NamedTuple):
    """Points `[n, ...]`, classes that only evaluation sees `[n]`, and the name of the set."""

    x: np.ndarray
    labels: np.ndarray
    name: str


def curves(key: jax.Array, n: int, *, count: int = 3, dim: int = 10) -> Points:
    """Closed curves on the unit sphere: `unit(c / 2 + a cos t + b sin t)` with normal a, b, c for each; t is uniform.

    Raises:
        ValueError: for fewer points than curves, or fewer than two dimensions.

    >>> points = curves(jax.random.key(0), 6)
    >>> points.x.shape, points.labels.tolist(), bool(np.allclose(np.linalg.norm(points.x, axis=1), 1))
    ((6, 10), [0, 0, 1, 1, 2, 2], True)
    """
    check_at_least("n", n, check_at_least("count", count))
    check_at_least("dim", dim, 2)
    draw = generator(key)
    labels = np.sort(np.arange(n) % count).astype(np.int32)
    angle = draw.uniform(0, 2 * np.pi, n)
    basis = np.stack([np.full(n, 0.5), np.cos(angle), np.sin(angle)], axis=1)
    x = np.einsum("nh,nhd->nd", basis, draw.standard_normal((count, 3, dim))[labels])
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return Points(x.astype(np.float32), labels, f"{count} curves on the sphere in R^{dim}, {n} points")


def load_points(kind: str, n: int, key: jax.Array) -> Points:
    """Points of a study: curves of their own for every key, or n random images of a set, grey values at mean 0 and variance 1.

    Raises:
        DatasetUnavailable: if images are missing and cannot be downloaded.
        ValueError: for another kind, or more images than there are.
    """
    loaders = {"digits": digits, "cifar10-subset": cifar10_subset, "cifar10": cifar10}
    if kind == "curves":
        return curves(key, n)
    if kind not in loaders:
        raise ValueError(f"points is {kind!r}; it must be one of curves, {', '.join(loaders)}")
    data = loaders[kind]()
    if not 1 <= n <= len(data.train):
        raise ValueError(f"n is {n}; {data.name} has {len(data.train)} training images")
    kept = np.sort(generator(key).permutation(len(data.train))[:n])
    x = np.asarray(pixels(data.train.images[kept]), np.float32)
    return Points((x - x.mean()) / x.std(), data.train.labels[kept], f"{data.name}; {n} images without labels")


def imbalanced(points: Points, key: jax.Array) -> Points:
    """Half of every odd class left out, at random.

    >>> few = imbalanced(Points(np.zeros((8, 1)), np.array([0] * 4 + [1] * 4), "eight"), jax.random.key(0))
    >>> np.bincount(few.labels).tolist(), few.name
    ([4, 2], 'eight, odd classes halved')
    """
    draw, kept = generator(key), np.ones(len(points.labels), bool)
    for label in np.unique(points.labels):
        members = np.flatnonzero(points.labels == label)
        if label % 2:
            kept[draw.permutation(members)[: len(members) // 2]] = False
    return Points(points.x[kept], points.labels[kept], f"{points.name}, odd classes halved")


def augment(kind: str, x: Float[np.ndarray, "m ..."], noise: float, draw: np.random.Generator) -> Float[np.ndarray, "m ..."]:
    """Another view of every point, drawn on the host; images are warped by one compiled call.

    Noise on curves, back to the sphere; small rotations, shifts, scales and noise on digits; resized crops, flips and colours on
    photographs, as in SimCLR.

    >>> x = curves(jax.random.key(0), 3).x
    >>> view = augment("curves", x, 0.1, np.random.default_rng(0))
    >>> bool(np.allclose(np.linalg.norm(view, axis=1), 1)), bool((np.sum(x * view, axis=1) > 0.8).all())
    (True, True)
    """
    if kind == "curves":
        x = x + noise * draw.standard_normal(x.shape, np.float32)
        return x / np.linalg.norm(x, axis=1, keepdims=True)
    matrix, shift = _small_motions(len(x), draw) if kind == "digits" else _crops(len(x), x.shape[1], draw)
    darkest = x.min()  # outside of the image
    warped = np.asarray(_warp(x - darkest, matrix, shift)) + darkest
    if kind != "digits":
        warped = _recoloured(warped, draw)
    return warped + noise * draw.standard_normal(x.shape, np.float32) if noise else warped


_warp = jax.jit(affine_warp)


def _small_motions(m, draw):
    """Rotations to 12 degrees, scales from 0.9 to 1.1, shifts to 0.7 pixels."""
    angle, scale = draw.uniform(-0.21, 0.21, m), draw.uniform(0.9, 1.1, m)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.stack([cos, -sin, sin, cos], axis=1).reshape(m, 2, 2)
    return matrix.astype(np.float32), draw.uniform(-0.7, 0.7, (m, 2)).astype(np.float32)


def _crops(m, side, draw):
    """Crops of 20 to 100 % of the area, of aspect 3/4 to 4/3, at full size again; half of them mirrored."""
    root = np.sqrt(draw.uniform(0.2, 1, m))
    aspect = np.exp(draw.uniform(np.log(3 / 4), np.log(4 / 3), m) / 2)
    size = np.minimum(np.stack([root * aspect, root / aspect], axis=1), 1)
    centre = draw.uniform(-1, 1, (m, 2)) * (1 - size) * side / 2
    scale = 1 / size
    scale[:, 0] *= draw.choice([-1, 1], m)
    matrix = np.zeros((m, 2, 2))
    matrix[:, 0, 0], matrix[:, 1, 1] = scale.T
    return matrix.astype(np.float32), (-scale * centre).astype(np.float32)


def _recoloured(x, draw):
    """Brightness, contrast and saturation of four fifths of the images; one fifth becomes grey."""
    m = len(x)
    jittered = draw.uniform(size=(m, 1, 1, 1)) < 0.8
    brightness = np.where(jittered, draw.uniform(-0.4, 0.4, (m, 1, 1, 1)), 0)
    contrast, saturation = (np.where(jittered, draw.uniform(0.6, 1.4, (m, 1, 1, 1)), 1) for _ in range(2))
    saturation = np.where(draw.uniform(size=(m, 1, 1, 1)) < 0.2, 0, saturation)
    mean = x.mean((1, 2, 3), keepdims=True)
    x = mean + contrast * (x - mean) + brightness
    grey = x.mean(-1, keepdims=True)
    return (grey + saturation * (x - grey)).astype(np.float32)
