"""AdaGram, a rival: senses of a word are as many as a Dirichlet process needs (Bartunov et al. 2016)."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Real

from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least, check_positive, floating
from quire.common.random import generator


def log_stick_breaking(counts: Real[AnyArray, "*batch S"], alpha: float) -> Float[Array, "*batch S"]:
    """`E log pi_s` of sticks `v_s ~ Beta(1 + n_s, alpha + sum_{r > s} n_r)`, `pi_s = v_s prod_{r < s} (1 - v_r)`.

    Args:
        counts: n, how often each sense was chosen.
        alpha: of the process: the larger, the more senses.

    >>> print(jnp.exp(log_stick_breaking(jnp.array([90.0, 10.0, 0.0]), 0.1)).round(2))
    [0.9  0.09 0.  ]
    """
    (counts,) = floating(counts)
    later = jnp.cumsum(counts[..., ::-1], axis=-1)[..., ::-1] - counts
    of_both = jax.scipy.special.digamma(1 + alpha + counts + later)
    taken = jax.scipy.special.digamma(1 + counts) - of_both
    left = jax.scipy.special.digamma(alpha + later) - of_both
    return taken + jnp.cumsum(left, axis=-1) - left


class AdaGram(nnx.Module):
    """Senses, words, and how often each sense was chosen; the prediction is an exact softmax, not a tree.

    Args:
        word_counts: occurrences of every word.
        dim, senses: d, and S at most.
        alpha: of the process.
        rate: at which the counts of a word move towards those of the latest occurrence.
        unknown: id that is never a label.
        rngs: of the start.

    Raises:
        ValueError: for sizes below 1, or alpha or a rate that is not positive.
    """

    def __init__(
        self,
        word_counts: Int[AnyArray, " V"],
        dim: int,
        senses: int,
        *,
        alpha: float = 0.1,
        rate: float = 0.02,
        unknown: int | None = None,
        rngs: nnx.Rngs,
    ):
        for name, value in (("vocab", len(word_counts)), ("dim", dim), ("senses", senses)):
            check_at_least(name, value)
        self.alpha, self.rate = check_positive("alpha", alpha), check_positive("rate", rate)
        vocab, draw = len(word_counts), generator(rngs.params())
        self.sense = nnx.Param(jnp.asarray((draw.random((vocab, senses, dim)) - 0.5) / dim, jnp.float32))
        self.out_w, self.out_b = nnx.Param(jnp.zeros((vocab, dim))), nnx.Param(jnp.zeros(vocab))
        self.word_counts = nnx.Variable(jnp.asarray(word_counts, jnp.float32))
        self.counts = nnx.Variable(jnp.asarray(np.repeat(np.asarray(word_counts)[:, None] / senses, senses, 1), jnp.float32))
        self.unknown = unknown

    def log_likelihood(self, center: Int[AnyArray, " B"], context: Int[AnyArray, "B C"]) -> Float[Array, "B S"]:
        """`sum_j log P(context word j | sense)`, words that are unknown left out."""
        found = jax.nn.log_softmax(self.sense[...][center] @ self.out_w[...].T + self.out_b[...][None, None])
        of_words = jnp.take_along_axis(found, context[:, None], axis=2)
        return of_words.sum(2) if self.unknown is None else jnp.sum(of_words * (context != self.unknown)[:, None], axis=2)

    def posterior(self, center: Int[AnyArray, " B"], context: Int[AnyArray, "B C"]) -> Float[Array, "B S"]:
        """Probabilities of the senses, by prior and context words."""
        prior = log_stick_breaking(self.counts[...][center], self.alpha)
        return jax.nn.softmax(prior + self.log_likelihood(center, context), axis=-1)

    def loss(self, center: Int[AnyArray, " B"], context: Int[AnyArray, "B C"]) -> Float[Array, ""]:
        """Minus the expected log-likelihood of a context word under the posterior; the counts of the senses take it in."""
        found = self.log_likelihood(center, context)
        prior = log_stick_breaking(self.counts[...][center], self.alpha)
        z = jax.lax.stop_gradient(jax.nn.softmax(prior + found, axis=-1))
        step = self.rate * (self.word_counts[...][center][:, None] * z - self.counts[...][center])
        self.counts[...] = jnp.maximum(self.counts[...].at[center].add(step), 0)
        known = context.size if self.unknown is None else (context != self.unknown).sum()
        return -jnp.sum(z * found) / jnp.maximum(known, 1)
