"""Nearest assignment, without learning: one codebook, one scaled for each group, one for each group, and what they are beside.

Rows of a weight are already in the order of their groups.
"""

from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.quant.scalar_codebooks import kmeans_1d
from quire.jlcm.codebook_tensor import CodebookTensor, code_bits

Variant = Literal["single", "scales", "codebooks", "uniform"]

SMALLEST = 1e-12
"""Scale of a group without weights."""


def nearest_assignment(
    weights: Float[Array | np.ndarray, "out *rest"],
    bits: int,
    variant: Variant = "single",
    group_sizes: tuple[int, ...] | None = None,
) -> CodebookTensor:
    """A weight with the nearest of `2^bits` codewords each; on the host.

    `single`: codewords by k-means of all weights. `scales` (S): `s_G = max |W_G|`, codewords by k-means of all `W_G / s_G`.
    `codebooks` (M): codewords of each group by k-means of its weights. `uniform`: the evenly spaced grid whose range has the
    smallest squared error.

    Args:
        weights: one neuron a row, further axes taken as they are.
        bits: 1 to 8.
        variant: see above.
        group_sizes: rows of each group, for S and M; one group by default.

    Raises:
        ValueError: for an unknown variant, bits out of range, sizes that do not add up to the rows, or weights that are not
            finite.

    >>> w = np.array([[0.0, 1.0], [0.1, 1.1], [0.0, 10.0]], np.float32)
    >>> for variant in ("single", "codebooks"):
    ...     print([f"{x:.2f}" for x in nearest_assignment(w, 1, variant, (2, 1)).dequantize().ravel()])
    ['0.44', '0.44', '0.44', '0.44', '0.44', '10.00']
    ['0.05', '1.05', '0.05', '1.05', '0.00', '10.00']
    """
    w = np.asarray(weights)
    sizes = (len(w),) if group_sizes is None else tuple(group_sizes)
    _check(w, bits, variant, sizes)
    k, scales = 2**bits, None
    parts = np.split(w, np.cumsum(sizes)[:-1]) if variant in ("scales", "codebooks") else [w]
    if variant == "scales":
        scales = np.array([max(np.abs(part).max(), SMALLEST) for part in parts], w.dtype)
        w = w / np.repeat(scales, sizes).reshape(-1, *(1,) * (w.ndim - 1))
        books = kmeans_1d(w, k).centres[None]
    elif variant == "uniform":
        books = _even_grid(w, k)[None]
    else:
        books = np.stack([kmeans_1d(part, k).centres for part in parts])
    kept = sizes if variant in ("scales", "codebooks") else (len(w),)
    coded = [w] if len(books) == 1 else parts
    codes = np.concatenate([_nearest(part, book) for part, book in zip(coded, books, strict=True)])
    return CodebookTensor(codes, books, scales, kept)


def _check(w: np.ndarray, bits: int, variant: str, sizes: tuple[int, ...]) -> None:
    if variant not in get_args(Variant):
        raise ValueError(f"variant is {variant!r}; it must be one of {', '.join(get_args(Variant))}")
    if not 1 <= bits <= 8:
        raise ValueError(f"bits is {bits}; it must be between 1 and 8")
    if w.ndim < 2 or w.size == 0 or not jnp.issubdtype(w.dtype, jnp.floating) or not np.isfinite(w).all():
        raise ValueError(f"weights are {w.dtype} of shape {w.shape}; they need [out, ...], floating point, all finite")
    if not sizes or min(sizes) < 1 or sum(sizes) != len(w):
        raise ValueError(f"group_sizes is {sizes}; it must have positive numbers that add up to the {len(w)} rows")


def _nearest(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """As `assign_1d`, on the host: groups have many shapes, each of which would be a program to compile."""
    return np.searchsorted((centres[1:] + centres[:-1]) / 2, x).astype(np.int32)


def _even_grid(w: np.ndarray, k: int, starts: int = 15, iters: int = 8) -> np.ndarray:
    """Evenly spaced codewords with a small squared error: from several ranges, codes and a line through them in turns."""
    x = w.ravel().astype(np.float64)
    low, high, best = x.min(), x.max(), (np.inf, 0.0, 0.0)
    for share in np.linspace(0.3, 1, starts):
        first, step = low + (1 - share) * (high - low) / 2, share * (high - low) / (k - 1)
        for _ in range(iters):
            codes = np.clip(np.round((x - first) / max(step, SMALLEST)), 0, k - 1)
            spread = codes - codes.mean()
            step = (spread * x).sum() / max((spread**2).sum(), SMALLEST)
            first = x.mean() - step * codes.mean()
            best = min(best, (((x - first - step * codes) ** 2).sum(), first, step))
    return (best[1] + best[2] * np.arange(k)).astype(w.dtype)


def best_of_codebooks(
    weights: Float[np.ndarray, "out *rest"], tensor: CodebookTensor
) -> tuple[Float[np.ndarray, "out *rest"], int]:
    """What the grouping saves: every weight takes the best of all codebooks, and an index says which.

    Args:
        weights: as they were quantised.
        tensor: with a codebook for each group.

    Returns:
        The weights, and bits: those of the codes, of an index a weight, and of the codebooks.
    """
    books = np.asarray(tensor.codebooks)
    words = np.sort(books.ravel())
    index = code_bits(len(books)) + code_bits(books.shape[1])
    return words[_nearest(weights, words)], int(np.size(weights)) * index + 32 * books.size


def relative_error(weights: np.ndarray, tensor: CodebookTensor) -> float:
    """`sum (W - What)^2 / sum W^2`."""
    w = np.asarray(weights, np.float64)
    return float(((w - np.asarray(tensor.dequantize())) ** 2).sum() / (w**2).sum())
