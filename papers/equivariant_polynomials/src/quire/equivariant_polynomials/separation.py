"""Strongly regular graphs: can an untrained network tell them apart? (paper, section 6.1)"""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from flax import nnx

from quire.common.data.graph_sets import strongly_regular
from quire.common.data.source import Source, open_or
from quire.common.graphs.dense import pad_graphs, rook_4x4, shrikhande, triangular_8_and_chang
from quire.common.graphs.multigraph import MultiGraph
from quire.common.graphs.ppgn import PPGNPlusPlus, read_only_first
from quire.common.train.seeds import over_seeds, stack
from quire.equivariant_polynomials.features import polynomial_features


def indistinguishable_fraction(embeddings: np.ndarray, tol: float = 1e-8) -> float:
    """Share of pairs of rows at most `tol` times the largest norm apart.

    Args:
        embeddings: `[graphs, out]`.
        tol: relative tolerance.

    Raises:
        ValueError: for fewer than two rows, numbers that are not finite, or a negative tolerance.
    """
    if not tol >= 0:
        raise ValueError(f"tol is {tol}; it must not be negative")
    embeddings = np.asarray(embeddings, float)
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(f"embeddings has shape {embeddings.shape}; it needs [graphs, out] with at least 2 graphs")
    if not np.isfinite(embeddings).all():
        raise ValueError("embeddings holds numbers that are not finite; scale the features")
    distance = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=-1)[np.triu_indices(len(embeddings), 1)]
    return float((distance <= tol * np.linalg.norm(embeddings, axis=1).max()).mean())


def families(names: Sequence[str]) -> Source[Mapping[str, np.ndarray]]:
    """Families of strongly regular graphs, matrices `[graphs, n, n]` by name: the files where they are here, else those with a
    closed construction."""
    return open_or(
        lambda: {name: strongly_regular(name) for name in names},
        lambda: {"sr16622": np.stack([rook_4x4(), shrikhande()]), "sr281264": np.stack(triangular_8_and_chang())},
        instead_of=f"{len(names)} families of the paper",
    )


def scaled_features(sets: Mapping[str, np.ndarray], graphs: Sequence[MultiGraph]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All families in one batch: adjacency and polynomials in float64, each channel divided by its largest entry in the family.

    Args:
        sets: matrices `[graphs, n, n]` by family.
        graphs: the polynomials.

    Returns:
        Channels `[B, 1 + len(graphs), n, n]`, A first, padded to the largest n; mask and sizes as `pad_graphs`.
    """
    Z, mask, sizes = pad_graphs([a[None].astype(np.float64) for A in sets.values() for a in A])
    with jax.enable_x64():
        F = np.asarray(jax.jit(polynomial_features, static_argnums=1)(Z[:, 0], tuple(graphs), mask))
    Z = np.concatenate([Z, F], 1)
    for family in np.split(Z, np.cumsum([len(A) for A in sets.values()])[:-1]):
        top = np.abs(family).max((0, 2, 3), keepdims=True)
        family /= np.where(top > 0, top, 1)
    return Z, mask, sizes


def untrained_embeddings(
    inputs: tuple[np.ndarray, np.ndarray, np.ndarray],
    reads: Sequence[int],
    keys: jax.Array,
    *,
    depth: int,
    width: int,
    out: int = 16,
) -> np.ndarray:
    """Outputs of untrained PPGN++ networks in float64.

    Args:
        inputs: what `scaled_features` makes.
        reads: numbers of channels, counted from the first: networks of each see no others.
        keys: one initialisation each.
        depth, width, out: of the networks.

    Returns:
        `[reads, inits, graphs, out]`.
    """
    channels = inputs[0].shape[1]
    models = [
        read_only_first(PPGNPlusPlus(channels, width, depth, out, rngs=nnx.Rngs(key)), count) for count in reads for key in keys
    ]
    graph = nnx.split(models[0])[0]
    with jax.enable_x64():
        states = jax.tree.map(lambda x: x.astype(np.float64), stack([nnx.split(m)[1] for m in models]))
        outputs = over_seeds(graph, lambda model, *batch: model(*batch), one_by_one=True)(states, *inputs)
        return np.asarray(outputs).reshape(len(reads), len(keys), *outputs.shape[1:])
