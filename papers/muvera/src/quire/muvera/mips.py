"""Maximum inner product search over encodings: exact, over product-quantised codes, or along a graph by faiss."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Integer

from quire.common.quant.codebooks import ProductCodebook, product_encode, product_fit, product_score
from quire.common.random import generator
from quire.common.retrieval.search import top_k_inner


@runtime_checkable
class MIPS(Protocol):
    """What `MuveraIndex` asks of an index over document encodings."""

    def search(self, queries: Float[ArrayLike, "q dim"], k: int) -> Int[np.ndarray, "q k"]:
        """Documents with the largest inner products, best first."""
        ...


@dataclass(frozen=True)
class ExactMIPS:
    """Every inner product, in blocks.

    Attributes:
        database: encodings `[n, D]`.
        block: rows scored at once; all by default.
    """

    database: Float[ArrayLike, "n dim"]
    block: int | None = None

    def search(self, queries: Float[ArrayLike, "q dim"], k: int) -> Int[np.ndarray, "q k"]:
        """Documents with the largest inner products, best first."""
        return np.asarray(top_k_inner(jnp.asarray(queries), jnp.asarray(self.database), k, self.block)[1])


@dataclass(frozen=True)
class QuantisedMIPS:
    """PQ-C-G: C centres for every G consecutive dimensions; a document is one code a group, queries stay exact.

    Attributes:
        codebook: the centres.
        codes: `[n, D / G]`, uint8 up to 256 centres.
    """

    codebook: ProductCodebook
    codes: Integer[np.ndarray, "n groups"]

    @staticmethod
    def fit(
        database: Float[ArrayLike, "n dim"],
        *,
        centres: int = 256,
        group_dim: int = 8,
        key: jax.Array,
        iters: int = 10,
        sample: int = 100_000,
    ) -> "QuantisedMIPS":
        """Train the centres on a sample and code all encodings.

        Args:
            database: encodings.
            centres: C, at most the number of encodings.
            group_dim: G, which divides D.
            key: for the sample and the starts.
            iters: Lloyd iterations.
            sample: encodings to train on, at most.

        Raises:
            ValueError: if G does not divide D, or C lies outside 1..n.
        """
        database = jnp.asarray(database)
        sample_key, start_key = jax.random.split(key)
        n = len(database)
        rows = np.sort(generator(sample_key).choice(n, sample, replace=False)) if n > sample else slice(None)
        codebook = product_fit(database[rows], group_dim, centres, key=start_key, iters=iters)
        small = np.uint8 if centres <= 256 else np.uint16 if centres <= 65536 else np.int32
        return QuantisedMIPS(codebook, np.asarray(product_encode(codebook, database)).astype(small))

    @property
    def compression(self) -> float:
        """Bits of float32 encodings over bits of the codes as they are stored, without the centres.

        >>> codebook = ProductCodebook(jnp.zeros((2, 256, 8)))
        >>> QuantisedMIPS(codebook, np.zeros((5, 2), np.uint8)).compression
        32.0
        """
        return 4.0 * self.codebook.centres.shape[-1] / self.codes.itemsize

    def scores(self, queries: Float[ArrayLike, "q dim"]) -> Float[Array, "q n"]:
        """Inner products of exact queries with coded documents, by look-up tables."""
        return product_score(self.codebook, jnp.asarray(self.codes, jnp.int32), jnp.asarray(queries))

    def search(self, queries: Float[ArrayLike, "q dim"], k: int) -> Int[np.ndarray, "q k"]:
        """Documents with the largest inner products, best first.

        Raises:
            ValueError: if k is not between 1 and the number of documents.
        """
        if not 1 <= k <= len(self.codes):
            raise ValueError(f"k is {k}; it must be between 1 and the {len(self.codes)} documents")
        return np.asarray(jax.lax.top_k(self.scores(queries), k)[1])


class GraphMIPS:
    """HNSW graph by faiss, an approximate index in production use; the paper takes DiskANN, of the same family.

    Needs the extra `faiss` (`pip install "quire-muvera[faiss]"`).

    Args:
        database: encodings `[n, D]`.
        degree: neighbours a node keeps at the lowest level.
        build_beam, search_beam: candidates held while inserting and while searching.

    Raises:
        ImportError: if faiss is not installed.
        ValueError: for a degree or beam below 1.
    """

    def __init__(self, database: Float[ArrayLike, "n dim"], *, degree: int = 200, build_beam: int = 600, search_beam: int = 600):
        if min(degree, build_beam, search_beam) < 1:
            raise ValueError(f"degree and beams are {degree}, {build_beam}, {search_beam}; each must be at least 1")
        faiss = import_faiss()
        rows = np.ascontiguousarray(database, np.float32)
        self.size = len(rows)
        self.graph = faiss.IndexHNSWFlat(rows.shape[1], max(2, -(-degree // 2)), faiss.METRIC_INNER_PRODUCT)
        self.graph.hnsw.efConstruction = build_beam
        self.graph.hnsw.efSearch = search_beam
        self.graph.add(rows)

    def search(self, queries: Float[ArrayLike, "q dim"], k: int) -> Int[np.ndarray, "q k"]:
        """Documents with the largest inner products as far as the graph finds them, best first.

        Raises:
            ValueError: if k is not between 1 and the number of documents, or the graph reached fewer.
        """
        if not 1 <= k <= self.size:
            raise ValueError(f"k is {k}; it must be between 1 and the {self.size} documents")
        found = self.graph.search(np.ascontiguousarray(queries, np.float32), k)[1]
        if (found < 0).any():
            raise ValueError(f"k is {k}; the graph reached fewer documents, widen search_beam")
        return found


def import_faiss():
    """The faiss module.

    Raises:
        ImportError: saying how to install it.
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError('faiss is not installed; run `pip install "quire-muvera[faiss]"`') from error
    return faiss
