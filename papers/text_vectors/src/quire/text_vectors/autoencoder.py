"""Semantic hashing by an autoencoder: word counts through a code of bits and back, the rival of paragraph vectors."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Real, UInt8

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least
from quire.common.layers.relaxed import binarise
from quire.common.random import generator


class CodeAutoencoder(nnx.Module):
    """`x -> tanh -> 1[sigmoid >= 1/2] -> softmax over words`: a stand-in for the pretrained one of Salakhutdinov and Hinton.

    Args:
        vocab, hidden, bits: sizes of the layers.
        rngs: of the start.

    Raises:
        ValueError: for sizes below 1.
    """

    def __init__(self, vocab: int, hidden: int, bits: int, *, rngs: nnx.Rngs):
        draw = generator(rngs.params())

        def layer(n, m):
            check_at_least("size of a layer", min(n, m))
            weights = draw.standard_normal((n, m)) / n**0.5
            return nnx.Param(jnp.asarray(weights, jnp.float32)), nnx.Param(jnp.zeros(m))

        (self.first, self.first_b), (self.second, self.second_b) = layer(vocab, hidden), layer(hidden, bits)
        self.out, self.out_b = layer(bits, vocab)

    def bits(self, features: Real[AnyArray, "B V"]) -> Float[Array, "B k"]:
        """The code, with the derivative of its sigmoid."""
        hidden = jnp.tanh(features @ self.first[...] + self.first_b[...][None])
        return binarise(jax.nn.sigmoid(hidden @ self.second[...] + self.second_b[...][None]))

    def loss(self, features: Real[AnyArray, "B V"], counts: Real[AnyArray, "B V"]) -> Float[Array, ""]:
        """Mean of `-log P(word)` over the words of the documents; 0 without one."""
        found = jax.nn.log_softmax(self.bits(features) @ self.out[...] + self.out_b[...][None])
        counts = jnp.asarray(counts, found.dtype)
        return -jnp.sum(found * counts) / jnp.maximum(counts.sum(), 1)

    def codes(self, features: Real[AnyArray, "n V"]) -> UInt8[Array, "n k"]:
        """Bits as uint8."""
        return self.bits(features).astype(jnp.uint8)
