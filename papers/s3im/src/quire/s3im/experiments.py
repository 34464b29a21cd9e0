"""The runs behind C2 to C5: fields of one seed, each trained when it is first asked for."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.data.scenes import Scene
from quire.common.data.source import Source
from quire.s3im.config import Kind, Preset, Sampler, SceneConfig, Similarity
from quire.s3im.corruption import corrupt
from quire.s3im.evaluation import Quality, view_quality
from quire.s3im.hosts import Host, build_host
from quire.s3im.scenes import open_scene, sparse
from quire.s3im.surface import SurfaceView
from quire.s3im.training import History, show_views, train_field


@dataclass(frozen=True)
class Trained:
    """A field, how its loss fell, what it shows to the test cameras, and how good that is."""

    host: Host
    history: History
    shown: SurfaceView
    quality: Quality


@dataclass(eq=False)
class Laboratory:
    """Fields of one seed on one scene.

    Attributes:
        preset: sizes.
        config: the scene.
        key: for first weights, rays, orders and damage; all losses see the same ones.
    """

    preset: Preset
    config: SceneConfig
    key: jax.Array
    kept: dict[Any, Trained] = field(default_factory=dict)

    @cached_property
    def source(self) -> Source[Scene]:
        """The scene."""
        return open_scene(self.config)

    @property
    def scene(self) -> Scene:
        """The scene itself."""
        return self.source.value

    @cached_property
    def truth(self) -> np.ndarray:
        """Test views over white `[views, h, w, 3]`."""
        return self.scene.test.over(1.0)

    @cached_property
    def noisy(self) -> np.ndarray:
        """Training views over white, with noise `[views, h, w, 3]`."""
        return corrupt(self.scene.train.over(1.0), "noise", self.preset.noise, jax.random.fold_in(self.key, 3))

    @cached_property
    def mean_image(self) -> Quality:
        """Of the mean of the training views, shown to every camera."""
        mean = self.scene.train.over(1.0).mean(0, keepdims=True)
        return view_quality(np.broadcast_to(mean, self.truth.shape), self.truth)

    @property
    def similarity(self) -> Similarity:
        """S3IM as the preset has it."""
        return self.preset.similarity

    @property
    def squared(self) -> Similarity:
        """The mean squared error alone, in the same program."""
        return replace(self.similarity, weight=0.0)

    @property
    def local(self) -> Similarity:
        """Structural similarity of pixels as they come: of neighbours, if they are drawn as crops."""
        return replace(self.similarity, repeats=1)

    def run(
        self,
        loss: Similarity,
        kind: Kind | str = "vm",
        *,
        rate: float | None = None,
        steps: int | None = None,
        sampler: Sampler = "uniform",
        few: bool = False,
        noise: bool = False,
    ) -> Trained:
        """A trained field.

        Args:
            loss: S3IM, and its weight.
            kind: of the host.
            rate: learning rate of all parameters, if another than the preset's.
            steps: if others than the preset's.
            sampler: of pixels.
            few: with few training views.
            noise: with noise on the training views.
        """
        name = (loss, kind, rate, steps, sampler, few, noise)
        if name not in self.kept:
            training = self.preset.training
            if rate is not None:
                training = replace(training, rate=rate, network_rate=rate)
            training = replace(training, steps=steps or training.steps)
            scene = sparse(self.scene, self.preset.sparse_views) if few else self.scene
            first = build_host(kind, self.preset.field, rngs=nnx.Rngs(jax.random.fold_in(self.key, 1)))
            colours = self.noisy if noise else None
            key = jax.random.fold_in(self.key, 2)
            room = self.similarity.repeats
            result = train_field(scene, first, training, key, loss=loss, colours=colours, sampler=sampler, room=room)
            shown = show_views(result[0], self.scene, samples=training.samples, clip=training.clip)
            self.kept[name] = Trained(*result, shown, view_quality(np.clip(shown.rgb, 0, 1), self.truth))
        return self.kept[name]


_laboratories: dict[Any, Laboratory] = {}


def laboratory(preset: Preset, key: jax.Array, config: SceneConfig | None = None) -> Laboratory:
    """The runs of a seed, shared by the claims that need them; those of the last few seeds are kept."""
    name = (preset, config, jax.random.key_data(key).tobytes(), str(jnp.result_type(float)))
    if name not in _laboratories:
        while len(_laboratories) >= 6:
            _laboratories.pop(next(iter(_laboratories)))
        _laboratories[name] = Laboratory(preset, config or preset.scene, key)
    return _laboratories[name]


def sweep(preset: Preset, key: jax.Array) -> Iterator[tuple[Similarity, Quality]]:
    """Quality on noisy views with other settings of the loss, the usual one and the mean squared error first."""
    lab = laboratory(preset, key)
    for loss in (lab.squared, lab.similarity, *preset.sweep):
        yield loss, lab.run(loss, noise=True).quality


def photographs(preset: Preset, key: jax.Array) -> dict[str, Quality] | None:
    """Both losses on photographs; None where the preset leaves them out.

    Raises:
        DatasetUnavailable: if the photographs are not here.
    """
    if preset.photographs is None:
        return None
    lab = laboratory(preset, key, preset.photographs)
    return {
        "squared error": lab.run(lab.squared).quality,
        "squared error + S3IM": lab.run(lab.similarity).quality,
        "mean image": lab.mean_image,
    }
