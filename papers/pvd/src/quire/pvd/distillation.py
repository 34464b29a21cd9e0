"""Training a teacher on photographs, and a student on its teacher: the same steps with other targets and weights."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from quire.common.data.scenes import Scene
from quire.common.fields.parameter_groups import place_or_network
from quire.common.fields.radiance import CLIP, FEATURES, RadianceField
from quire.common.fields.ray_batches import view_rays
from quire.common.random import generator
from quire.common.train.shared_program import cosine_rates, start, train_chunk
from quire.pvd.architectures import share_networks
from quire.pvd.config import Distillation, DistillWeights, Kind, Rates, Training
from quire.pvd.losses import RayTargets, distillation_loss
from quire.pvd.random_poses import PoseSampler, random_rays
from quire.pvd.recording import Recorded, record
from quire.pvd.schedule import Course, photograph_weights, stage_weights

Watch = Callable[[RadianceField], float]
"""Called after every chunk of steps; what it returns is kept."""


class History(NamedTuple):
    """Losses and lengths of the gradients `[steps]`; `(step, value)` of what was watched."""

    losses: np.ndarray
    gradients: np.ndarray
    watched: list[tuple[int, float]]


def train_teacher(
    field: RadianceField,
    kind: Kind,
    scene: Scene,
    training: Training,
    key: jax.Array,
    *,
    density_l1: float = DistillWeights.density_l1,
    watch: Watch | None = None,
) -> tuple[RadianceField, History]:
    """A field trained on photographs: mean squared error of pixels, and for planes and lines the penalty on their density.

    Args:
        field: first weights; left as they are.
        kind: of the field, for its rates.
        scene: views with their cameras; its train part is used.
        training: length and optimiser.
        key: for rays, samples and backgrounds.
        density_l1: weight of the penalty.
        watch: called after every chunk.

    Raises:
        ValueError: for a kind without rates, or a weight that is negative or not finite.
        TrainingDiverged: naming the step at which the loss ceased to be finite.
    """
    size = scene.train.images.shape[1:3]
    origins, directions = view_rays(scene.train.poses, size, scene.focal)
    pixels = scene.train.images.reshape(-1, 4)
    draw = generator(key)
    weights = photograph_weights(training.steps, density_l1)
    points = training.batch * training.samples

    def chunk_at(first: int) -> RayTargets:
        count = (training.chunk, training.batch)
        index = draw.integers(0, len(pixels), count)
        background = _backgrounds(draw, training)
        seen, opacity = pixels[index, :3], pixels[index, 3:]
        empty = [np.zeros((training.chunk, points, *rest), np.float32) for rest in ((1 + FEATURES,), (), (3,))]
        offset = draw.uniform(0, 1, count).astype(np.float32)
        image = seen * opacity + (1 - opacity) * background
        return RayTargets(
            origins[index],
            directions[index],
            offset,
            background,
            image.astype(np.float32),
            *empty,
            weights[first : first + training.chunk],
        )

    return _train(field, training, training.rates_of(kind), distillation_loss(training.samples), chunk_at, CLIP, watch)


def distill(
    teacher: RadianceField,
    student: RadianceField,
    kind: Kind,
    sampler: PoseSampler,
    camera: tuple[tuple[int, int], float],
    config: Distillation,
    key: jax.Array,
    *,
    course: Course = "staged",
    recorded: Recorded | None = None,
    fix_networks: bool = False,
    watch: Watch | None = None,
) -> tuple[RadianceField, History]:
    """A student that learns what its teacher says at shared samples along random rays; no photograph is needed.

    Teacher and student see the same points, directions and lengths: the rays of each chunk of steps are drawn, the teacher is
    asked about them, and the student is trained. With `config.pool` the teacher is asked once, and steps draw from the record.

    Args:
        teacher: is not changed.
        student: first weights; left as they are.
        kind: of the student, for its rates.
        sampler: of cameras.
        camera: height and width in pixels, and the focal length.
        config: length, stages, weights.
        key: for rays, samples and backgrounds.
        course: `staged`, or an ablation; see `stage_weights`. Where teacher or student has no features, stage 1 is skipped.
        recorded: what the teacher said already, instead of asking it.
        fix_networks: give the student the teacher's networks, and let it learn the rest.
        watch: called after every chunk.

    Raises:
        ValueError: if features are to be matched that differ in number, or networks to be shared that do not match; for a kind
            without rates; for a record without a ray or with other samples than the student has.
        TrainingDiverged: naming the step at which the loss ceased to be finite.
    """
    training, draw = config.training, generator(key)
    has_features = teacher.has_features and student.has_features
    weights = stage_weights(training.steps, config.stages, config.weights, course=course, has_features=has_features)
    rates = training.rates_of(kind)
    if fix_networks:
        student, rates = share_networks(teacher, student), replace(rates, networks=0.0)

    def ask(number: int, count: int) -> Recorded:
        rays = random_rays(jax.random.fold_in(key, number), sampler, count, *camera)
        return record(teacher, *rays, samples=training.samples, clip=config.clip)

    if recorded is None and config.pool:
        recorded = ask(0, config.pool)
    if recorded is not None and (not len(recorded.light) or recorded.log_sigma.shape[1] != training.samples):
        held = recorded.log_sigma.shape
        raise ValueError(f"recorded has {held[0]} rays of {held[1]} samples; it needs one, of {training.samples} samples")

    def chunk_at(first: int) -> RayTargets:
        count = training.chunk * training.batch
        kept = recorded if recorded is not None else ask(1 + first, count)
        index = draw.integers(0, len(kept.light), count) if recorded is not None else np.arange(count)
        return _targets(kept, index, _backgrounds(draw, training), weights[first : first + training.chunk])

    return _train(student, training, rates, distillation_loss(training.samples, config.loss_type), chunk_at, config.clip, watch)


def _targets(kept: Recorded, index: np.ndarray, background: np.ndarray, weights: np.ndarray) -> RayTargets:
    """Rows of a record as the batches of a chunk of steps."""
    steps, batch, _ = background.shape
    samples = kept.log_sigma.shape[1]
    check_record(kept)

    def of_rays(a: np.ndarray) -> np.ndarray:
        return a[index].reshape(steps, batch, *a.shape[1:])

    def of_points(a: np.ndarray) -> np.ndarray:
        return a[index].reshape(steps, batch * samples, *a.shape[2:])

    image = of_rays(kept.light) + (1 - of_rays(kept.opacity))[..., None] * background
    rays = (of_rays(a) for a in (kept.origins, kept.directions, kept.offset))
    return RayTargets(*rays, background, image, *(of_points(a) for a in (kept.feat, kept.log_sigma, kept.rgb)), weights)


def check_record(kept: Recorded) -> None:
    """Raises a `ValueError` for a record whose features are not those that students have."""
    if kept.feat.shape[-1] != 1 + FEATURES:
        raise ValueError(
            f"the teacher has {kept.feat.shape[-1]} features; the student has {1 + FEATURES}, and stage 1 matches them"
        )


def _backgrounds(draw: np.random.Generator, training: Training) -> Float[np.ndarray, "steps batch 3"]:
    shape = (training.chunk, training.batch, 3)
    return draw.uniform(0, 1, shape).astype(np.float32) if training.random_background else np.ones(shape, np.float32)


def _train(field, training: Training, rates: Rates, loss, chunk_at, clip, watch: Watch | None):
    run, losses, gradients, watched = start(field), [], [], []
    peak = (rates.place, rates.networks)
    bounds = np.asarray(clip, np.float32)
    for first in range(0, training.steps, training.chunk):
        falling = cosine_rates(peak, training.chunk, total=training.steps, first=first, floor=training.floor)
        run, course = train_chunk(
            run,
            loss,
            chunk_at(first),
            falling,
            bounds,
            decay=training.decay,
            group_of=place_or_network,
            first_step=first,
        )
        losses.append(course.losses)
        gradients.append(course.gradients)
        if watch is not None:
            watched.append((first + training.chunk, watch(run.model)))
    return run.model, History(np.concatenate(losses), np.concatenate(gradients), watched)
