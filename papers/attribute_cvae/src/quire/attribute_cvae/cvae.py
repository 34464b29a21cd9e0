"""The conditional variational auto-encoder, its unconditional and deterministic relatives, and what they are trained by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Real

from quire.attribute_cvae.gaussians import LOG_2PI, Normal, at_noise, divergence_by_coordinate, standard_normal
from quire.attribute_cvae.networks import PERCEPTRONS, Architecture, Decoder, Encoder, Perceptron
from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least, check_positive, floating, is_concrete

LOG_VARIANCES = (-8.0, 4.0)
"""To which logarithms of variances are clipped, so that neither network can run away from the other."""


@dataclass(frozen=True)
class Likelihood:
    """Distribution of an image given its logits, one pixel independent of the next.

    Attributes:
        kind: `"bernoulli"`: pixels are ones with probability `sigmoid(logit)`; `"gaussian"`: normal around `sigmoid(logit)`.
        variance: of the normal distribution.

    Raises:
        ValueError: for another kind, or a variance that is not positive.
    """

    kind: Literal["bernoulli", "gaussian"] = "bernoulli"
    variance: float | Array = 0.02

    def __post_init__(self):
        if self.kind not in ("bernoulli", "gaussian"):
            raise ValueError(f"kind is {self.kind!r}; it must be bernoulli or gaussian")
        check_positive("variance", self.variance)

    def log_prob(self, y: Real[AnyArray, "n *shape"], logits: Real[AnyArray, "n *shape"]) -> Float[Array, " n"]:
        """`log p(y | logits)`, *summed* over pixels: a mean instead would change what beta means by their number.

        Grey values of a Bernoulli distribution give the cross-entropy, which is no normalised likelihood.

        Raises:
            ValueError: if the shapes differ.

        >>> half = Likelihood().log_prob(np.array([[1.0, 0.0]]), np.zeros((1, 2)))
        >>> print(f"{half[0]:.3f}")
        -1.386
        """
        if np.shape(y) != np.shape(logits):
            raise ValueError(f"y has shape {np.shape(y)}, logits {np.shape(logits)}; they need one shape")
        y, logits = at_least_float32(y, logits)
        pixels = tuple(range(1, y.ndim))
        if self.kind == "bernoulli":
            return (logits * y - jax.nn.softplus(logits)).sum(pixels)
        squares = (y - jax.nn.sigmoid(logits)) ** 2
        return -0.5 * (squares / self.variance + jnp.log(self.variance) + LOG_2PI).sum(pixels)


BERNOULLI = Likelihood()


class CVAE(nnx.Module):
    """Recognition `q(z | x, y)`, prior `p(z | x)` and generation `p(y | x, z)` of images y with attributes x.

    Section on the model.

    Args:
        image_shape: of y, without the batch.
        n_attr: attributes, in `[0, 1]`; 0 makes it an unconditional VAE, whose prior cannot be learned.
        z_dim: latent numbers.
        prior: `"learned"` from the attributes, or `"normal"`, standard normal for all.
        likelihood: of a pixel.
        architecture: sizes of the networks.
        rngs: for the initial weights.

    Raises:
        ValueError: for sizes below 1 (attributes below 0), another prior, or one to learn without attributes.

    >>> model = CVAE((8, 8, 3), 4, 2, rngs=nnx.Rngs(0))
    >>> y, x = jnp.full((5, 8, 8, 3), 0.5), jnp.ones((5, 4))
    >>> model.recognise(y, x).mean.shape, model.prior(x).logvar.shape, model.decode(jnp.zeros((5, 2)), x).shape
    ((5, 2), (5, 2), (5, 8, 8, 3))
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        n_attr: int,
        z_dim: int,
        *,
        prior: Literal["learned", "normal"] = "learned",
        likelihood: Likelihood = BERNOULLI,
        architecture: Architecture = PERCEPTRONS,
        rngs: nnx.Rngs,
    ):
        check_at_least("z_dim", z_dim)
        check_at_least("n_attr", n_attr, 0)
        for side in image_shape:
            check_at_least("side of image_shape", side)
        if prior not in ("learned", "normal") or (prior == "learned" and not n_attr):
            raise ValueError(f"prior is {prior!r} with {n_attr} attributes; it must be normal, or learned from at least 1")
        self.image_shape, self.n_attr, self.z_dim, self.likelihood = tuple(image_shape), n_attr, z_dim, likelihood
        self.encoder = Encoder(image_shape, n_attr, 2 * z_dim, architecture, rngs=rngs)
        widths = (n_attr, *architecture.prior, 2 * z_dim)
        self.prior_net = Perceptron(widths, architecture.activation, rngs=rngs) if prior == "learned" else None
        self.decoder = Decoder(z_dim + n_attr, image_shape, architecture, rngs=rngs)

    def recognise(self, y: Real[AnyArray, "n *shape"], x: Real[AnyArray, "n a"]) -> Normal:
        """`q(z | x, y)`.

        Raises:
            ValueError: for images or attributes of another shape, or outside `[0, 1]`.
        """
        y, x = self._checked(y, x)
        return _halves(self.encoder(y, x))

    def prior(self, x: Real[AnyArray, "n a"]) -> Normal:
        """`p(z | x)`.

        Raises:
            ValueError: as for `recognise`.
        """
        x = check_attributes(x, self.n_attr)
        return standard_normal(len(x), self.z_dim) if self.prior_net is None else _halves(self.prior_net(x))

    def decode(self, z: Real[AnyArray, "n d"], x: Real[AnyArray, "n a"]) -> Float[Array, "n *shape"]:
        """Logits of `p(y | x, z)`.

        Raises:
            ValueError: for latent numbers of another shape, and as for `recognise`.
        """
        x = check_attributes(x, self.n_attr)
        if np.shape(z) != (len(x), self.z_dim):
            raise ValueError(f"z has shape {np.shape(z)}; it needs {(len(x), self.z_dim)}")
        return self.decoder(jnp.concatenate(floating(z, x), axis=-1))

    def _checked(self, y, x):
        x = check_attributes(x, self.n_attr)
        y = check_images(y, self.image_shape)
        if len(x) != len(y):
            raise ValueError(f"y has {len(y)} images, x {len(x)} rows; they need as many")
        return floating(y, x)


def _halves(numbers: Array) -> Normal:
    mean, logvar = jnp.split(numbers, 2, axis=-1)
    return Normal(mean, jnp.clip(logvar, *LOG_VARIANCES))


class AttributeDecoder(nnx.Module):
    """The deterministic baseline: one image for every set of attributes.

    Args:
        image_shape, n_attr, likelihood, architecture, rngs: as for `CVAE`; at least one attribute.

    >>> AttributeDecoder((8, 8, 3), 4, rngs=nnx.Rngs(0))(jnp.ones((5, 4))).shape
    (5, 8, 8, 3)
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        n_attr: int,
        *,
        likelihood: Likelihood = BERNOULLI,
        architecture: Architecture = PERCEPTRONS,
        rngs: nnx.Rngs,
    ):
        self.n_attr, self.likelihood = check_at_least("n_attr", n_attr), likelihood
        self.decoder = Decoder(n_attr, image_shape, architecture, rngs=rngs)

    def __call__(self, x: Real[AnyArray, "n a"]) -> Float[Array, "n *shape"]:
        """Logits of the image."""
        return self.decoder(check_attributes(x, self.n_attr))


def check_attributes(x: Real[AnyArray, "n a"], n_attr: int) -> Float[Array, "n a"]:
    """Attributes in a floating dtype.

    Raises:
        ValueError: if there are not `n_attr` a row, or one lies outside `[0, 1]`; traced numbers pass.
    """
    if np.ndim(x) != 2 or np.shape(x)[1] != n_attr:
        raise ValueError(f"x has shape {np.shape(x)}; it needs rows of {n_attr} attributes")
    return _in_unit_interval("x", x)


def check_images(y: Real[AnyArray, "n *shape"], image_shape: Sequence[int]) -> Float[Array, "n *shape"]:
    """Images in a floating dtype.

    Raises:
        ValueError: if one has another shape or a number outside `[0, 1]`; traced numbers pass.
    """
    if np.ndim(y) < 1 or np.shape(y)[1:] != tuple(image_shape):
        raise ValueError(f"y has shape {np.shape(y)}; it needs images of {tuple(image_shape)}")
    return _in_unit_interval("y", y)


def _in_unit_interval(name: str, numbers: AnyArray) -> Array:
    if is_concrete(numbers) and np.size(numbers):
        values = np.asarray(numbers).astype(float)
        if not (values.min() >= 0 and values.max() <= 1):  # a NaN is neither
            raise ValueError(f"{name} runs from {values.min():g} to {values.max():g}; it must lie in [0, 1]")
    return floating(numbers)[0]


# --- What they are trained by ---


class Terms(NamedTuple):
    """Parts of an objective, float `[n]`, in nats: `-log p(y | x, z)` for one z of q, and `KL(q || p)`."""

    reconstruction: Array
    kl: Array


def negative_bound(model: CVAE, y: AnyArray, x: AnyArray, eps: Real[AnyArray, "n d"], free_bits: float = 0.0) -> Terms:
    """Both terms of the bound, with `z = mean + exp(logvar / 2) eps` of q.

    Args:
        model, y, x: images `[n, *shape]` and attributes `[n, a]`.
        eps: standard normal numbers.
        free_bits: what the divergence of a latent number, averaged over the batch, counts at least.

    Raises:
        ValueError: for a negative `free_bits`, and as the model.
    """
    if not free_bits >= 0:
        raise ValueError(f"free_bits is {free_bits}; it must be at least 0")
    q, p = model.recognise(y, x), model.prior(x)
    divergence = divergence_by_coordinate(q, p)
    if free_bits:
        divergence = jnp.broadcast_to(jnp.maximum(divergence.mean(0, keepdims=True), free_bits), divergence.shape)
    return Terms(-model.likelihood.log_prob(y, model.decode(at_noise(q, eps), x)), divergence.sum(-1))


def elbo(
    model: CVAE, y: AnyArray, x: AnyArray, key: jax.Array, beta: float | Array = 1.0, *, free_bits: float = 0.0
) -> tuple[Float[Array, ""], Terms]:
    """The objective of the paper, to be minimised: `E_q[-log p(y | x, z)] + beta KL(q(z | x, y) || p(z | x))`, one z an image.

    Args:
        model, y, x, free_bits: as for `negative_bound`.
        key: of the noise.
        beta: weight of the divergence; at 1 this is minus the bound of Sohn et al. (2015).

    Returns:
        The mean over the batch, and both terms.

    Raises:
        ValueError: for a negative beta, and as `negative_bound`.
    """
    check_weight("beta", beta)
    terms = negative_bound(model, y, x, jax.random.normal(key, (len(y), model.z_dim)), free_bits)
    return jnp.mean(terms.reconstruction + beta * terms.kl), terms


def stochastic_loss(model: CVAE, y: AnyArray, x: AnyArray, eps: Real[AnyArray, "n d"]) -> Float[Array, " n"]:
    """`-log p(y | x, z)` of every image for z of the *prior*: what a Gaussian stochastic network (GSNN) is trained by."""
    return -model.likelihood.log_prob(y, model.decode(at_noise(model.prior(x), eps), x))


def hybrid_loss(
    model: CVAE, y: AnyArray, x: AnyArray, key: jax.Array, alpha: float | Array, beta: float | Array = 1.0
) -> Float[Array, ""]:
    """`alpha L_CVAE + (1 - alpha) L_GSNN` of Sohn et al. (2015): the network also meets the z that it will draw from.

    Args:
        model, y, x, beta: as for `elbo`.
        key: of the noise of q and, apart from it, of p.
        alpha: 1 for the CVAE alone, 0 for the GSNN alone.

    Raises:
        ValueError: for an alpha outside `[0, 1]`, and as `elbo`.
    """
    if is_concrete(alpha) and not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; it must lie in [0, 1]")
    of_q, of_p = jax.random.split(key)
    loss, _ = elbo(model, y, x, of_q, beta)
    return alpha * loss + (1 - alpha) * stochastic_loss(model, y, x, jax.random.normal(of_p, (len(y), model.z_dim))).mean()


def beta_schedule(beta: float, steps: int, warmup: float = 0.0) -> Float[np.ndarray, " steps"]:
    """Weights of the divergence: constant, or rising in a line from 0 to `beta` over the share `warmup` of the steps.

    Raises:
        ValueError: for a negative beta, no step, or a share outside `[0, 1]`.

    >>> beta_schedule(4.0, 5, warmup=0.4).tolist()
    [0.0, 2.0, 4.0, 4.0, 4.0]
    """
    check_weight("beta", beta)
    check_at_least("steps", steps)
    if not 0 <= warmup <= 1:
        raise ValueError(f"warmup is {warmup}; it must lie in [0, 1]")
    rise = np.arange(steps) / max(warmup * steps, 1e-9)
    return (beta * np.minimum(rise, 1) if warmup else np.full(steps, beta)).astype(np.float32)


def check_weight(name: str, value: float | Array) -> None:
    """A `ValueError` for a weight below zero; a traced one passes."""
    if is_concrete(value) and not np.asarray(value) >= 0:
        raise ValueError(f"{name} is {value}; it must be at least 0")
