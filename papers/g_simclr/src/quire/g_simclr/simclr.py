"""SimCLR (Chen et al. 2020) over batches that are laid out beforehand: many layouts side by side, in one program."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids, check_positive
from quire.common.layers.projection import ProjectionHead
from quire.common.losses.contrastive import nt_xent
from quire.common.train.seeds import fit_seeds, stack
from quire.g_simclr.augment import Augmentation, augment, draw_views

POOL = 4096
"""Views whose random numbers are drawn, on the host; a run reads them again and again, beside other images each time."""


class SimCLR(nnx.Module):
    """An encoder and its projection head.

    Args:
        encoder: images to features `[n, dim]`.
        dim: of the features.
        widths: of the head; the authors' is `(256, 128, 50)`.
        rngs: for the initial weights of the head.
    """

    def __init__(self, encoder: nnx.Module, dim: int, widths: tuple[int, ...], *, rngs: nnx.Rngs):
        self.encoder, self.head = encoder, ProjectionHead(dim, widths, rngs=rngs)

    def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n out"]:
        """What the loss compares."""
        return self.head(self.features(images))

    def features(self, images: Float[Array, "n h w c"]) -> Float[Array, "n dim"]:
        """The representation, P3 of the paper."""
        return jax.nn.relu(self.encoder(images))

    def probed(self, images: Float[Array, "n h w c"]) -> dict[str, Float[Array, "n _"]]:
        """What the paper probes: P1 behind the last hidden layer of the head, P2 behind the first, P3 before the head."""
        depths = self.head.depths(self.features(images))
        return {"P1": depths[-2], "P2": depths[1], "P3": depths[0]}


def cosine_restarts(peak: float, first_period: int) -> optax.Schedule:
    """A cosine from the peak to zero, again and again; every period is twice as long as the one before.

    Raises:
        ValueError: for a peak that is not positive or a period below 1.

    >>> rate = cosine_restarts(1.0, 10)
    >>> [round(float(rate(step)), 2) for step in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """
    check_positive("peak", peak)
    check_at_least("first_period", first_period)

    def rate(step):
        periods = jnp.asarray(step) / first_period + 1
        number = jnp.floor(jnp.log2(periods) + 1e-6)  # a logarithm of a power of two may be a hair too small
        return peak * 0.5 * (1 + jnp.cos(jnp.pi * jnp.maximum(periods / 2**number - 1, 0)))

    return rate


class Trained(NamedTuple):
    """Models of all layouts and seeds: their graph, states by layout with a leading axis of seeds, losses `[seeds, steps]`."""

    graph: nnx.GraphDef
    states: dict[str, Any]
    losses: dict[str, np.ndarray]


def train(
    build: Callable[[nnx.Rngs], SimCLR],
    images: np.ndarray,
    orders: Mapping[str, Int[np.ndarray, "seeds steps batch"]],
    tx: optax.GradientTransformation,
    keys: jax.Array,
    *,
    how: Augmentation,
    temperature: float = 0.1,
    one_by_one: bool = False,
) -> Trained:
    """One model for every layout and seed.

    Runs of one seed start from the same weights and draw the same views, row by row: they differ in nothing but which images
    share a batch.

    Args:
        build: makes the model.
        images: bytes `[n, h, w, 3]`, or floats in `[0, 1]`.
        orders: by name, rows of the images for every step.
        tx: the optimiser.
        keys: of the seeds.
        how: views are made.
        temperature: of the loss.
        one_by_one: see `fit_seeds`; for convolutional encoders.

    Raises:
        ValueError: for orders of different shapes, other numbers of seeds, or rows that there are not.
    """
    shapes = {order.shape for order in orders.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 3 or shape[0] != len(keys):
        raise ValueError(
            f"orders have shapes {[order.shape for order in orders.values()]}; all need one, [{len(keys)}, steps, batch]"
        )
    for name, order in orders.items():
        check_ids(name, order, len(images))
    _, steps, batch = shape
    rows = min(POOL, 2 * batch * steps)
    draws = [draw_views(jax.random.fold_in(key, 1), rows, how.smallest_area) for key in keys]
    data = stack([(images, np.asarray(order[i]), draws[i]) for order in orders.values() for i in range(len(keys))])
    graph, states, losses = fit_seeds(
        build,
        tx,
        partial(contrastive_loss, temperature=temperature),
        partial(two_views, how=how),
        data,
        steps=steps,
        keys=jnp.concatenate([keys] * len(orders)),
        one_by_one=one_by_one,
    )
    cut = lambda tree, i: jax.tree.map(lambda leaf: np.asarray(leaf)[i * len(keys) : (i + 1) * len(keys)], tree)  # noqa: E731
    by_name = lambda tree: {name: cut(tree, i) for i, name in enumerate(orders)}  # noqa: E731
    return Trained(graph, by_name(states), by_name(losses))


def two_views(data: tuple, step: jax.Array | int, *, how: Augmentation) -> Float[Array, "two_n h w 3"]:
    """`BatchAt`: the first views of the images of a step, then the second ones."""
    images, order, draws = data
    batch = order[step]
    twice = jnp.concatenate([batch, batch])
    return augment(images[twice], rows_of(draws, step, len(twice), 2 if how.per_batch else None), how)


def rows_of(draws: Any, step: jax.Array | int, count: int, groups: int | None = None) -> Any:
    """The random numbers of a step; with groups, all images of one share a row."""
    number = jnp.arange(count) if groups is None else jnp.arange(count) // (count // groups)
    rows = (step * (count if groups is None else groups) + number) % len(draws.chances)
    return jax.tree.map(lambda numbers: numbers[rows], draws)


def contrastive_loss(model: SimCLR, images: Array, key: jax.Array, *, temperature: float) -> Array:
    """NT-Xent of the two halves of a batch."""
    first, second = jnp.split(model(images), 2)
    return nt_xent(first, second, temperature)
