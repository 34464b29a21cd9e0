"""The definitions point by point and ray by ray in NumPy and float64, to compare the fast forms with."""

from itertools import product

import numpy as np

from quire.common.fields.hash_grid import PRIMES, HashLevels
from quire.common.fields.radiance import CLIP

PLANES, LINES = ((0, 1), (0, 2), (1, 2)), (2, 1, 0)


def harmonics(d: np.ndarray) -> np.ndarray:
    """The sixteen real spherical harmonics of one direction, with the constants of the authors' code."""
    x, y, z = d
    return np.array(
        [
            0.28209479177387814,
            -0.48860251190291987 * y,
            0.48860251190291987 * z,
            -0.48860251190291987 * x,
            1.0925484305920792 * x * y,
            -1.0925484305920792 * y * z,
            0.94617469575755997 * z * z - 0.31539156525251999,
            -1.0925484305920792 * x * z,
            0.54627421529603959 * (x * x - y * y),
            0.59004358992664352 * y * (y * y - 3 * x * x),
            2.8906114426405538 * x * y * z,
            0.45704579946446572 * y * (1 - 5 * z * z),
            0.3731763325901154 * z * (5 * z * z - 3),
            0.45704579946446572 * x * (1 - 5 * z * z),
            1.4453057213202769 * z * (x * x - y * y),
            0.59004358992664352 * x * (3 * y * y - x * x),
        ]
    )


def read_grid(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Linear interpolation between the nodes around one point; nodes at -1 and 1, zero beyond."""
    sizes = values.shape[:-1]
    position = (np.asarray(x) + 1) / 2 * (np.array(sizes) - 1)
    cell = np.floor(position).astype(int)
    total = np.zeros(values.shape[-1])
    for corner in product((0, 1), repeat=len(sizes)):
        node = cell + corner
        if all(0 <= i < n for i, n in zip(node, sizes, strict=True)):
            total += np.prod([f if c else 1 - f for f, c in zip(position - cell, corner, strict=True)]) * values[tuple(node)]
    return total


def hash_features(table: np.ndarray, levels: HashLevels, x: np.ndarray) -> np.ndarray:
    """The encoding of one point: strides while they fit the entries of a level, and the hash where the last does not."""
    point, found = (np.asarray(x) + 1) / 2, []
    for scale, side, entries, offset in zip(levels.scales, levels.sides, levels.entries, levels.offsets[:-1], strict=True):
        position = point * scale + 0.5
        total = np.zeros(table.shape[1])
        for corner in product((0, 1), repeat=3):
            node = [int(np.floor(p)) + c for p, c in zip(position, corner, strict=True)]
            index, stride = 0, 1
            for i in node:
                if stride <= entries:
                    index, stride = index + i * stride, stride * side
            if stride > entries:
                index = 0
                for i, prime in zip(node, PRIMES, strict=True):
                    index ^= (i * prime) % 2**32
            weight = np.prod([p % 1 if c else 1 - p % 1 for p, c in zip(position, corner, strict=True)])
            total += weight * table[offset + index % entries]
        found.append(total)
    inside = ((point >= 0) & (point <= 1)).all()
    return np.concatenate(found) * inside


def perceptron(matrices: list[np.ndarray], h: np.ndarray) -> np.ndarray:
    """Products with matrices `[in, out]`, negative numbers cut between them."""
    for i, matrix in enumerate(matrices):
        h = (np.maximum(h, 0) if i else h) @ matrix
    return h


def sigmoid(x: np.ndarray) -> np.ndarray:
    """`1 / (1 + exp(-x))`."""
    return 1 / (1 + np.exp(-x))


def hash_field(table, levels, sigma_net, color_net, x, d):
    """16 numbers and the colour of one point."""
    feat = perceptron(sigma_net, hash_features(table, levels, x))
    feat[0] = np.clip(feat[0], *CLIP)
    return feat, sigmoid(perceptron(color_net, np.concatenate([harmonics(d), feat[1:]])))


def mlp_field(kernels, biases, octaves, skip, sigma_net, color_net, x, d):
    """16 numbers and the colour of one point."""
    waves = np.concatenate([x, *(wave(2.0**k * x) for k in range(octaves) for wave in (np.sin, np.cos))])
    h = waves
    for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        h = h @ kernel + bias
        if i < len(kernels) - 1:
            h = np.maximum(h, 0)
        if i == skip:
            h = np.concatenate([waves, h])
    feat = perceptron(sigma_net, h)
    feat[0] = np.clip(feat[0], *CLIP)
    return feat, sigmoid(perceptron(color_net, np.concatenate([harmonics(d), feat[1:]])))


def vm_field(planes, lines, density_rank, basis, color_net, x, d):
    """16 numbers and the colour of one point."""
    pairs = zip(planes, lines, PLANES, LINES, strict=True)
    products = [read_grid(plane, x[list(pair)]) * read_grid(line, x[[axis]]) for plane, line, pair, axis in pairs]
    density = sum(p[:density_rank].sum() for p in products)
    colour = np.concatenate([p[density_rank:] for p in products]) @ basis
    feat = np.clip(np.concatenate([[density], colour]), *CLIP)
    return feat, sigmoid(perceptron(color_net, np.concatenate([harmonics(d), feat[1:]])))


def voxel_field(grid, x, d):
    """Log-density and colour of one point."""
    raw = read_grid(grid, x)
    coefficients = raw[1:].reshape(3, -1)
    return np.clip(raw[:1], *CLIP), sigmoid(coefficients @ harmonics(d)[: coefficients.shape[1]])


def ray(sigma, rgb, delta, background):
    """Weights and colour of one ray, sample by sample."""
    left, weights, colour = 1.0, [], np.zeros(3)
    for s, c, length in zip(sigma, rgb, delta, strict=True):
        alpha = 1 - np.exp(-s * length)
        weights.append(left * alpha)
        colour = colour + left * alpha * c
        left *= 1 - alpha
    return np.array(weights), colour + left * background
