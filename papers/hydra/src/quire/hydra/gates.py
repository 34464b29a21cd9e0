"""Gates: for every pair of classes a vector in `[0, 1]^D` that says which coordinates the pair shares."""

from functools import reduce
from operator import add
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Num

from quire.common.checks import check_at_least, check_ids, floating
from quire.common.layers.initialisers import normal
from quire.common.layers.norms import BatchNorm, at_least_float32
from quire.hydra.relaxations import gumbel_gate, open_probability, stochastic_gate

PairInput = Literal["fused", "product"]
Relaxation = Literal["sigmoid", "gumbel", "straight-through", "stochastic"]
Labels = Int[Array | np.ndarray, " batch"]
COUNT_WEIGHT = 1e-6
"""Weight of the number of open gates in the loss, for stochastic ones."""


class PairGate(nnx.Module):
    """`sigmoid(MLP((e[y1] + e[y2]) / 2))`, e being one learned vector for each class.

    The MLP is ReLU, batch norm, linear, ReLU, batch norm, linear. Batch statistics are those of the labels of a batch. The first
    ReLU meets the normal numbers that the vectors start from, so half of them are dead at first; that is how it was designed.

    Args:
        num_classes: K.
        dim: D, of the gated vectors.
        embed_dim, hidden: widths.
        mode: `"fused"`, the mean of two vectors through the MLP; or `"product"`, the product of the gates of two classes.
        relaxation: from logits to gates: `"sigmoid"`, or with noise `"gumbel"`, `"straight-through"` (the same, rounded),
            `"stochastic"`.
        rngs: for the initial weights.

    Raises:
        ValueError: for a size below 1, an unknown mode or relaxation; when called, for labels that are no integers of
            `0 .. K - 1` or two arrays of them that differ in shape. Traced labels out of range give NaN.

    >>> gate = PairGate(10, 4, embed_dim=8, hidden=8, rngs=nnx.Rngs(0))
    >>> y1, y2 = jnp.array([3, 5]), jnp.array([5, 3])
    >>> gate(y1, y2, train=False).shape, bool(jnp.allclose(*gate(y1, y2, train=False)))  # symmetric
    ((2, 4), True)
    """

    def __init__(
        self,
        num_classes: int,
        dim: int,
        *,
        embed_dim: int = 512,
        hidden: int = 1024,
        mode: PairInput = "fused",
        relaxation: Relaxation = "sigmoid",
        rngs: nnx.Rngs,
    ):
        for name, size in (("num_classes", num_classes), ("dim", dim), ("embed_dim", embed_dim), ("hidden", hidden)):
            check_at_least(name, size)
        for name, value, known in (("mode", mode, PairInput), ("relaxation", relaxation, Relaxation)):
            if value not in get_args(known):
                raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(get_args(known))}")
        self.mode, self.relaxation, self.dim = mode, relaxation, dim
        self.label_embedding = nnx.Param(normal(1.0)(rngs.params(), (num_classes, embed_dim)))
        self.input_norm, self.hidden_norm = BatchNorm(embed_dim), BatchNorm(hidden)
        self.expand = linear_like_torch(embed_dim, hidden, rngs=rngs)
        self.reduce = linear_like_torch(hidden, dim, rngs=rngs)

    @property
    def num_classes(self) -> int:
        """K."""
        return self.label_embedding.shape[0]

    def logits(self, y1: Labels, y2: Labels | None = None, *, train: bool | None = None) -> tuple[Float[Array, "batch dim"], ...]:
        """What the gates are made of: one array, or one of each class in mode `"product"`."""
        first = self._embedded("y1", y1)
        if y2 is None:
            return (self._mlp(first, train),)
        if np.shape(y1) != np.shape(y2):
            raise ValueError(f"y1 and y2 have shapes {np.shape(y1)} and {np.shape(y2)}; they need the same one")
        second = self._embedded("y2", y2)
        if self.mode == "fused":
            return (self._mlp((first + second) / 2, train),)
        return self._mlp(first, train), self._mlp(second, train)

    def __call__(
        self, y1: Labels, y2: Labels | None = None, *, train: bool | None = None, key: jax.Array | None = None
    ) -> Float[Array, "batch dim"]:
        """Gates of pairs, or of single classes without y2.

        Args:
            y1, y2: classes.
            train: statistics of the batch rather than the running ones; what `model.train()` and `.eval()` say if left out.
            key: noise of a relaxation; without it there is none.
        """
        return self.relax(self.logits(y1, y2, train=train), key)

    def relax(self, logits: tuple[Float[Array, "batch dim"], ...], key: jax.Array | None = None) -> Float[Array, "batch dim"]:
        """Gates from the logits; those of two classes are multiplied."""
        keys = [None] * len(logits) if key is None else jax.random.split(key, len(logits))
        gates = [self._relaxed(x, each) for x, each in zip(logits, keys, strict=True)]
        return gates[0] if len(gates) == 1 else gates[0] * gates[1]

    def with_penalty(
        self, y1: Labels, y2: Labels | None = None, *, train: bool | None = None, key: jax.Array | None = None
    ) -> tuple[Float[Array, "batch dim"], Float[Array, ""]]:
        """Gates, and the weighted expected number of open ones where they are stochastic; 0 otherwise."""
        logits = self.logits(y1, y2, train=train)
        count = jnp.zeros(())
        if self.relaxation == "stochastic":
            count = reduce(add, (open_probability(x).sum(-1).mean() for x in logits))
        return self.relax(logits, key), COUNT_WEIGHT * count

    def _embedded(self, name: str, labels: Labels) -> Float[Array, "batch embed"]:
        check_ids(name, labels, self.num_classes)
        if np.ndim(labels) != 1 or np.size(labels) == 0:
            raise ValueError(f"{name} has shape {np.shape(labels)}; it must be [batch], with at least one label")
        return jnp.take(self.label_embedding[...], jnp.asarray(labels), axis=0, mode="fill")

    def _mlp(self, x, train):
        x = self.expand(self.input_norm(jax.nn.relu(x), train=train))
        return self.reduce(self.hidden_norm(jax.nn.relu(x), train=train))

    def _relaxed(self, logits, key):
        if self.relaxation == "sigmoid":
            return jax.nn.sigmoid(logits)
        if self.relaxation == "stochastic":
            return stochastic_gate(logits, key)
        return gumbel_gate(logits, key, hard=self.relaxation == "straight-through")


class OpenGate(nnx.Module):
    """All ones: ordinary contrastive learning, behind the interface of `PairGate`.

    >>> print(OpenGate(3)(jnp.array([7])))
    [[1. 1. 1.]]
    """

    def __init__(self, dim: int):
        self.dim = check_at_least("dim", dim)

    def __call__(self, y1: Labels, y2: Labels | None = None, **_: Any) -> Float[Array, "batch dim"]:
        """Ones, whatever the classes."""
        return jnp.ones((len(y1), self.dim))


def linear_like_torch(before: int, after: int, *, use_bias: bool = True, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear map whose weights start with the variance of PyTorch's, `1 / (3 before)`, and whose bias starts at 0."""
    return nnx.Linear(before, after, use_bias=use_bias, kernel_init=normal((3 * before) ** -0.5), rngs=rngs)


# --- What gates say ---


def gate_activation(gate: Num[Array | np.ndarray, "*batch dim"]) -> Float[Array, ""]:
    """Mean over gates of how many coordinates are open, `sum_d g_d`.

    >>> print(gate_activation(jnp.array([[1.0, 0.5], [0.0, 0.5]])))
    1.0
    """
    (gate,) = floating(gate)
    return gate.sum(-1).mean()


def gate_entropy(gate: Num[Array | np.ndarray, "*batch dim"]) -> Float[Array, ""]:
    """Mean of `-g log g - (1 - g) log(1 - g)` in nats: 0 for gates of 0 and 1, `log 2` for halves.

    Gates nearer to 0 or 1 than the rounding of their type count as that near, and have no derivative.

    >>> print(f"{gate_entropy(jnp.array([[0.5, 1.0]])):.4f}")
    0.3466
    """
    (gate,) = floating(gate)
    gate = at_least_float32(gate)
    edge = jnp.finfo(gate.dtype).eps
    g = jnp.clip(gate, edge, 1 - edge)
    return jnp.mean(-g * jnp.log(g) - (1 - g) * jnp.log1p(-g))


def pair_indices(num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second class of all unordered pairs, `i <= j`, row by row: K (K + 1) / 2 of them.

    >>> [x.tolist() for x in pair_indices(2)]
    [[0, 0, 1], [0, 1, 1]]
    """
    return np.triu_indices(check_at_least("num_classes", num_classes))


def all_pair_gates(gate: PairGate, *, block: int = 4096) -> Float[Array, "pairs dim"]:
    """Gates of all pairs in the order of `pair_indices`, with running statistics.

    Args:
        gate: of K classes.
        block: pairs whose hidden layers are held at once.

    Raises:
        ValueError: for a block below 1.
    """
    check_at_least("block", block)
    i, j = (jnp.asarray(x, jnp.int32) for x in pair_indices(gate.num_classes))
    size = min(block, len(i))
    i, j = (jnp.pad(x, (0, -len(x) % size)).reshape(-1, size) for x in (i, j))
    found = jax.lax.map(lambda pair: gate(*pair, train=False), (i, j))
    return found.reshape(-1, gate.dim)[: gate.num_classes * (gate.num_classes + 1) // 2]
