"""How far apart two clouds of points are, and how alike two sets of clouds.

References:
    Achlioptas et al., *Learning Representations and Generative Models for 3D Point Clouds*, 2018 (coverage, minimum matching
    distance); Lopez-Paz and Oquab, *Revisiting Classifier Two-Sample Tests*, 2017 (1-nearest-neighbour accuracy).
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import floating
from quire.common.roots import root

REDUCTIONS: dict[str, Callable] = {"mean": jnp.mean, "sum": jnp.sum}


def nearest_distances(a: Real[AnyArray, "n d"], b: Real[AnyArray, "..."], *, block: int = 1024) -> Float[Array, " n"]:
    """Euclidean distance from every point of `a` to the nearest one of `b`.

    Differences are formed before they are squared, so that small distances keep their digits; memory is `block * m * d` numbers.

    Args:
        a, b: clouds `[n, d]` and `[m, d]`.
        block: points of `a` that are worked on at a time.

    Raises:
        ValueError: for an empty cloud, or points of another dimension.

    >>> nearest_distances(jnp.array([[0.0], [5.0]]), jnp.array([[1.0], [7.0]])).tolist()
    [1.0, 2.0]
    """
    a, b = _clouds(a, b)
    # a last axis of two or three coordinates does not vectorise, the points do
    squared = jax.lax.map(lambda point: jnp.sum((b.T - point[:, None]) ** 2, 0).min(), a, batch_size=min(block, len(a)))
    return root(squared)


def chamfer(
    a: Real[AnyArray, "n d"],
    b: Real[AnyArray, "..."],
    *,
    power: int = 2,
    reduce: Literal["mean", "sum"] = "mean",
) -> Float[Array, ""]:
    """Chamfer distance: `reduce_i min_j |a_i - b_j|^power + reduce_j min_i |a_i - b_j|^power`.

    Both directions are added; papers that report their mean report half of it.

    Args:
        a, b: clouds `[n, d]` and `[m, d]`.
        power: 2 for squared distances, 1 for distances.
        reduce: `"mean"` or `"sum"` over the points of a cloud.

    Raises:
        ValueError: for an empty cloud, points of another dimension, another power or reduction.

    >>> print(f"{chamfer(jnp.array([[0.0], [4.0]]), jnp.array([[1.0]])):.1f}")
    6.0
    """
    if power not in (1, 2) or reduce not in REDUCTIONS:
        raise ValueError(f"power is {power} and reduce {reduce!r}; they must be 1 or 2, and one of {', '.join(REDUCTIONS)}")
    there, back = nearest_distances(a, b), nearest_distances(b, a)
    return REDUCTIONS[reduce](there**power) + REDUCTIONS[reduce](back**power)


@jax.jit
def chamfer_table(a: Real[AnyArray, "g n d"], b: Real[AnyArray, "..."]) -> Float[Array, "g r"]:
    """Chamfer distances between all clouds of two sets, as `chamfer` with its defaults; one table of differences a pair.

    Args:
        a, b: clouds `[g, n, d]` and `[r, m, d]`.

    Raises:
        ValueError: for empty clouds, or points of another dimension.

    >>> chamfer_table(jnp.array([[[0.0], [4.0]]]), jnp.array([[[1.0]], [[0.0]]])).tolist()
    [[6.0, 8.0]]
    """
    if a.ndim != 3 or b.ndim != 3 or a.shape[2] != b.shape[2] or not (a.size and b.size):
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; sets of clouds are [g, n, d] and [r, m, d], none empty")
    a, b = floating(a, b)

    def distance(p, q):
        squared = sum((x[:, None] - y[None]) ** 2 for x, y in zip(p.T, q.T, strict=True))
        return squared.min(1).mean() + squared.min(0).mean()

    return jax.lax.map(lambda p: jax.vmap(lambda q: distance(p, q))(b), a)


def hausdorff(a: Real[AnyArray, "n d"], b: Real[AnyArray, "..."]) -> Float[Array, ""]:
    """Hausdorff distance: the largest distance from a point of one cloud to the other cloud.

    Raises:
        ValueError: for an empty cloud, or points of another dimension.

    >>> hausdorff(jnp.array([[0.0], [4.0]]), jnp.array([[1.0]])).item()
    3.0
    """
    return jnp.maximum(nearest_distances(a, b).max(), nearest_distances(b, a).max())


def earth_mover(a: Real[AnyArray, "n d"], b: Real[AnyArray, "..."]) -> float:
    """Earth mover's distance of two clouds of one size: mean Euclidean cost of the best one-to-one matching, by SciPy.

    Raises:
        ValueError: for clouds of different sizes, an empty one, or numbers that are not finite.

    >>> earth_mover(np.array([[0.0], [1.0]]), np.array([[1.0], [3.0]]))
    1.5
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.ndim != 2 or a.shape != b.shape or not a.size:
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; a matching needs two clouds [n, d] of one size, n at least 1")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a or b has numbers that are not finite")
    cost = cdist(a, b)
    return float(cost[linear_sum_assignment(cost)].mean())


class SetMetrics(NamedTuple):
    """How a set of generated clouds compares with a set of reference clouds.

    Attributes:
        mmd: minimum matching distance, the mean over references of the distance to the nearest generated one; small is good.
        coverage: share of the references that are the nearest one of some generated cloud; 1 is best.
        nearest_neighbour: leave-one-out accuracy of telling the two sets apart by the nearest neighbour; 1/2 is best.
    """

    mmd: float
    coverage: float
    nearest_neighbour: float


def set_metrics(
    generated: Float[np.ndarray, "g g"], across: Float[np.ndarray, "..."], references: Float[np.ndarray, "..."]
) -> SetMetrics:
    """Minimum matching distance, coverage and 1-nearest-neighbour accuracy from distances between clouds.

    Ties go to the smaller index, generated clouds first. A cloud is not its own neighbour, whatever the diagonals hold.

    Args:
        generated: distances among the generated clouds, `[g, g]`.
        across: from generated clouds to references, `[g, r]`.
        references: among the references, `[r, r]`.

    Raises:
        ValueError: for shapes that do not fit, empty sets, or numbers that are NaN.

    >>> among = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> set_metrics(among, np.array([[5.0, 6.0], [4.0, 7.0]]), among)
    SetMetrics(mmd=5.0, coverage=0.5, nearest_neighbour=1.0)
    """
    generated, across, references = (np.asarray(x, np.float64) for x in (generated, across, references))
    shapes = generated.shape, across.shape, references.shape
    if across.ndim != 2 or not across.size or shapes != ((len(across),) * 2, across.shape, (across.shape[1],) * 2):
        raise ValueError(f"generated, across and references have shapes {shapes}; they need [g, g], [g, r] and [r, r]")
    if any(np.isnan(x).any() for x in (generated, across, references)):
        raise ValueError("a distance is NaN")
    joint = np.block([[generated, across], [across.T, references]])
    np.fill_diagonal(joint, np.inf)
    is_generated = np.arange(len(joint)) < len(across)
    told = is_generated[joint.argmin(1)] == is_generated
    covered = np.unique(across.argmin(1)).size / across.shape[1]
    return SetMetrics(float(across.min(0).mean()), float(covered), float(told.mean()))


def _clouds(a: AnyArray, b: AnyArray) -> tuple[Array, ...]:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1:] != b.shape[1:] or not (a.size and b.size):
        raise ValueError(f"a has shape {a.shape} and b {b.shape}; clouds are [n, d] and [m, d] with at least one point each")
    return floating(a, b)
