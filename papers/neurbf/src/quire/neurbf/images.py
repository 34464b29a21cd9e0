"""Images as fields: coordinates, what draws the kernels, and the fit. Section 4.1."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.data.photographs import photograph
from quire.common.data.registry import provided
from quire.common.data.source import Source, open_or
from quire.common.errors import DatasetCorrupt
from quire.common.train.batches import epoch_indices
from quire.neurbf.adaptive import fit_kernels
from quire.neurbf.config import FieldConfig, Picture, Training
from quire.neurbf.field import NeuRBF, evaluate, prepare
from quire.neurbf.kernels import Kernels
from quire.neurbf.training import Task, squared_error, switches, train_field

PIXELS_A_UNIT = 64
"""One unit of length, so that kernels and sines do not depend on the size of the image."""


class Image(NamedTuple):
    """A name for tables, and pixels `[height, width, 3]` in 0..1."""

    name: str
    pixels: np.ndarray


def open_picture(picture: Picture) -> Source[Image]:
    """A photograph of scikit-image, a grey one as three equal channels, or one of DIV2K (`div2k-0801`), cut to a square.

    Raises:
        DatasetUnavailable: if DIV2K is asked for and not here.
        ValueError: for an unknown name or a size that does not fit.
    """
    if picture.name.startswith("div2k-"):
        return open_or(lambda: _div2k(picture))
    return open_or(lambda: _packaged(picture), stand_in_for="DIV2K")


def _packaged(picture: Picture) -> Image:
    found = photograph(picture.name, picture.size, crop=picture.crop)
    return Image(found.name, np.repeat(found.pixels, 3 // found.pixels.shape[-1], axis=-1))


def _div2k(picture: Picture) -> Image:
    from PIL import Image as Reader

    number = picture.name.removeprefix("div2k-")
    with Reader.open(provided("div2k", f"DIV2K_valid_HR/{number}.png")) as file:
        pixels = np.asarray(file.convert("RGB"), np.float32) / 255
    if min(pixels.shape[:2]) < picture.size:
        raise DatasetCorrupt(f"DIV2K {number} is {pixels.shape[1]} x {pixels.shape[0]}; {picture.size} pixels a side are needed")
    top, left = ((n - picture.size) // 2 for n in pixels.shape[:2])
    return Image(f"DIV2K {number}, {picture.size} x {picture.size}", pixels[top : top + picture.size, left : left + picture.size])


def image_extent(height: int, width: int) -> Float[np.ndarray, "2"]:
    """`cmax` in the order x, y: half the sides, in units of 64 pixels.

    >>> image_extent(64, 128).tolist()
    [1.0, 0.5]
    """
    return np.array([width, height]) / (2 * PIXELS_A_UNIT)


def pixel_coordinates(height: int, width: int) -> Float[np.ndarray, "n 2"]:
    """x and y of every pixel, row by row; the outermost pixels lie on the border of `[-cmax, cmax]`. Float32.

    >>> pixel_coordinates(2, 3)[:4].tolist()
    [[-0.0234375, -0.015625], [0.0, -0.015625], [0.0234375, -0.015625], [-0.0234375, 0.015625]]
    """
    x, y = (np.linspace(-c, c, n) for c, n in zip(image_extent(height, width), (width, height), strict=True))
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)


def gradient_weights(pixels: Float[np.ndarray, "h w c"]) -> Float[np.ndarray, " n"]:
    """Magnitude of the gradient at every pixel, over all channels, by central differences.

    Raises:
        ValueError: for fewer than two pixels an axis, or numbers that are not finite.
    """
    pixels = np.asarray(pixels, float)
    if pixels.ndim != 3 or min(pixels.shape[:2]) < 2 or not np.isfinite(pixels).all():
        raise ValueError(f"pixels has shape {pixels.shape}; it needs [height, width, channels], two pixels an axis, all finite")
    down, across = np.gradient(pixels, axis=(0, 1))
    return np.sqrt((down**2 + across**2).sum(-1)).ravel()


def image_kernels(
    pixels: Float[np.ndarray, "h w c"], config: FieldConfig, key: jax.Array, *, n_kernels: int | None = None
) -> Kernels:
    """Kernels that gather where an image changes; as many as the budget pays for by default.

    Raises:
        ValueError: for an image without any change, which no kernel can follow, or one of too few pixels.
    """
    height, width = pixels.shape[:2]
    return fit_kernels(
        pixel_coordinates(height, width),
        gradient_weights(pixels),
        config.n_kernels(2) if n_kernels is None else n_kernels,
        key,
        kind=config.kind,
        alpha=config.alpha,
        cmax=image_extent(height, width),
        dims=np.array([width, height]),
    )


def fit_image(
    pixels: Float[np.ndarray, "h w c"],
    config: FieldConfig,
    training: Training,
    key: jax.Array,
    *,
    n_kernels: int | None = None,
    block: int | None = None,
) -> tuple[NeuRBF, Float[np.ndarray, " steps"]]:
    """A NeuRBF of an image, and the losses of its training.

    Args:
        pixels: values, as many channels as `config.outputs`.
        config: sizes; one of `log2_size` 7 or 8 suits 64 x 64 pixels.
        training: length and rates.
        key: for kernels, weights and batches.
        n_kernels: in place of the count that the budget pays for.
        block: as for `NeuRBF`.

    Raises:
        ValueError: for another number of channels, or as `image_kernels`.
    """
    height, width, channels = pixels.shape
    if channels != config.outputs:
        raise ValueError(f"pixels has {channels} channels; the field has outputs = {config.outputs}")
    kernels = image_kernels(pixels, config, key, n_kernels=n_kernels)
    model = NeuRBF(config, kernels, image_extent(height, width), rngs=nnx.Rngs(key))
    x = jnp.asarray(pixel_coordinates(height, width))
    target = jnp.asarray(pixels, jnp.float32).reshape(-1, channels)
    order = epoch_indices(key, len(x), training.batch, training.steps)
    task = Task(prepare(model, x, block=block), target, order, switches(config))
    return model, train_field(model.field, task, training, squared_error, key)


def render_image(model: NeuRBF, height: int, width: int, *, block: int | None = None) -> Float[np.ndarray, "h w c"]:
    """The image that a field holds, cut to 0..1; of any size, since the field is continuous."""
    x, y = (np.linspace(-c, c, n) for c, n in zip(model.cmax, (width, height), strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).astype(np.float32)
    return np.clip(np.asarray(evaluate(model, jnp.asarray(grid), block=block)), 0, 1).reshape(height, width, -1)
