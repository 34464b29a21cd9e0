"""Polynomials that PPGN++ cannot compute, as input channels (paper, section 5)."""

from collections.abc import Sequence
from functools import cache

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from quire.common.checks import at_least_float32, check_at_least, floating
from quire.common.graphs.contraction import EDGE_BANK, failures
from quire.common.graphs.evaluate import as_diagonal, evaluate
from quire.common.graphs.multigraph import MultiGraph
from quire.common.roots import root


@cache
def missing_polynomials(max_degree: int = 6) -> tuple[MultiGraph, ...]:
    """Connected simple multigraphs up to this degree that the edge-based bank cannot compute, by degree and number of red nodes.

    One at degree 5 and eleven at degree 6, both orientations of a red pair included.

    Raises:
        ValueError: for a negative degree.
    """
    check_at_least("max_degree", max_degree, 0)
    return tuple(h for d in range(1, max_degree + 1) for red in (0, 1, 2) for h in failures(EDGE_BANK, d, red))


def polynomial_features(
    A: Float[Array, "*batch n n"], graphs: Sequence[MultiGraph], mask: Float[Array, "*batch 1 n n"] | None = None
) -> Float[Array, "*batch k n n"]:
    """`P_H(A)` as matrices: a red pair as it is, one red node on the diagonal, none as a constant matrix.

    Args:
        A: adjacency matrices `[..., n, n]`, zero where padded; float64 where counts may pass 2^24.
        graphs: the multigraphs H.
        mask: 1 on pairs of true nodes `[..., 1, n, n]`; constants are kept off the padding.

    Returns:
        `[..., k, n, n]`.

    Raises:
        ValueError: if `graphs` is empty, or A or the mask do not fit.
    """
    if not graphs:
        raise ValueError("graphs is empty; give at least one multigraph")
    if mask is not None and mask.shape != (*A.shape[:-2], 1, *A.shape[-2:]):
        raise ValueError(f"mask has shape {mask.shape}; it needs {(*A.shape[:-2], 1, *A.shape[-2:])} to fit A")
    channels = []
    for graph in graphs:
        value = evaluate(graph, A)
        if len(graph.red) == 1:
            value = as_diagonal(value)
        elif not graph.red:
            value = jnp.broadcast_to(value[..., None, None], A.shape)
        channels.append(value)
    features = jnp.stack(channels, -3)
    return features if mask is None else features * mask


def normalise_features(F: Float[Array, "*batch k n n"]) -> Float[Array, "*batch k n n"]:
    """Divide by the norm across channels at every pair, then every channel by its Frobenius norm.

    Zeros stay zeros, with a finite derivative, and squares of large counts or of small ones cost no digits.

    Raises:
        ValueError: for fewer than three axes.
    """
    if F.ndim < 3:
        raise ValueError(f"F has shape {F.shape}; it needs [..., k, n, n]")
    (F,) = floating(F)
    (wide,) = at_least_float32(F)
    for axes in (-3, (-2, -1)):
        largest = lax.stop_gradient(jnp.max(jnp.abs(wide), axis=axes, keepdims=True, initial=0))
        wide = wide / jnp.where(largest == 0, 1, largest)  # the norm that follows does not see this factor
        norm = root(jnp.sum(wide**2, axis=axes, keepdims=True))
        wide = wide / jnp.where(norm == 0, 1, norm)
    return wide.astype(F.dtype)


def occurring(graphs: Sequence[MultiGraph], F: Float[Array | np.ndarray, "*batch k n n"]) -> tuple[MultiGraph, ...]:
    """The multigraphs whose features `F` are not zero everywhere: most motifs never occur in molecules.

    Raises:
        ValueError: if `F` does not have one channel for each multigraph.
    """
    if F.ndim < 3 or F.shape[-3] != len(graphs):
        raise ValueError(f"F has shape {F.shape}; it needs a channel for each of the {len(graphs)} multigraphs, [..., k, n, n]")
    found = (F != 0).any((*range(F.ndim - 3), -2, -1))
    return tuple(graph for graph, there in zip(graphs, found.tolist(), strict=True) if there)
