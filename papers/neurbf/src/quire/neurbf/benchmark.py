"""What `quire bench neurbf` times: features of the k nearest bases gathered, and those of all bases under a mask."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.spatial import KDTree

from quire.common.bench import Benchmark, Case
from quire.common.random import generator
from quire.neurbf.composition import log_frequencies, multi_frequency, normalise, rbf_features
from quire.neurbf.kernels import Kernels, rbf_eval

NEIGHBOURS, CHANNELS, POINTS_A_KERNEL = 4, 32, 16
FREQUENCIES = log_frequencies(2.0**-3, 2.0**12, CHANNELS).astype(np.float32)


def gathered(
    centers: Float[Array, "k 2"],
    shapes: Float[Array, "k 2 2"],
    weights: Float[Array, "k f"],
    x: Float[Array, "n 2"],
    index: Array,
) -> Float[Array, "n f"]:
    """The responses of kept neighbours, and their sum."""
    phi = normalise(rbf_eval("ivq_a", x, centers[index], shapes[index]))
    return rbf_features(weights, index, phi, FREQUENCIES)


def masked(
    centers: Float[Array, "k 2"],
    shapes: Float[Array, "k 2 2"],
    weights: Float[Array, "k f"],
    x: Float[Array, "n 2"],
    index: Array,
) -> Float[Array, "n f"]:
    """Every basis at every point, all but the neighbours set to zero: the definition, with dense sums."""
    member = jnp.zeros((len(x), len(centers))).at[jnp.arange(len(x))[:, None], index].set(1.0)

    def one(args):
        point, mask = args
        phi = rbf_eval("ivq_a", point[None], centers[None], shapes[None])[0] * mask
        return jnp.sum(weights * multi_frequency(normalise(phi), FREQUENCIES), axis=0)

    return jax.lax.map(one, (x, member), batch_size=64)


def problem(n: int, key: jax.Array) -> tuple[Kernels, Array, Array, Int[np.ndarray, "n k"]]:
    """n points, a sixteenth as many kernels, their weights, and the neighbours by a k-d tree."""
    draw, count = generator(key), n // POINTS_A_KERNEL
    centers = draw.uniform(-1, 1, (count, 2)).astype(np.float32)
    shapes = np.broadcast_to(np.eye(2, dtype=np.float32) * count, (count, 2, 2))
    x = draw.uniform(-1, 1, (n, 2)).astype(np.float32)
    index = KDTree(centers).query(x, NEIGHBOURS)[1].astype(np.int32)
    weights = draw.standard_normal((count, CHANNELS)).astype(np.float32)
    return Kernels("ivq_a", jnp.asarray(centers), jnp.asarray(shapes)), jnp.asarray(weights), jnp.asarray(x), index


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """The gathered form costs as much as there are points, the masked one points times kernels."""
    kernels, weights, x, index = problem(n, key)
    args = (kernels.centers, kernels.shapes, weights, x, jnp.asarray(index))
    found = {"nearest bases, gathered": Case(gathered, args, n * NEIGHBOURS * CHANNELS * 3.0)}
    if n <= LARGEST_MASKED:
        found["all bases, masked"] = Case(masked, args, n * len(kernels.centers) * CHANNELS * 3.0)
    return found


LARGEST_MASKED = 8192

benchmark = Benchmark(
    f"Multi-frequency features, {NEIGHBOURS} of n / {POINTS_A_KERNEL} bases, {CHANNELS} channels",
    size="points n",
    sizes=(1024, 2048, 4096, 8192, 16_384, 32_768),
    cases=cases,
)
