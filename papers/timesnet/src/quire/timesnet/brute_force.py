"""The block by its definition, in NumPy loops: what the fast form is measured against."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import erf, softmax

from quire.common.layers.timesnet import Inception, TimesBlock


def conv2d(x: Float[np.ndarray, "rows cols i"], kernel: np.ndarray, bias: np.ndarray) -> Float[np.ndarray, "rows cols o"]:
    """One map, one kernel, entry by entry."""
    rows, cols, _ = x.shape
    up, left = kernel.shape[0] // 2, kernel.shape[1] // 2
    out = np.zeros((rows, cols, kernel.shape[3])) + bias
    for r, c in np.ndindex(rows, cols):
        for i, j in np.ndindex(*kernel.shape[:2]):
            a, b = r + i - up, c + j - left
            if 0 <= a < rows and 0 <= b < cols:
                out[r, c] += x[a, b] @ kernel[i, j]
    return out


def inception(layer: Inception, x: Float[np.ndarray, "rows cols i"]) -> Float[np.ndarray, "rows cols o"]:
    """Mean of the convolutions with every kernel."""
    pairs = zip(layer.kernels, layer.biases, strict=True)
    return np.mean([conv2d(x, np.asarray(kernel[...]), np.asarray(bias[...])) for kernel, bias in pairs], axis=0)


def times_block(block: TimesBlock, x: Float[np.ndarray, "b t d"]) -> tuple[Float[np.ndarray, "b t d"], Sequence[int]]:
    """Output of a block and its periods: spectrum, fold, convolve, unfold, mix, step by step."""
    b, length, dim = x.shape
    t = np.arange(length)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(length // 2 + 1), t) / length)
    amplitude = np.abs(np.einsum("ft,btd->bfd", waves, x)).mean(axis=2)
    mean = amplitude.mean(axis=0)
    mean[0] = 0
    frequencies = np.argsort(-mean, kind="stable")[: block.top_k]
    weights = softmax(amplitude[:, frequencies], axis=1)
    out = x.copy()
    for place, frequency in enumerate(frequencies):
        period = length // frequency
        rows = -(-length // period)
        for sample in range(b):
            folded = np.zeros((rows * period, dim))
            folded[:length] = x[sample]
            hidden = inception(block.up, folded.reshape(rows, period, dim))
            hidden = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
            out[sample] += weights[sample, place] * inception(block.down, hidden).reshape(rows * period, dim)[:length]
    return out, [int(length // f) for f in frequencies]
