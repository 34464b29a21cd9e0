"""The claims of the paper, in its order: C1 to C5."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import ndimage

from quire.common.claims import Measurement, above, all_of, at_least, beats, below, on_average
from quire.common.claims.identity import identity
from quire.common.data.photographs import photograph
from quire.common.random import generator
from quire.random_field_augmentations import figures
from quire.random_field_augmentations.augment import MILD, RandomFieldAugment
from quire.random_field_augmentations.color import RGB, YIQ, local_color
from quire.random_field_augmentations.config import GLOBAL, LOCAL, METHOD, STRENGTHS, Preset, of_strength
from quire.random_field_augmentations.paper import paper
from quire.random_field_augmentations.random_fields import (
    field_covariance,
    fields_from_modes,
    filter_white_noise,
    fourier_modes,
    spectrum,
)
from quire.random_field_augmentations.sources import test_images
from quire.random_field_augmentations.structure import preserved, view_rank
from quire.random_field_augmentations.study import contrastive_study
from quire.random_field_augmentations.warp import FIELDS, local_affine_grid, params_from, warp_bilinear

SEEDS = 3
SIDE = 24
"""Of the fields of C2."""
RANKED = 8
"""Images of C5."""
ALWAYS = replace(LOCAL, p_geometry=1.0, p_color=1.0)
"""No image is spared: for what is said of single views."""


@paper.claim(
    "C1",
    says="Random fields generalise the usual affine and colour transforms, which are their constant case",
    source="abstract",
    metric="largest difference to the global transform, float64",
    holds=all_of(below(1e-9), below(1e-5, of="float32")),
    exact=True,
)
def constant_fields_are_global(preset: Preset, key: jax.Array) -> Measurement:
    """Against SciPy's affine transform and the colour operations one after the other; fields of infinite length are constant."""
    image = np.asarray(photograph("astronaut", 32).pixels, float)
    values = generator(key).normal(size=len(FIELDS)) * 2 * np.asarray(MILD)
    warped, colored = _affine(image, values), _colors(image, values)

    def errors(dtype: Any) -> dict[str, float]:
        fields = params_from(jnp.broadcast_to(jnp.asarray(values, dtype)[:, None, None], (len(FIELDS), *image.shape[:2])))
        drawn = RandomFieldAugment(GLOBAL).fields(key, 2, image.shape[:2])
        given = jnp.asarray(image, dtype)
        return {
            "affine": _difference(warp_bilinear(given, local_affine_grid(fields)), warped),
            "colours": _difference(local_color(given, fields), colored),
            "spread of a drawn field": _difference(drawn, np.asarray(drawn)[..., :1, :1]),
        }

    return identity(errors, "scikit-image astronaut, 32 x 32")


def _difference(found: Any, expected: Any) -> float:
    return float(np.abs(np.asarray(found, float) - np.asarray(expected, float)).max())


def _affine(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """One affine map of the whole image, by SciPy, whose coordinates are (row, column)."""
    tx, ty, rot, log_scale, shear_x, shear_y = values[:6]
    turn = np.array([[np.cos(rot), -np.sin(rot)], [np.sin(rot), np.cos(rot)]])
    matrix = (np.exp(log_scale) * turn @ np.array([[1, shear_x], [shear_y, 1]]))[::-1, ::-1]
    height, width = image.shape[:2]
    middle = (np.array([height, width]) - 1) / 2
    offset = middle - matrix @ middle + np.array([ty * height, tx * width])
    channels = [ndimage.affine_transform(image[..., c], matrix, offset, order=1, mode="nearest") for c in range(3)]
    return np.stack(channels, -1)


def _colors(image: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Brightness, contrast, saturation, hue as they are usually written, one after the other on red, green and blue."""
    brightness, contrast, saturation, hue = values[6:]
    x = image * np.exp(brightness)
    x = (x @ YIQ[0]).mean() + (x - (x @ YIQ[0]).mean()) * np.exp(contrast)
    grey = (x @ YIQ[0])[..., None]
    x = grey + (x - grey) * np.exp(saturation)
    angle = 2 * np.pi * hue
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    return np.clip(x @ (RGB @ turn @ YIQ).T, 0, 1)


@paper.claim(
    "C2",
    says="Every parameter is a Gaussian random field with the stated covariance",
    source="section on random fields",
    metric="largest error of an empirical covariance, in units of 6 / sqrt(draws)",
    holds=all_of(below(1), below(0.2, of="excess kurtosis")),
    exact=True,
    seeds=SEEDS,
)
def fields_are_gaussian(preset: Preset, key: jax.Array) -> Measurement:
    """Three samplers: both kinds of field by FFT, and the squared exponential by few waves, as training draws it."""
    from scipy.stats import kurtosis

    draw, shape, n = generator(key), (SIDE, SIDE), preset.num_fields
    power = {"ell 3": spectrum(shape, ell=3.0), "gamma 3": spectrum(shape, gamma=3.0)}
    white = draw.standard_normal((n, *shape), dtype=np.float32)
    modes = fourier_modes(shape, 3.0)
    noise = draw.standard_normal((n, modes.rows.shape[1], modes.columns.shape[1]), dtype=np.float32)
    drawn = {name: filter_white_noise(white, s) for name, s in power.items()}
    drawn["ell 3, few waves"] = fields_from_modes(noise, modes.rows, modes.columns)
    wanted = {name: field_covariance(power["gamma 3" if name == "gamma 3" else "ell 3"]) for name in drawn}
    empirical = {name: _covariance(np.asarray(fields, float)) for name, fields in drawn.items()}
    errors = {name: float(np.abs(empirical[name] - wanted[name]).max()) * np.sqrt(n) / 6 for name in drawn}
    excess = [abs(float(np.mean(kurtosis(np.asarray(fields, float), axis=0)))) for fields in drawn.values()]
    return Measurement(
        max(errors.values()),
        f"{n} fields of {SIDE} x {SIDE}",
        extras={"excess kurtosis": max(excess)} | {f"error, {name}": value for name, value in errors.items()},
        figure=figures.covariances(empirical, wanted),
    )


def _covariance(fields: np.ndarray) -> np.ndarray:
    """Of the first pixel with every pixel."""
    return np.einsum("n,nhw->hw", fields[:, 0, 0], fields) / len(fields)


@paper.claim(
    "C3",
    says="Mild local transforms help the representation, in distribution and out of it",
    source="abstract",
    metric="accuracy of a linear probe",
    holds=all_of(
        on_average(at_least(0, of="gain + 1 standard error")),
        on_average(at_least(0, of="gain on digits + 1 standard error")),
    ),
    trivial="pixels",
    seeds=SEEDS,
)
def mild_transforms_help(preset: Preset, key: jax.Array) -> Measurement:
    """The gain over SimCLR's crop, mirror image and jitter of colours; seeds share weights, crops and order of images."""
    study = contrastive_study(preset, key)
    accuracy, gains = study["accuracy"], study["gains"]
    (mean, error), (other, other_error) = gains["images"][METHOD], gains["other"][METHOD]
    parts = {name: gains["images"][name] for name in ("global", "local geometry", "local colour")}
    return Measurement(
        float(accuracy[METHOD]),
        **study["fields"],
        baselines={"pixels": study["pixels"], "baseline": float(accuracy["baseline"])},
        extras={
            "gain + 1 standard error": mean + error,
            "gain": mean,
            "standard error": error,
            "gain on digits + 1 standard error": other + other_error,
            "gain on digits": other,
            "standard error on digits": other_error,
            "digits": float(study["other"][METHOD]),
            "digits, baseline": float(study["other"]["baseline"]),
            "digits, pixels": study["other pixels"],
        }
        | {f"gain, {name}": value for name, (value, _) in parts.items()}
        | {f"standard error, {name}": value for name, (_, value) in parts.items()},
    )


@paper.claim(
    "C4",
    says="Strong transforms destroy the structure of the image, and the representation with it",
    source="abstract",
    metric="accuracy of a linear probe, best strength",
    holds=all_of(
        on_average(beats("strength 8")),
        below(0, of="largest step of the similarity"),
        at_least(0, of="least step of the folded part"),
        above(0, of="folded part, strength 8"),
    ),
    trivial="pixels",
    seeds=SEEDS,
)
def strong_transforms_destroy(preset: Preset, key: jax.Array) -> Measurement:
    """The best strength is that of the mean over seeds, 8 left aside; structure is that of images of 32 x 32, all changed."""
    study = contrastive_study(preset, key)
    accuracy = {strength: float(study["accuracy"][of_strength(strength)]) for strength in STRENGTHS}
    _, images = test_images(preset.num_structure)
    fields = RandomFieldAugment(ALWAYS).fields(key, len(images), images.shape[1:3])
    found = {strength: preserved(images, strength * fields) for strength in STRENGTHS}
    similarity, folded, least = ({s: float(parts[i].mean()) for s, parts in found.items()} for i in range(3))
    return Measurement(
        float(study["accuracy"][study["best strength"]]),
        **study["fields"],
        baselines={"pixels": study["pixels"], "strength 8": accuracy[8.0]},
        extras={
            "largest step of the similarity": max(b - a for a, b in pairwise(similarity.values())),
            "least step of the folded part": min(b - a for a, b in pairwise(folded.values())),
        }
        | {f"accuracy, strength {s:g}": value for s, value in accuracy.items()}
        | {f"similarity, strength {s:g}": value for s, value in similarity.items()}
        | {f"folded part, strength {s:g}": value for s, value in folded.items()}
        | {f"smallest determinant, strength {s:g}": value for s, value in least.items()},
        figure=figures.sweep(similarity, folded, accuracy, study["pixels"]),
    )


@paper.claim(
    "C5",
    says="The space of augmentations is larger than that of global transforms",
    source="abstract",
    metric="effective rank of what views differ in, local",
    holds=above(3, of="local / global"),
    trivial="global",
    seeds=SEEDS,
)
def space_is_larger(preset: Preset, key: jax.Array) -> Measurement:
    """Fields of equal variance at every pixel, of a quarter of the side and constant; mean over images."""
    name, images = test_images(RANKED)
    both = {"local": ALWAYS, "global": replace(ALWAYS, ell=GLOBAL.ell)}
    keys = [jax.random.fold_in(key, i) for i in range(RANKED)]
    ranks = {
        name: float(np.mean([view_rank(config, *pair, preset.num_draws) for pair in zip(keys, images, strict=True)]))
        for name, config in both.items()
    }
    return Measurement(
        ranks["local"],
        f"{RANKED} images of {name}, {preset.num_draws} views each",
        baselines={"global": ranks["global"]},
        extras={"local / global": ranks["local"] / ranks["global"]},
        stand_in_for="ImageNet",
    )
