"""Group shift: environments that differ in how far a spurious colour agrees with the label, and heads trained over them."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Num

from quire.common.checks import check_at_least, check_finite, check_ids, floating, is_concrete
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.random import generator


class Environment(NamedTuple):
    """Coloured images `[n, h, w, 2]` with labels in {0, 1} `[n]`."""

    images: Float[np.ndarray, "n h w two"]
    labels: Int[np.ndarray, " n"]


def coloured(
    images: Float[np.ndarray, "n h w c"], classes: Int[np.ndarray, " n"], key: jax.Array, *, agreement: float, noise: float
) -> Environment:
    """Coloured images of two labels (Arjovsky et al. 2019): odd classes or even ones, and a colour that mostly goes with them.

    An image stands in one of two channels. The shape of the figure predicts the label with probability `1 - noise` everywhere,
    the channel with probability `agreement` in this environment alone.

    Args:
        images: of one channel.
        classes: of the images.
        key: for the exceptions.
        agreement, noise: probabilities.

    Raises:
        ValueError: for probabilities outside [0, 1], other images, or none.

    >>> env = coloured(np.ones((4, 2, 2, 1)), np.arange(4), jax.random.key(0), agreement=1.0, noise=0.0)
    >>> env.labels.tolist(), env.images[:, 0, 0].astype(int).tolist()
    ([0, 1, 0, 1], [[1, 0], [0, 1], [1, 0], [0, 1]])
    """
    for name, value in (("agreement", agreement), ("noise", noise)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}; it must lie in [0, 1]")
    if images.ndim != 4 or images.shape[-1] != 1 or len(images) != len(classes) or not len(images):
        raise ValueError(f"images has shape {images.shape} for {len(classes)} classes; it needs [n, h, w, 1], n at least 1")
    draw = generator(key)
    labels = (classes % 2) ^ (draw.random(len(classes)) < noise)
    colours = labels ^ (draw.random(len(classes)) >= agreement)
    channels = np.stack([colours == 0, colours == 1], axis=1)
    return Environment((images * channels[:, None, None]).astype(np.float32), labels.astype(np.int32))


def vrex(losses: Num[Array, " environments"], lam: float | Array) -> Float[Array, ""]:
    """`mean_e R_e + lambda mean_e (R_e - mean)^2` (Krueger et al. 2021); a lambda of 0 is ERM over environments.

    Raises:
        ValueError: without an environment, or for a lambda below 0.

    >>> print(vrex(jnp.array([1.0, 3.0]), 0.5))
    2.5
    """
    if losses.ndim != 1:
        raise ValueError(f"losses has shape {losses.shape}; it must be [environments]")
    check_at_least("number of environments", len(losses))
    if is_concrete(lam) and not np.asarray(lam) >= 0:
        raise ValueError(f"lam is {lam}; it must be at least 0")
    (losses,) = floating(losses)
    mean = losses.mean()
    return mean + lam * jnp.mean((losses - mean) ** 2)


class Heads(NamedTuple):
    """Linear heads `[models, settings, dim, classes]` with biases `[models, settings, classes]`."""

    weights: Float[Array, "models settings dim classes"]
    biases: Float[Array, "models settings classes"]

    def logits(self, features: Float[np.ndarray, "models examples dim"]) -> Float[np.ndarray, "models settings examples classes"]:
        """Scores of all settings of every model on its features."""
        return np.asarray(jnp.einsum("med,msdk->msek", features, self.weights) + self.biases[:, :, None])


def fit_heads(
    features: Float[np.ndarray, "models environments examples dim"],
    labels: Int[np.ndarray, "models environments examples"],
    lams: Float[np.ndarray, " settings"],
    decays: Float[np.ndarray, " settings"],
    *,
    classes: int = 2,
    steps: int = 300,
    rate: float = 0.1,
) -> Heads:
    """Heads on frozen features by full-batch descent on the loss of all environments, one for every setting.

    Args:
        features: of several representations, by environment.
        labels: of the examples.
        lams: weights of the variance of the risks, 0 for ERM. After a tenth of the steps, as is usual, and the whole loss is then
            divided by `1 + lambda`, so that one rate serves all.
        decays: weight decays, beside `lams`.
        classes: of the labels.
        steps, rate: of momentum 0.9.

    Raises:
        ValueError: if shapes do not fit, labels are out of range, or features not finite.
    """
    check_ids("labels", labels, classes)
    check_finite("features", features)
    check_at_least("steps", steps)
    if features.ndim != 4 or labels.shape != features.shape[:3] or len(lams) != len(decays):
        raise ValueError(
            f"features, labels, lams, decays have shapes {features.shape}, {labels.shape}, {lams.shape}, {decays.shape}; "
            "they need [models, environments, examples, dim], its first three, and as many lams as decays"
        )
    return Heads(*_descend(features, labels, lams.astype(np.float32), decays.astype(np.float32), rate, classes, steps))


@partial(jax.jit, static_argnames=("classes", "steps"))
def _descend(features, labels, lams, decays, rate, classes, steps):
    tx = optax.sgd(rate, momentum=0.9)

    def one(x, y, lam, decay):
        def objective(params, lam):
            w, b = params
            risks = jax.vmap(lambda x, y: smoothed_cross_entropy(x @ w + b[None], y))(x, y)
            return vrex(risks, lam) / (1 + lam) + decay / 2 * jnp.sum(w**2)

        def step(carry, number):
            params, moments = carry
            slope = jax.grad(objective)(params, jnp.where(number * 10 < steps, 0.0, lam))
            updates, moments = tx.update(slope, moments)
            return (optax.apply_updates(params, updates), moments), None

        params = jnp.zeros((x.shape[-1], classes)), jnp.zeros(classes)
        return jax.lax.scan(step, (params, tx.init(params)), jnp.arange(steps))[0][0]

    return jax.vmap(jax.vmap(one, in_axes=(None, None, 0, 0)), in_axes=(0, 0, None, None))(features, labels, lams, decays)
