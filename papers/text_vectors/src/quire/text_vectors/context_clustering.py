"""Senses as clusters of contexts: MSSG (Neelakantan et al. 2014), and two clusters without a model."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int
from threadpoolctl import threadpool_limits

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.common.layers.nested import unit_rows
from quire.common.random import generator
from quire.common.text.evaluation import normalised
from quire.text_vectors.disambiguated_skipgram import context_vector, prediction_loss


def nearest_cluster(sums: Float[AnyArray, "B S d"], context: Float[AnyArray, "B d"]) -> Int[Array, " B"]:
    """Cluster whose centre has the largest cosine with the context; a sum has the direction of its mean.

    >>> nearest_cluster(jnp.array([[[1.0, 0.0], [0.0, 3.0]]]), jnp.array([[0.1, 0.2]])).tolist()
    [1]
    """
    return jnp.einsum("bsd,bd->bs", unit_rows(sums), unit_rows(context)).argmax(1)


class MSSG(nnx.Module):
    """Senses, words, and sums of the contexts of each sense, which grow by the contexts that choose it.

    Args:
        vocab, dim, senses: V, d and S; one sense is plain skip-gram.
        unknown: id that is never a label.
        rngs: of the start.

    Raises:
        ValueError: for sizes below 1.
    """

    def __init__(self, vocab: int, dim: int, senses: int, unknown: int | None = None, *, rngs: nnx.Rngs):
        for name, value in (("vocab", vocab), ("dim", dim), ("senses", senses)):
            check_at_least(name, value)
        draw = generator(rngs.params())
        self.sense = nnx.Param(jnp.asarray((draw.random((vocab, senses, dim)) - 0.5) / dim, jnp.float32))
        self.out_w, self.out_b = nnx.Param(jnp.zeros((vocab, dim))), nnx.Param(jnp.zeros(vocab))
        self.sums = nnx.Variable(jnp.asarray(1e-3 * draw.standard_normal((vocab, senses, dim)), jnp.float32))
        self.unknown = unknown

    def choose(
        self, center: Int[AnyArray, " B"], context: Int[AnyArray, "B C"]
    ) -> tuple[Int[Array, " B"], Float[AnyArray, "B d"]]:
        """Senses of occurrences, and their context vectors."""
        c = context_vector(self.out_w[...], context)
        return nearest_cluster(self.sums[...][center], c), c

    def loss(self, center: Int[AnyArray, " B"], context: Int[AnyArray, "B C"]) -> Float[Array, ""]:
        """Prediction of the context words by the chosen senses, whose sums take in the contexts."""
        chosen, c = self.choose(center, context)
        self.sums[...] = self.sums[...].at[center, chosen].add(jax.lax.stop_gradient(c))
        return prediction_loss(self.out_w[...], self.out_b[...], self.sense[...][center, chosen], context, self.unknown)


def first_component_side(
    context: Int[np.ndarray, "n C"], vocab: int, unknown: int | None = None, *, rare: bool = False
) -> Int[np.ndarray, " n"]:
    """Sides of the first principal component of bags of context words (vectors of length one): two clusters without a model.

    Args:
        context: words around each occurrence of one word.
        vocab: V.
        unknown: id that does not count.
        rare: weigh words by `log(n / df)`, df being the contexts that have them.

    >>> sides = first_component_side(np.array([[1, 1], [2, 2], [1, 1], [2, 2]]), 3)
    >>> bool(sides[0] == sides[2] != sides[1] == sides[3])
    True
    """
    from sklearn.decomposition import PCA

    check_ids("context", context, vocab)
    ids, column = np.unique(context, return_inverse=True)  # words that no context has make no difference
    bags = np.zeros((len(context), len(ids)))
    np.add.at(bags, (np.arange(len(context))[:, None], column.reshape(context.shape)), 1)
    if unknown is not None:
        bags[:, ids == unknown] = 0
    present = (bags > 0).sum(0)
    bags = normalised(bags)
    if rare:
        bags *= np.log(len(bags) / np.maximum(present, 1))
    if len(context) < 2 or np.ptp(bags, axis=0).max() == 0:
        return np.zeros(len(context), int)
    solver = "covariance_eigh" if len(ids) <= 500 else "randomized"
    with threadpool_limits(1):  # several threads spend several times the processor time on matrices this narrow
        return (PCA(1, svd_solver=solver, random_state=0).fit_transform(bags)[:, 0] > 0).astype(int)
