"""The augmentation: ten fields an image, geometry first, then colours."""

import math
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from quire.common.checks import check_positive
from quire.random_field_augmentations.color import local_color
from quire.random_field_augmentations.random_fields import (
    FourierModes,
    check_sigma,
    fields_from_modes,
    filter_white_noise,
    fourier_modes,
    spectrum,
)
from quire.random_field_augmentations.warp import (
    FIELDS,
    NUM_GEOMETRIC,
    Mode,
    RandomFieldParams,
    local_affine_grid,
    params_from,
    warp_bilinear,
)

MILD = RandomFieldParams(
    tx=0.02,
    ty=0.02,
    rot=0.1,
    log_scale=0.1,
    shear_x=0.05,
    shear_y=0.05,
    brightness=0.2,
    contrast=0.2,
    saturation=0.3,
    hue=0.03,
)
"""Standard deviations of the fields at strength 1."""


@dataclass(frozen=True)
class RandomFieldConfig:
    """What is drawn.

    Attributes:
        sigmas: standard deviation of each field.
        strength: multiplies all of them.
        ell: correlation length in parts of the longer side; infinite for one value an image, which is the usual augmentation.
        gamma: exponent of a power law in place of `ell`.
        p_geometry, p_color: how often an image is warped, and how often its colours change.
        mode: what is read outside of the image.

    Raises:
        ValueError: for a standard deviation or strength that is negative or not finite, an ell that is not positive, or a
            probability outside of 0..1.
    """

    sigmas: RandomFieldParams = field(default_factory=lambda: MILD)
    strength: float = 1.0
    ell: float = 0.25
    gamma: float | None = None
    p_geometry: float = 0.5
    p_color: float = 0.8
    mode: Mode = "edge"

    def __post_init__(self):
        check_sigma(np.asarray(self.sigmas))
        check_sigma(self.strength)
        check_positive("ell", self.ell)
        for name in ("p_geometry", "p_color"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must lie in 0..1")

    def scaled_sigmas(self) -> Float[np.ndarray, " 10"]:
        """Standard deviations at this strength."""
        return self.strength * np.asarray(self.sigmas, np.float32)

    def modes(self, shape: tuple[int, int]) -> FourierModes:
        """Waves of the squared-exponential fields of images of this shape, on a torus that is larger by three lengths."""
        ell = self.ell * max(shape)
        return fourier_modes(shape, ell, pad=0 if math.isinf(ell) else math.ceil(3 * ell))


class RandomFieldAugment:
    """Images `[n, h, w, 3]` with values in `[0, 1]` to images of the same shape, each by fields of its own.

    Args:
        config: what is drawn.

    >>> augment = RandomFieldAugment(RandomFieldConfig(strength=2.0))
    >>> augment(jax.random.key(0), jnp.full((4, 16, 16, 3), 0.5)).shape
    (4, 16, 16, 3)
    """

    def __init__(self, config: RandomFieldConfig | None = None):
        self.config = RandomFieldConfig() if config is None else config

    def fields(self, key: jax.Array, n: int, shape: tuple[int, int]) -> Float[Array, "n 10 h w"]:
        """Independent fields, one of each kind an image, zero where an image is spared that kind of change."""
        config = self.config
        of_noise, of_choice = jax.random.split(key)
        chosen = jax.random.uniform(of_choice, (n, 2)) < jnp.array([[config.p_geometry, config.p_color]])
        sigmas = chosen_sigmas(jnp.asarray(config.scaled_sigmas()), chosen)
        if config.gamma is not None:
            white = jax.random.normal(of_noise, (n, len(FIELDS), *shape))
            return filter_white_noise(white, spectrum(shape, gamma=config.gamma)) * sigmas[..., None, None]
        modes = config.modes(shape)
        noise = jax.random.normal(of_noise, (n, len(FIELDS), modes.rows.shape[1], modes.columns.shape[1]))
        return fields_from_modes(noise, modes.rows, modes.columns, sigmas)

    def __call__(self, key: jax.Array, images: Float[Array | np.ndarray, "n h w 3"]) -> Float[Array, "n h w 3"]:
        """The augmented images.

        Raises:
            ValueError: unless the images are `[n, h, w, 3]` with values in `[0, 1]`.
        """
        if images.ndim != 4:
            raise ValueError(f"images has shape {images.shape}; it needs [n, h, w, 3]")
        return transform(images, self.fields(key, len(images), (images.shape[1], images.shape[2])), mode=self.config.mode)


def chosen_sigmas(sigmas: Float[Array | np.ndarray, " 10"], chosen: Bool[Array | np.ndarray, "n 2"]) -> Float[Array, "n 10"]:
    """Standard deviations of every image: zero in the group, geometry or colours, that was not chosen for it."""
    return jnp.asarray(sigmas)[None] * chosen[:, (np.arange(len(FIELDS)) >= NUM_GEOMETRIC).astype(int)]


def transform(
    images: Float[Array | np.ndarray, "n h w 3"], fields: Float[Array, "n 10 h w"], *, mode: Mode = "edge"
) -> Float[Array, "n h w 3"]:
    """Images under given fields: the local affine map, then the local colours. Nothing here is random.

    Raises:
        ValueError: see `params_from`, `warp_bilinear` and `local_color`.
    """
    params = params_from(fields)
    return local_color(warp_bilinear(images, local_affine_grid(params), mode), params)
