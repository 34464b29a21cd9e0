"""A second neural model: convolutions over modes and over the vectors of their entities, after CoSTCo (Liu et al. 2019)."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx

from quire.common.checks import check_at_least
from quire.dain.entity_mlp import Indices, Prediction, dense_stack, entity_tables, look_up


class ModeConvolution(nnx.Module):
    """Filters over the modes, `a = relu(E' U)`, then over the components, `b = relu(vec(a) V)`, a hidden layer and the output.

    `E` `[K, rank]` are the vectors of a cell. Both kernels are as large as what they run over, so each is a matrix product.

    Args:
        dims: sizes of the K modes.
        rank: numbers in a vector.
        channels: of both convolutions and of the hidden layer.
        rngs: for the initial weights.

    Raises:
        ValueError: for a size below 1.

    >>> y, h = ModeConvolution((4, 3), 6, 5, rngs=nnx.Rngs(0))(jnp.array([[3, 2], [0, 0]]))
    >>> y.shape, h.shape
    ((2,), (2, 5))
    """

    def __init__(self, dims: Sequence[int], rank: int = 20, channels: int = 20, *, rngs: nnx.Rngs):
        check_at_least("rank", rank)
        check_at_least("channels", channels)
        self.embeddings = entity_tables(dims, rank, rngs.params())
        sizes = [(len(dims), channels), (rank * channels, channels), (channels, channels), (channels, 1)]
        self.modes, self.components, self.hidden, self.output = dense_stack(sizes, rngs.params())

    def __call__(self, indices: Indices) -> Prediction:
        """Values `[cells]` and last hidden activations `[cells, channels]`, after the ReLU.

        Raises:
            ValueError: if indices are no integers `[cells, K]` in range.
        """
        vectors = look_up([table[...] for table in self.embeddings], indices)
        cells, modes, rank = vectors.shape
        by_component = jnp.swapaxes(vectors, 1, 2).reshape(cells * rank, modes)
        filtered = jax.nn.relu(self.modes(by_component)).reshape(cells, rank * self.modes.bias.shape[0])
        h = jax.nn.relu(self.hidden(jax.nn.relu(self.components(filtered))))
        return self.output(h)[:, 0], h
