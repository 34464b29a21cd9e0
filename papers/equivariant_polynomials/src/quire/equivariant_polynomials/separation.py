"""Strongly regular graphs: can an untrained network tell them apart? (paper, section 6.1)"""

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.data.graph_sets import strongly_regular
from quire.common.data.source import Source, open_or
from quire.common.graphs.dense import rook_4x4, shrikhande, triangular_8_and_chang
from quire.common.graphs.multigraph import MultiGraph
from quire.common.graphs.ppgn import PPGNPlusPlus
from quire.common.train.seeds import stack
from quire.equivariant_polynomials.features import polynomial_features


def indistinguishable_fraction(embeddings: np.ndarray, tol: float = 1e-8) -> float:
    """Share of pairs of rows at most `tol` times the largest norm apart.

    Args:
        embeddings: `[graphs, out]`.
        tol: relative tolerance.

    Raises:
        ValueError: for fewer than two rows or numbers that are not finite.
    """
    embeddings = np.asarray(embeddings)
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


def untrained_embeddings(
    A: np.ndarray, graphs: Sequence[MultiGraph], keys: jax.Array, *, depth: int, width: int, out: int = 16
) -> np.ndarray:
    """Outputs of untrained PPGN++ networks in float64, features divided by their largest entry in the family.

    Args:
        A: one family `[graphs, n, n]`.
        graphs: polynomials to add as channels, possibly none.
        keys: one initialisation each.
        depth, width, out: of the network.

    Returns:
        `[inits, graphs, out]`.
    """
    with jax.enable_x64():
        X = jnp.asarray(A, jnp.float64)
        Z = X[:, None]
        if graphs:
            F = polynomial_features(X, graphs)
            top = jnp.abs(F).max((0, 2, 3), keepdims=True)
            Z = jnp.concatenate([F / jnp.where(top > 0, top, 1), Z], 1)
        mask, sizes = jnp.ones((len(A), 1, *A.shape[1:])), jnp.full(len(A), A.shape[1], jnp.int32)
        models = [PPGNPlusPlus(Z.shape[1], width, depth, out, rngs=nnx.Rngs(key)) for key in keys]
        graph = nnx.split(models[0])[0]
        state = jax.tree.map(lambda x: x.astype(np.float64), stack([nnx.split(m)[1] for m in models]))
        outputs = jax.jit(jax.vmap(lambda s, *graphs: nnx.merge(graph, s)(*graphs), (0, None, None, None)))
        return np.asarray(outputs(state, Z, mask, sizes))
