"""C2 and C3: how few coefficients hold an image, for tetrolets and for what they are compared with."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.random import generator
from quire.tetrolet.config import Sparsity
from quire.tetrolet.index_map import index_entropy
from quire.tetrolet.shrinkage import threshold
from quire.tetrolet.strokes import strokes_and_edges
from quire.tetrolet.tilings import SQUARE, Labels, Tilings, squares, tetrominoes, tilings_of
from quire.tetrolet.transform import Coeffs, flatten, itetrolet, tetrolet

PLACE_AND_VALUE = 8.0
"""Bits that the value of a kept coefficient takes; its place takes the logarithm of the number of pixels."""


def random_groupings(key: jax.Array, count: int = 117) -> Labels:
    """Squares, and cells drawn into four sets of four that need not touch: as much to choose among, without the geometry.

    >>> random_groupings(jax.random.key(0), 3).shape
    (3, 16)
    """
    draw = generator(key)
    return np.array([SQUARE, *(draw.permutation(np.repeat(range(4), 4)) for _ in range(count - 1))])


def candidates(key: jax.Array) -> dict[str, Tilings]:
    """What a block may be cut into."""
    return {"tetrolets": tetrominoes(), "Haar": squares(), "random groupings": tilings_of(random_groupings(key))}


def sorted_energies(c: Coeffs) -> Float[np.ndarray, "batch pixels"]:
    """Squares of coefficients by falling size, as parts of the sum."""
    energy = np.sort(np.square(np.asarray(flatten(c), float)), axis=-1)[..., ::-1]
    return energy / np.maximum(energy.sum(axis=-1, keepdims=True), np.finfo(float).tiny)


def few_term_psnr(c: Coeffs, counts: Float[np.ndarray, " batch"]) -> Float[np.ndarray, " batch"]:
    """PSNR of images, of which as many coefficients are kept as `counts` says, grey values in 0..1; by Parseval, no inverse.

    Between two whole numbers the error is interpolated.
    """
    energy = np.sort(np.square(np.asarray(flatten(c), float)), axis=-1)[..., ::-1]
    left = np.concatenate([np.zeros((len(energy), 1)), np.cumsum(energy[:, ::-1], axis=1)], axis=1)[:, ::-1]  # left[m]: after m
    place = np.arange(left.shape[1])
    error = np.array([np.interp(count, place, row) for count, row in zip(counts, left, strict=True)])
    return -10 * np.log10(error / energy.shape[1])


def index_bits(c: Coeffs, tilings: Tilings) -> Float[np.ndarray, " batch"]:
    """Bits of the tilings of every image, at the entropy of each."""
    whole = jnp.concatenate([index.reshape(len(index), -1) for index in c.index], axis=1)
    return np.asarray(index_entropy(whole, len(tilings.order))) * whole.shape[1]


def approximations(config: Sparsity, key: jax.Array) -> dict[str, float]:
    """PSNR by few terms, means over drawings and over the parts that are kept.

    `Haar at equal bits` keeps as many more coefficients as the tilings cost.
    """
    x = strokes_and_edges(key, config.num_drawings, config.size).astype(np.float32)
    pixels = config.size**2
    price = PLACE_AND_VALUE + np.log2(pixels)
    choices = candidates(key)
    found = {name: tetrolet(x, config.drawing_levels, tilings=tilings) for name, tilings in choices.items()}
    counts = [np.full(len(x), part * pixels) for part in config.kept]
    psnr = {name: float(np.mean([few_term_psnr(c, count) for count in counts])) for name, c in found.items()}
    extra = index_bits(found["tetrolets"], choices["tetrolets"]) / price
    psnr["Haar at equal bits"] = float(np.mean([few_term_psnr(found["Haar"], count + extra) for count in counts]))
    psnr["one grey"] = float(np.mean(-10 * np.log10(x.var(axis=(1, 2)))))
    return psnr | {"coefficients that the tilings cost": float(extra.mean())}


def denoised(config: Sparsity, key: jax.Array) -> dict[str, float]:
    """PSNR after shrinkage, means over drawings; thresholds chosen on others for each transform."""
    draw = generator(jax.random.fold_in(key, 1))
    clean = [strokes_and_edges(k, config.num_drawings, config.size) for k in (key, jax.random.fold_in(key, 2))]
    noisy = [(x + config.noise * draw.standard_normal(x.shape)).astype(np.float32) for x in clean]
    psnr = {"noisy": _psnr(noisy[0], clean[0])}
    for name, tilings in {"tetrolets": tetrominoes(), "Haar": squares()}.items():
        c = [tetrolet(x, config.drawing_levels, tilings=tilings) for x in noisy]
        shrunk = lambda c, t, tilings=tilings: itetrolet(threshold(c, t * config.noise), tilings)  # noqa: E731
        best = max(config.thresholds, key=lambda t, c=c, shrunk=shrunk: _psnr(shrunk(c[1], t), clean[1]))
        psnr[name], psnr[f"threshold, {name}"] = _psnr(shrunk(c[0], best), clean[0]), best
    return psnr


def _psnr(x: Array | np.ndarray, clean: np.ndarray) -> float:
    return float(np.mean(-10 * np.log10(((np.asarray(x, float) - clean) ** 2).mean(axis=(1, 2)))))
