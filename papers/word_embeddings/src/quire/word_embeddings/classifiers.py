"""What RCNN is compared with: convolution, recurrence, bags of words, mean vectors; and how networks are trained."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float, Int

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_ids
from quire.common.layers.recurrent import scan_rnn
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.random import generator
from quire.common.train.batches import epoch_indices, take_batch
from quire.common.train.seeds import fit_seeds, over_seeds, stack
from quire.word_embeddings.corpora import Documents
from quire.word_embeddings.rcnn import affine, masked_max, orthogonal, uniform_rows, word_mask


class CNN(nnx.Module):
    """`relu(max_i W [e_{i-r}; ..; e_{i+r}] + b)`, then a linear map: the authors' convolutional network.

    Args:
        key: for the start.
        vocab_size, num_classes: sizes.
        embed_dim, hidden: e and H.
        window: words that a filter sees, odd; zeros beyond the ends of a text.
        vectors: word vectors to start from.

    Raises:
        ValueError: for an even window or a size below 1.
    """

    def __init__(
        self,
        key: jax.Array,
        vocab_size: int,
        num_classes: int,
        *,
        embed_dim: int = 50,
        hidden: int = 100,
        window: int = 3,
        vectors: Float[np.ndarray, "v e"] | None = None,
    ):
        if check_at_least("window", window) % 2 == 0:
            raise ValueError(f"window is {window}; it must be odd")
        draw = generator(key)
        self.emb = nnx.Param(jax.device_put(uniform_rows(draw, vocab_size, embed_dim) if vectors is None else vectors))
        self.filters = nnx.Param(jax.device_put(uniform_rows(draw, hidden, window * embed_dim)))
        self.bias = nnx.Param(jnp.zeros(hidden))
        self.w4 = nnx.Param(jax.device_put(uniform_rows(draw, num_classes, hidden)))
        self.b4 = nnx.Param(jnp.zeros(num_classes))

    def __call__(self, ids: Int[AnyArray, "b t"], lengths: Int[AnyArray, " b"]) -> Float[AnyArray, "b n"]:
        mask = word_mask(ids, lengths, len(self.emb[...]))
        words = self.emb[...][ids] * mask[..., None]
        reach = self.filters.shape[1] // words.shape[-1] // 2
        padded = jnp.pad(words, ((0, 0), (reach, reach), (0, 0)))
        size = words.shape[1]
        joined = jnp.concatenate([padded[:, o : o + size] for o in range(2 * reach + 1)], axis=-1)
        pooled = masked_max(joined @ self.filters[...].T, mask)[0]
        return affine(jax.nn.relu(pooled + self.bias[...][None]), self.w4[...], self.b4[...])


class RecurrentNet(nnx.Module):
    """`h_i = tanh(W h_{i-1} + U e(w_i))` from left to right; the last one is classified.

    Args:
        key: for the start.
        vocab_size, num_classes: sizes.
        embed_dim, hidden: e and H.
        vectors: word vectors to start from.
    """

    def __init__(
        self,
        key: jax.Array,
        vocab_size: int,
        num_classes: int,
        *,
        embed_dim: int = 50,
        hidden: int = 100,
        vectors: Float[np.ndarray, "v e"] | None = None,
    ):
        draw = generator(key)
        self.emb = nnx.Param(jax.device_put(uniform_rows(draw, vocab_size, embed_dim) if vectors is None else vectors))
        self.recurrent = nnx.Param(jax.device_put(orthogonal(draw, hidden)))
        self.inputs = nnx.Param(jax.device_put(uniform_rows(draw, hidden, embed_dim)))
        self.w4 = nnx.Param(jax.device_put(uniform_rows(draw, num_classes, hidden)))
        self.b4 = nnx.Param(jnp.zeros(num_classes))

    def __call__(self, ids: Int[AnyArray, "b t"], lengths: Int[AnyArray, " b"]) -> Float[AnyArray, "b n"]:
        mask = word_mask(ids, lengths, len(self.emb[...]))

        def step(state, x):
            return jnp.tanh(state @ self.recurrent[...].T + x), ()

        initial = jnp.zeros((len(ids), self.recurrent.shape[0]), self.recurrent.dtype)
        last, _ = scan_rnn(step, initial, self.emb[...][ids] @ self.inputs[...].T, mask)
        return affine(last, self.w4[...], self.b4[...])


def _cross_entropy(model, batch, key):
    ids, lengths, labels = batch
    return smoothed_cross_entropy(model(ids, lengths), labels)


def train_classifiers(
    build: Callable[[jax.Array], nnx.Module],
    tx: optax.GradientTransformation,
    keys: Sequence[jax.Array],
    train: Sequence[Documents],
    test: Sequence[Documents],
    *,
    steps: int,
    batch: int,
) -> tuple[nnx.GraphDef, nnx.State, Float[np.ndarray, " seeds"]]:
    """One network per key, side by side, each on its own documents.

    Args:
        build: makes a network from a key.
        tx: optimiser.
        keys: of the seeds.
        train, test: documents of every seed, of equal shapes.
        steps, batch: of the training.

    Returns:
        Graph and states of the networks, and their test accuracies.

    Raises:
        TrainingDiverged: if a loss or a parameter is not finite.
    """
    arrays = stack([(d.ids, d.lengths, d.labels) for d in train])
    order = np.stack([epoch_indices(key, len(d.ids), batch, steps) for key, d in zip(keys, train, strict=True)])
    graph, state, _ = fit_seeds(
        lambda rngs: build(rngs.params()),
        tx,
        _cross_entropy,
        take_batch,
        (arrays, order),
        steps=steps,
        keys=jnp.stack(list(keys)),
    )
    predict = over_seeds(graph, lambda model, ids, lengths: model(ids, lengths).argmax(-1), one_by_one=True)
    predicted = np.stack([_predicted(predict, state, d)[i] for i, d in enumerate(test)])
    return graph, state, np.mean(predicted == np.stack([d.labels for d in test]), axis=1)


def _predicted(predict, state, documents: Documents, size: int = 500) -> Int[np.ndarray, "seeds n"]:
    """Classes of all documents, in parts of one size."""
    count = len(documents.ids)
    starts = range(0, count, size)
    rows = [np.minimum(np.arange(start, start + min(size, count)), count - 1) for start in starts]
    parts = [np.asarray(predict(state, documents.ids[r], documents.lengths[r])) for r in rows]
    return np.concatenate(parts, axis=1)[:, :count]


# --- Without a network ---


def bag_of_words(ids: Int[np.ndarray, "n t"], lengths: Int[np.ndarray, " n"], vocab_size: int, *, bigrams: bool = True):
    """Counts of words and of pairs of neighbours, the latter hashed to 2^15 at most; sparse, every row of unit length."""
    from scipy import sparse

    check_ids("ids", ids, vocab_size)
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    rows, places = np.nonzero(mask)
    columns, width = [ids[rows, places]], vocab_size
    entries = [rows]
    if bigrams:
        pairs, starts = np.nonzero(mask[:, 1:])
        buckets = min(2**15, vocab_size**2)
        hashed = (ids[pairs, starts].astype(np.int64) * vocab_size + ids[pairs, starts + 1]) % buckets
        columns.append(vocab_size + hashed)
        entries.append(pairs)
        width += buckets
    rows, columns = np.concatenate(entries), np.concatenate(columns)
    counts = sparse.csr_array((np.ones(len(rows)), (rows, columns)), (len(ids), width))
    norms = np.sqrt(counts.multiply(counts).sum(1))
    return sparse.diags_array(1 / np.maximum(norms, 1)) @ counts


def mean_vectors(vectors: Float[np.ndarray, "v d"], ids: Int[np.ndarray, "n t"], lengths: Int[np.ndarray, " n"]):
    """Mean of the vectors of a text, `[n, d]`; zero for an empty one."""
    check_ids("ids", ids, len(vectors))
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    return np.einsum("ntd,nt->nd", vectors[ids], mask.astype(vectors.dtype)) / np.maximum(lengths, 1)[:, None]


def logistic_accuracy(train, train_labels, test, test_labels, *, strength: float = 1.0) -> float:
    """Test accuracy of logistic regression.

    Args:
        train, test: features, dense or sparse.
        train_labels, test_labels: classes.
        strength: C, the inverse of the penalty.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        model = LogisticRegression(C=strength, max_iter=100, tol=1e-3).fit(train, train_labels)
    return float(np.mean(model.predict(test) == test_labels))
