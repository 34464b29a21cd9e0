"""What a trained model draws: samples, edits, interpolations; how varied and how new they are."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.attribute_cvae.cvae import CVAE, check_weight
from quire.attribute_cvae.gaussians import at_noise
from quire.common.arrays import AnyArray
from quire.common.checks import check_at_least


def sample(model: CVAE, x: Real[AnyArray, "n a"], key: jax.Array, temperature: float = 1.0) -> Float[Array, "n *shape"]:
    """One image for every row of attributes: `z` of `p(z | x)`, then the mean of `p(y | x, z)`.

    Args:
        model: trained.
        x: attributes.
        key: of the noise.
        temperature: factor on the standard deviations of the prior; 0 takes its mean.

    Raises:
        ValueError: for a negative temperature, or attributes that do not fit the model.
    """
    check_weight("temperature", temperature)
    return sampled(model, x, jax.random.normal(key, (len(x), model.z_dim)), temperature)


def sampled(
    model: CVAE, x: Real[AnyArray, "n a"], eps: Real[AnyArray, "n d"], temperature: float | Array = 1.0
) -> Float[Array, "n *shape"]:
    """`sample` for given standard normal numbers."""
    return jax.nn.sigmoid(model.decode(at_noise(model.prior(x), eps, temperature), x))


def edit(
    model: CVAE,
    y: Real[AnyArray, "n *shape"],
    x: Real[AnyArray, "n a"],
    x_new: Real[AnyArray, "n a"],
    mode: Literal["latent", "prior"] = "latent",
) -> Float[Array, "n *shape"]:
    """The images with other attributes: `z` is read from the image, and decoded beside the new attributes.

    Args:
        model: trained.
        y, x: images and the attributes that they have.
        x_new: those that they shall have.
        mode: `"latent"` keeps z, the mean of `q(z | x, y)`; `"prior"` moves it as the prior moves, to
            `mean_p(x') + sd_p(x') / sd_p(x) (z - mean_p(x))`: where the image stood in the prior of its own attributes, it stands
            in that of the new ones. Equal for the standard normal prior.

    Raises:
        ValueError: for another mode, and for arrays that do not fit the model or each other.
    """
    if mode not in ("latent", "prior"):
        raise ValueError(f"mode is {mode!r}; it must be latent or prior")
    if np.shape(x) != np.shape(x_new):
        raise ValueError(f"x has shape {np.shape(x)}, x_new {np.shape(x_new)}; they need one shape")
    z = model.recognise(y, x).mean
    if mode == "prior":
        old, new = model.prior(x), model.prior(x_new)
        z = new.mean + jnp.exp((new.logvar - old.logvar) / 2) * (z - old.mean)
    return jax.nn.sigmoid(model.decode(z, x_new))


def interpolate(
    model: CVAE,
    z: tuple[Real[AnyArray, " d"], Real[AnyArray, " d"]],
    x: tuple[Real[AnyArray, " a"], Real[AnyArray, " a"]],
    count: int,
) -> Float[Array, "count *shape"]:
    """Images on the line between two points of latent numbers and attributes, both ends among them.

    Raises:
        ValueError: for fewer than 2 images, and for points that do not fit the model.
    """
    check_at_least("count", count, 2)
    share = jnp.linspace(0, 1, count)[:, None]
    between = [(1 - share) * jnp.asarray(a)[None] + share * jnp.asarray(b)[None] for a, b in (z, x)]
    return jax.nn.sigmoid(model.decode(*between))


def diversity(images: Real[AnyArray, "draws n *shape"]) -> float:
    """How far draws for the same attributes lie apart: root of the variance over draws, averaged over pixels and rows.

    Raises:
        ValueError: without two draws.

    >>> diversity(np.array([[[0.0]], [[1.0]]]))
    0.5
    """
    if np.ndim(images) < 2 or np.shape(images)[0] < 2:
        raise ValueError(f"images has shape {np.shape(images)}; it needs at least two draws along its first axis")
    return float(np.sqrt(np.var(np.asarray(images, float), axis=0).mean()))


def nearest_distances(images: Real[AnyArray, "n *shape"], known: Real[AnyArray, "m *shape"]) -> Float[np.ndarray, " n"]:
    """Euclidean distance of every image to the nearest one of `known`: how new it is. Zero for a copy.

    Raises:
        ValueError: for images of other shapes, or none.
    """
    if np.shape(images)[1:] != np.shape(known)[1:] or not len(images) or not len(known):
        raise ValueError(
            f"images has shape {np.shape(images)}, known {np.shape(known)}; they need images of one shape, at least one"
        )
    from sklearn.metrics import pairwise_distances_argmin_min  # a second to import

    flat = [np.asarray(x, float).reshape(len(x), -1) for x in (images, known)]
    return pairwise_distances_argmin_min(*flat)[1]
