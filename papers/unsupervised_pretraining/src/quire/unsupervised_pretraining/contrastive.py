"""Contrastive learning: of two inputs, `P(t = 1 | x, x') = sigmoid(f(x)^T f(x'))`; the side information is `s = (x', t)`.

Maximum likelihood is logistic regression with an encoder inside. Turning all features by one orthogonal matrix leaves the
likelihood as it is; downstream, `y` is linear in `f(x)`, so the head absorbs it.
"""

from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_finite, is_concrete
from quire.common.random import generator
from quire.unsupervised_pretraining.descent import descend


class Pairs(NamedTuple):
    """Inputs and their partners `[m, d]`, and whether they belong together `[m]`, 0 or 1."""

    x: AnyArray
    partner: AnyArray
    linked: AnyArray


class Encoder(NamedTuple):
    """Maps `[out, in]` with tanh between them, and biases `[out]` of the hidden ones. One map alone is the linear class."""

    weights: tuple[AnyArray, ...]
    biases: tuple[AnyArray, ...] = ()

    def __call__(self, x: Real[AnyArray, "n d"]) -> Float[Array, "n r"]:
        """Features f(x).

        Raises:
            ValueError: if x has another dimension.
        """
        x, *weights = at_least_float32(x, *self.weights)
        if x.ndim != 2 or x.shape[1] != weights[0].shape[1]:
            raise ValueError(f"x has shape {x.shape}; the encoder needs [n, {weights[0].shape[1]}]")
        for w, b in zip(weights, self.biases, strict=False):  # the last map has no bias
            x = jnp.tanh(x @ w.T + b[None])
        return x @ weights[-1].T


def random_encoder(sizes: tuple[int, ...], key: jax.Array, *, scale: float = 1.0) -> Encoder:
    """Normal weights of variance `scale^2 / in`, drawn on the host; biases of zero.

    Args:
        sizes: of the inputs, the hidden layers and the features.
        key: for the weights.
        scale: of the weights.

    Raises:
        ValueError: for fewer than two sizes, or one below 1.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes is {sizes}; it needs those of inputs and features at least, all positive")
    draw = generator(key)
    weights = tuple(jnp.asarray(scale * draw.standard_normal((b, a)) / a**0.5) for a, b in pairwise(sizes))
    return Encoder(weights, tuple(jnp.zeros(width, weights[0].dtype) for width in sizes[1:-1]))


class ContrastiveModel(NamedTuple):
    """A fitted encoder."""

    encoder: Encoder

    @classmethod
    def fit(
        cls, pairs: Pairs, r: int, key: jax.Array, *, hidden: tuple[int, ...] = (), steps: int = 500, rate: float = 0.05
    ) -> "ContrastiveModel":
        """Maximum likelihood from a random start, by gradient descent on all pairs.

        Args:
            pairs: with their side information.
            r: number of features.
            key: for the start.
            hidden: widths of hidden layers; none for the linear class.
            steps, rate: of the descent.

        Raises:
            ValueError: without a pair, for shapes that do not match, `linked` other than 0 and 1, or numbers that are not finite.
        """
        check_pairs(pairs)
        check_at_least("steps", steps)
        pairs = Pairs(*at_least_float32(*pairs))
        start = random_encoder((pairs.x.shape[1], *hidden, r), key)
        start = jax.tree.map(lambda leaf: leaf.astype(pairs.x.dtype), start)
        everything = jnp.ones(len(pairs.x), pairs.x.dtype)
        return cls(descend(weighted_nll, start, (pairs, everything), rate, steps=steps)[0])

    def features(self, x: Real[AnyArray, "n d"]) -> Float[Array, "n r"]:
        """f(x)."""
        return self.encoder(x)


def contrastive_nll(encoder: Encoder, pairs: Pairs) -> Float[Array, ""]:
    """Mean negative log likelihood of whether pairs belong together: `log(1 + e^a) - t a` with `a = f(x)^T f(x')`.

    Raises:
        ValueError: without a pair, for shapes that do not match, or `linked` other than 0 and 1.
    """
    check_pairs(pairs)
    (linked,) = at_least_float32(pairs.linked)
    return optax.sigmoid_binary_cross_entropy(pair_logits(encoder, pairs), linked).mean()


def weighted_nll(encoder: Encoder, data: tuple[Pairs, Float[Array, " m"]]) -> Float[Array, ""]:
    """As `contrastive_nll`, of the pairs that have weight: one shape serves samples of several sizes."""
    pairs, weights = data
    losses = optax.sigmoid_binary_cross_entropy(pair_logits(encoder, pairs), pairs.linked)
    return jnp.sum(weights * losses) / jnp.sum(weights)


def pair_logits(encoder: Encoder, pairs: Pairs) -> Float[Array, " m"]:
    """`f(x)^T f(x')`."""
    return jnp.sum(encoder(pairs.x) * encoder(pairs.partner), axis=1)


def draw_pairs(encoder: Encoder, m: int, draw: np.random.Generator) -> Pairs:
    """Standard normal inputs and partners, and whether they belong together under an encoder; in NumPy.

    Raises:
        ValueError: for no pair.
    """
    check_at_least("m", m)
    d = encoder.weights[0].shape[1]
    x, partner = draw.standard_normal((2, m, d))
    logits = np.asarray(pair_logits(encoder, Pairs(x, partner, np.zeros(m))))
    return Pairs(x, partner, (draw.random(m) < 1 / (1 + np.exp(-logits))).astype(int))


def check_pairs(pairs: Pairs) -> None:
    """Pairs fit together.

    Raises:
        ValueError: naming what does not.
    """
    x, partner, linked = map(jnp.shape, pairs)
    if len(x) != 2 or x != partner or linked != x[:1] or not x[0]:
        raise ValueError(
            f"x, partner and linked have shapes {x}, {partner}, {linked}; they need [m, d], [m, d], [m], at least one"
        )
    check_finite("x", pairs.x)
    check_finite("partner", pairs.partner)
    if is_concrete(pairs.linked) and not np.isin(np.asarray(pairs.linked), (0, 1)).all():
        raise ValueError("linked has numbers other than 0 and 1; it says whether a pair belongs together")
