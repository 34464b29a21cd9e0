"""The attribute probe: a classifier that is trained on real images and judges generated ones, frozen."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Real

from quire.attribute_cvae.networks import Perceptron
from quire.common.arrays import AnyArray
from quire.common.checks import check_finite
from quire.common.train.batches import epoch_indices
from quire.common.train.recipe import Recipe
from quire.common.train.seeds import fit_seeds


class Probe(nnx.Module):
    """Logits of every attribute from the pixels.

    Args:
        image_shape, n_attr: sizes.
        widths: hidden layers.
        rngs: for the initial weights.
    """

    def __init__(self, image_shape: Sequence[int], n_attr: int, widths: Sequence[int], *, rngs: nnx.Rngs):
        self.layers = Perceptron((int(np.prod(image_shape)), *widths, n_attr), jax.nn.relu, rngs=rngs)

    def __call__(self, y: Float[Array, "n *shape"]) -> Float[Array, "n a"]:
        """Positive where an attribute is seen."""
        return self.layers(y.reshape(len(y), -1))


def probe_loss(model: Probe, batch: tuple[Array, Array], key: jax.Array) -> Float[Array, ""]:
    """Mean binary cross-entropy over attributes."""
    y, x = batch
    logits = model(y)
    return jnp.mean(jax.nn.softplus(logits) - logits * x)


def bytes_batch(data: tuple, step: jax.Array | int) -> tuple[Array, Array]:
    """`BatchAt` for `(images, attributes, indices)`, bytes and zeros and ones, as floating numbers in `[0, 1]`."""
    images, attributes, indices = data[:3]
    rows = indices[step]
    return images[rows].astype(jnp.float32) / 255, attributes[rows].astype(jnp.float32)


def train_probes(
    images: Real[np.ndarray, "sets n *shape"],
    attributes: Real[np.ndarray, "sets n a"],
    recipe: Recipe,
    widths: Sequence[int],
    keys: jax.Array,
) -> tuple[nnx.GraphDef, nnx.State]:
    """One probe for every set of real images, all of them in one program.

    Args:
        images: bytes.
        attributes: zeros and ones.
        recipe: length and optimiser.
        widths: hidden layers.
        keys: of the initial weights and of the order of the images, one a set.

    Returns:
        Graph, and states with a leading axis of sets.
    """
    build = partial(_build, images.shape[2:], attributes.shape[2], tuple(widths))
    order = [epoch_indices(jax.random.fold_in(key, 7), images.shape[1], recipe.batch_size, recipe.steps) for key in keys]
    data = images, attributes, np.stack(order)
    graph, state, _ = fit_seeds(
        build, recipe.transformation(), probe_loss, bytes_batch, data, steps=recipe.steps, keys=keys, ema=recipe.ema
    )
    return graph, state


def _build(image_shape, n_attr, widths, rngs):
    return Probe(image_shape, n_attr, widths, rngs=rngs)


def attribute_accuracy(logits: Real[AnyArray, "*n a"], x: Real[AnyArray, "*n a"]) -> float:
    """Share of the attributes that a probe sees as they are meant to be, over images and attributes.

    Args:
        logits: of the probe.
        x: attributes that the images were made for.

    Raises:
        ValueError: if the shapes differ, there is no number, or a logit is not finite.

    >>> attribute_accuracy(np.array([[2.0, -1.0]]), np.array([[1, 1]]))
    0.5
    """
    if np.shape(logits) != np.shape(x) or not np.size(x):
        raise ValueError(f"logits has shape {np.shape(logits)}, x {np.shape(x)}; they need one shape, of at least one number")
    check_finite("logits", logits)
    return float(np.mean((np.asarray(logits) > 0) == (np.asarray(x) > 0.5)))
