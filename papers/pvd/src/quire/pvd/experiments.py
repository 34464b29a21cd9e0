"""The runs behind C1 to C5: teachers and students of one seed, each made when it is first asked for."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.data.scenes import Scene
from quire.common.data.source import Source
from quire.common.fields.radiance import CLIP, RadianceField, VoxelSHField
from quire.pvd.architectures import build_field
from quire.pvd.config import KINDS, Distillation, Kind, Preset
from quire.pvd.distillation import History, distill, train_teacher
from quire.pvd.editing import box_of_nodes, erase_box, mean_opacity
from quire.pvd.evaluation import JudgedRays, colours, decibels, judged_rays
from quire.pvd.random_poses import random_orbit_poses, random_rays
from quire.pvd.recording import Recorded, record
from quire.pvd.scenes import open_scene
from quire.pvd.schedule import Course

DIRECTIONS = tuple((a, b) for a in KINDS for b in KINDS if a != b)
"""Every teacher with every student of another kind."""


@dataclass(frozen=True)
class Trained:
    """A field, how it came about, what it shows of the test views, and how far that is from photographs in decibels."""

    field: RadianceField
    history: History
    shown: np.ndarray
    psnr: float


@dataclass(eq=False)
class Laboratory:
    """Teachers and students of one seed on the scene of a preset.

    Attributes:
        preset: sizes.
        key: for everything that is drawn. First weights and rays depend on the kinds alone, so that all courses of a pair differ
            in the loss and nothing else.
    """

    preset: Preset
    key: jax.Array
    kept: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def source(self) -> Source[Scene]:
        """The scene."""
        return open_scene(self.preset.scene)

    @property
    def scene(self) -> Scene:
        """The scene itself."""
        return self.source.value

    @cached_property
    def rays(self) -> JudgedRays:
        """By which fields are judged."""
        return judged_rays(self.scene, self.preset.teacher.samples, self.preset.scene.test_stride)

    @property
    def camera(self) -> tuple[tuple[int, int], float]:
        """Height and width in pixels, and the focal length."""
        return self.scene.train.images.shape[1:3], self.scene.focal

    def first(self, kind: Kind, role: str = "student") -> RadianceField:
        """A field before training."""
        number = KINDS.index(kind) + (10 if role == "teacher" else 20)
        return build_field(kind, self.preset.field, rngs=nnx.Rngs(jax.random.fold_in(self.key, number)))

    def _once(self, name: Any, make: Any) -> Any:
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    def _trained(self, result: tuple[RadianceField, History], clip: tuple[float, float] = CLIP) -> Trained:
        shown = colours(result[0], self.rays, clip)
        return Trained(*result, shown, decibels(shown, self.rays.truth))

    def against_photographs(self, model: RadianceField) -> float:
        """PSNR of the test views."""
        return decibels(colours(model, self.rays), self.rays.truth)

    def teacher(self, kind: Kind) -> Trained:
        """A field trained on photographs; its progress is watched."""

        def make() -> Trained:
            start, key = self.first(kind, "teacher"), jax.random.fold_in(self.key, 30 + KINDS.index(kind))
            watch = self.against_photographs if kind == "mlp" else None
            return self._trained(train_teacher(start, kind, self.scene, self.preset.teacher, key, watch=watch))

        return self._once(("teacher", kind), make)

    def recorded(self, kind: Kind, *, edited: bool = False, clip: tuple[float, float] = CLIP) -> Recorded | None:
        """What a teacher says along random rays; None where the preset asks teachers while students learn."""
        config = self.preset.distillation
        if not config.pool:
            return None

        def make() -> Recorded:
            radius = self.preset.scene.radius * self.preset.scene.distance
            key = jax.random.fold_in(self.key, 40)
            rays = random_rays(key, random_orbit_poses(radius), config.pool, *self.camera)
            model = self.edited if edited else self.teacher(kind).field
            return record(model, *rays, samples=config.training.samples, clip=clip)

        return self._once(("record", kind, edited, clip), make)

    def student(
        self,
        teacher: Kind,
        kind: Kind,
        course: Course = "staged",
        *,
        edited: bool = False,
        clip: tuple[float, float] = CLIP,
        teacher_clip: tuple[float, float] | None = None,
        fix_networks: bool = False,
        steps: int | None = None,
    ) -> Trained:
        """A field distilled from a teacher, or from the edited voxels.

        Args:
            teacher, kind: of teacher and student.
            course: staged, or an ablation.
            edited: learn from the voxels without the box.
            clip: bounds of the log-density of the student.
            teacher_clip: of the teacher; those of the student by default.
            fix_networks: with the networks of the teacher.
            steps: other than those of the preset; the progress of such a student is watched.
        """
        name = ("student", teacher, kind, course, edited, clip, teacher_clip, fix_networks, steps)

        def make() -> Trained:
            config: Distillation = replace(self.preset.distillation, clip=clip)
            config = config.lasting(steps) if steps else config
            radius = self.preset.scene.radius * self.preset.scene.distance
            model = self.edited if edited else self.teacher(teacher).field
            result = distill(
                model,
                self.first(kind),
                kind,
                random_orbit_poses(radius),
                self.camera,
                config,
                jax.random.fold_in(self.key, 50),
                course=course,
                recorded=self.recorded(teacher, edited=edited, clip=teacher_clip or clip),
                fix_networks=fix_networks,
                watch=self.against_photographs if steps else None,
            )
            return self._trained(result, clip)

        return self._once(name, make)

    def likeness(self, teacher: Kind, kind: Kind, course: Course = "staged", **options: Any) -> float:
        """PSNR of a student against what its teacher shows of the test views."""
        return decibels(self.student(teacher, kind, course, **options).shown, self.teacher(teacher).shown)

    def mean_colour(self, teacher: Kind) -> float:
        """PSNR of the best single colour against what the teacher shows."""
        shown = self.teacher(teacher).shown
        return decibels(np.broadcast_to(shown.mean(0, keepdims=True), shown.shape), shown)

    @cached_property
    def edited(self) -> RadianceField:
        """The voxel teacher without its box."""
        box, field = self.preset.editing, self.teacher("voxel").field
        assert isinstance(field, VoxelSHField)
        return erase_box(field, box.low, box.high, box.erased)

    def opacity(self, model: RadianceField, clip: tuple[float, float] = CLIP) -> float:
        """Mean opacity inside the erased box."""
        box, sizes = self.preset.editing, (self.preset.field.voxel_size,) * 3
        return mean_opacity(model, box_of_nodes(sizes, box.low, box.high), self.key, step=box.step, clip=clip)


_laboratories: dict[Any, Laboratory] = {}


def laboratory(preset: Preset, key: jax.Array) -> Laboratory:
    """The runs of a seed, shared by the claims that need them; those of the last few seeds are kept."""
    name = (preset, jax.random.key_data(key).tobytes(), jnp.result_type(float))
    if name not in _laboratories:
        while len(_laboratories) >= 6:
            _laboratories.pop(next(iter(_laboratories)))
        _laboratories[name] = Laboratory(preset, key)
    return _laboratories[name]


def steps_to(history: History, level: float) -> float:
    """The first watched step at which a value is reached; infinite if none."""
    return next((float(step) for step, value in history.watched if value >= level), float("inf"))
