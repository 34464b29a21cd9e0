"""Projection heads: the small perceptron between a representation and a contrastive loss (Chen et al. 2020)."""

from collections.abc import Sequence
from itertools import pairwise

import jax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least


class ProjectionHead(nnx.Module):
    """Linear maps with ReLUs between them.

    Args:
        dim: of the representation.
        widths: of the hidden layers, and of the output last.
        rngs: for the initial weights.

    Raises:
        ValueError: without an output, or for a size below 1.

    >>> ProjectionHead(8, (16, 4), rngs=nnx.Rngs(0))(jax.numpy.ones((2, 8))).shape
    (2, 4)
    """

    def __init__(self, dim: int, widths: Sequence[int], *, rngs: nnx.Rngs):
        if not widths:
            raise ValueError("widths is empty; it needs that of the output")
        sizes = [check_at_least("dim", dim), *(check_at_least("widths", width) for width in widths)]
        self.layers = nnx.List([nnx.Linear(*pair, rngs=rngs) for pair in pairwise(sizes)])

    def depths(self, h: Float[Array, "batch dim"]) -> list[Float[Array, "batch _"]]:
        """The representation, every hidden layer behind its ReLU, and the output: what a probe may look at."""
        found = [h]
        for layer in self.layers[:-1]:
            found.append(jax.nn.relu(layer(found[-1])))
        return [*found, self.layers[-1](found[-1])]

    def __call__(self, h: Float[Array, "batch dim"]) -> Float[Array, "batch out"]:
        """The output."""
        return self.depths(h)[-1]
