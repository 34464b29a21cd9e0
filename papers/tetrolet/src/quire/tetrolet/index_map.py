"""What the tilings of an image cost: the entropy of the index map, and tilings that make it low."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.tetrolet.tilings import Labels, set_labels, tetromino_tilings, tetrominoes
from quire.tetrolet.transform import Coeffs, Image, tetrolet


def index_entropy(index: Int[Array | np.ndarray, "*batch blocks"], count: int) -> Float[Array, "*batch"]:
    """Entropy of the tilings of every image, `-sum_t p_t log2 p_t`, in bits a block.

    Args:
        index: a tiling for each block.
        count: of the tilings that there are.

    Raises:
        ValueError: for no blocks, or an index that is no tiling.

    >>> index_entropy(np.array([0, 0, 5, 7]), 117).item()
    1.5
    """
    check_ids("index", index, count)
    if not index.ndim or not index.shape[-1]:
        raise ValueError(f"index has shape {index.shape}; it needs [..., blocks], one block at least")
    number = jnp.arange(count).reshape(*[1] * index.ndim, -1)
    share = (jnp.asarray(index)[..., None] == number).mean(axis=-2)
    return jnp.sum(share * jnp.log2(1 / jnp.where(share == 0, 1, share)), axis=-1)


def entropy_report(c: Coeffs, count: int | None = None) -> dict[str, float]:
    """Bits a block by level, means over the images; all levels together; and what that makes in bits a pixel.

    Args:
        c: coefficients of images.
        count: of the tilings that were chosen among, 117 by default.

    >>> report = entropy_report(tetrolet(np.eye(16)))
    >>> report["level 1"], round(report["at a fixed length"], 2)
    (0.0, 6.87)
    """
    count = len(tetrominoes().order) if count is None else check_at_least("count", count)
    batch, pixels = c.low.shape[:-2], 16 * math.prod(c.index[0].shape[-2:])
    by_level = [index.reshape(*batch, -1) for index in c.index]
    whole = jnp.concatenate(by_level, axis=-1)
    bits = float(index_entropy(whole, count).mean())
    levels = {f"level {number + 1}": float(index_entropy(index, count).mean()) for number, index in enumerate(by_level)}
    return levels | {"all levels": bits, "at a fixed length": math.log2(count), "bits a pixel": bits * whole.shape[-1] / pixels}


def frequent_tilings(x: Image, count: int = 16, levels: int | None = None) -> Labels:
    """The tilings that images choose most often, the squares always among them and first: what a cheap encoder keeps.

    Args:
        x: images `[..., height, width]`.
        count: of tilings, 1 to 117.
        levels: as for `tetrolet`; all count alike.

    Returns:
        Labels, for `tilings_of`.

    Raises:
        ValueError: as for `tetrolet`, or for a count out of range.

    >>> frequent_tilings(np.eye(16), 2).shape
    (2, 16)
    """
    everything = set_labels(tetromino_tilings())
    if not 1 <= count <= len(everything):
        raise ValueError(f"count is {count}; it must be between 1 and {len(everything)}")
    chosen = np.concatenate([np.ravel(index) for index in tetrolet(x, levels).index])
    often = np.argsort(-np.bincount(chosen, minlength=len(everything))[1:], kind="stable")[: count - 1] + 1
    return everything[[0, *often]]
