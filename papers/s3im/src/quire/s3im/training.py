"""Training a field on random rays with the mean squared error and S3IM; one program serves all runs of a host."""

from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.data.scenes import Scene
from quire.common.fields.parameter_groups import place_or_network
from quire.common.fields.ray_batches import PhotoBatch, view_rays
from quire.common.fields.view_rendering import render_views
from quire.common.random import generator
from quire.common.train.shared_program import cosine_rates, start, train_chunk
from quire.s3im.config import SAMPLERS, Sampler, Similarity, Training
from quire.s3im.hosts import Host, look, own_penalty
from quire.s3im.loss import taps_of, window_pixels, window_similarity
from quire.s3im.ray_choice import crop_pixels, uniform_pixels
from quire.s3im.surface import SurfaceView
from quire.s3im.virtual_patches import drawn_orders, window_places


class Batch(NamedTuple):
    """One step: rays with their colours `[n, ...]`, and the orders of their pixels `[repeats, n]`."""

    photo: PhotoBatch
    orders: Array | np.ndarray


class Constants(NamedTuple):
    """What all steps of a run share; all are arguments of the program.

    Attributes:
        weight: of S3IM.
        penalty: of what the host adds by itself.
        clip: bounds of the log-density `[2]`.
        places: pixels of the windows, as places in the orders `[windows, taps]`.
        taps: their weights `[taps]`.
    """

    weight: Array | np.ndarray
    penalty: Array | np.ndarray
    clip: Array | np.ndarray
    places: Array | np.ndarray
    taps: Array


class History(NamedTuple):
    """The total loss, and lengths of the gradients `[steps]`."""

    losses: np.ndarray
    gradients: np.ndarray


def train_field(
    scene: Scene,
    field: Host,
    training: Training,
    key: jax.Array,
    *,
    loss: Similarity,
    colours: Float[np.ndarray, "views h w 3"] | None = None,
    sampler: Sampler = "uniform",
    room: int | None = None,
) -> tuple[Host, History]:
    """A field trained by `mean squared error + lambda (1 - S3IM) + what the host adds`.

    The key decides the rays and the orders apart from each other, so runs with one key and other losses see the same rays.

    Args:
        scene: views with their cameras; the train part is used.
        field: first weights; left as they are.
        training: length and optimiser.
        key: for rays, samples and orders.
        loss: S3IM and its weight; the product of the patch is the batch.
        colours: to train on, in place of the views over white: damaged ones, for instance.
        sampler: `"uniform"` pixels of all views, or `"crops"`: squares of one view, row by row.
        room: repeats whose number of windows the program has room for. Fewer windows are repeated to fill it where they divide
            it, which leaves their mean as it is and shares the program.

    Raises:
        ValueError: if colours are not those of the views, or the sampler is unknown.
        TrainingDiverged: naming the step at which the loss ceased to be finite.
    """
    room = max(room or 0, loss.repeats)
    constants = Constants(
        np.asarray(loss.weight, np.float32),
        np.asarray(training.penalty, np.float32),
        np.asarray(training.clip, np.float32),
        shared_places(loss, room),
        taps_of(loss.kernel),
    )
    chunk_of = partial(_chunk, *_rays_and_colours(scene, colours), loss, room, sampler, training.chunk)
    rays, orders = (generator(jax.random.fold_in(key, i)) for i in range(2))
    run, losses, gradients = start(field), [], []
    for first in range(0, training.steps, training.chunk):
        peak = (training.rate, training.network_rate)
        rates = cosine_rates(peak, training.chunk, total=training.steps, first=first, floor=training.floor)
        batches = chunk_of(rays, orders)
        run, course = train_chunk(
            run, field_loss(training.samples), batches, rates, constants, group_of=place_or_network, first_step=first
        )
        losses.append(course.losses)
        gradients.append(course.gradients)
    return run.model, History(np.concatenate(losses), np.concatenate(gradients))


@cache
def field_loss(samples: int):
    """The loss of a batch, as a program takes it: the same function object each time."""

    def loss(host: Host, batch: Batch, constants: Constants) -> Array:
        photo = batch.photo
        seen = look(host, photo.origins, photo.directions, samples=samples, offset=photo.offset, clip=constants.clip)
        pixels = window_pixels(batch.orders, constants.places)
        similarity = window_similarity(seen.rgb, photo.rgb, pixels, constants.taps)
        squared = jnp.mean((seen.rgb - photo.rgb) ** 2)
        return squared + constants.weight * (1 - similarity) + constants.penalty * own_penalty(host)

    return loss


def shared_places(loss: Similarity, room: int) -> np.ndarray:
    """Windows of a loss, repeated where they divide the number that `room` repeats would have."""
    places = window_places(loss.repeats, loss.patch, loss.kernel, loss.stride, loss.layout)
    border = loss.repeats * loss.batch
    full = len(window_places(room, loss.patch, loss.kernel, loss.stride, loss.layout))
    copies = full // len(places) if full % len(places) == 0 else 1
    # the orders of the program may be more than these windows look at; the border moves behind all of them
    return np.tile(np.where(places == border, room * loss.batch, places), (copies, 1)).astype(np.int32)


def show_views(
    field: Host, scene: Scene, *, samples: int, clip: tuple[float, float] = (-5.0, 7.0), views: int | None = None
) -> SurfaceView:
    """What a field shows to the first test cameras, over white: arrays `[views, height, width, ...]`.

    Raises:
        ValueError: if there is no view.
    """
    poses = scene.test.poses[:views]
    return render_views(_looker(samples, clip), field, poses, scene.test.images.shape[1:3], scene.focal)


@cache
def _looker(samples: int, clip: tuple[float, float]):
    return partial(look, samples=samples, clip=clip)


def _rays_and_colours(
    scene: Scene, colours: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int, int]]:
    given = scene.train.over(1.0) if colours is None else np.asarray(colours, np.float32)
    views, height, width = scene.train.images.shape[:3]
    if given.shape != (views, height, width, 3):
        raise ValueError(f"colours has shape {given.shape}; the training views need {(views, height, width, 3)}")
    origins, directions = view_rays(scene.train.poses, (height, width), scene.focal)
    return origins, directions, given.reshape(-1, 3), (views, height, width)


def _chunk(origins, directions, colours, shape, loss: Similarity, room: int, sampler: Sampler, steps: int, rays, orders) -> Batch:
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler is {sampler!r}; it must be one of {', '.join(SAMPLERS)}")
    check_at_least("steps", steps)
    if sampler == "crops":
        index = crop_pixels(rays, steps, loss.patch, shape[0], shape[1:])
    else:
        index = uniform_pixels(rays, steps, loss.batch, len(colours))
    offset = rays.uniform(0, 1, index.shape).astype(np.float32)
    photo = PhotoBatch(origins[index], directions[index], offset, colours[index].astype(np.float32))
    return Batch(photo, drawn_orders(orders, steps, room, loss.batch))
