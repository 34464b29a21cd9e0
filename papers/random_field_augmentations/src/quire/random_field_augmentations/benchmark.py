"""What `quire bench random_field_augmentations` times: fields of many images by few waves, by FFT, and one after the other."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.bench import Benchmark, Case
from quire.random_field_augmentations.config import LOCAL
from quire.random_field_augmentations.paper import paper
from quire.random_field_augmentations.random_fields import fields_from_modes, filter_white_noise, spectrum
from quire.random_field_augmentations.warp import FIELDS

IMAGES = 8


def one_by_one(white: Float[Array, "n p h w"], power: Float[Array, "h w"]) -> Float[Array, "n p h w"]:
    """The definition: a complex transform there and back for one field after the other."""
    fields = white.reshape(-1, *white.shape[-2:])
    return jax.lax.map(lambda noise: jnp.fft.ifft2(jnp.fft.fft2(noise) * jnp.sqrt(power)).real, fields).reshape(white.shape)


def cases(side: int, key: jax.Array) -> dict[str, Case]:
    """Ten fields for each of eight images, with a correlation length of a quarter of the side.

    Slopes of 2 in the side: each field costs its pixels, times a logarithm by FFT, times a fixed number of waves by products.
    """
    shape = side, side
    pad = math.ceil(3 * LOCAL.ell * side)
    torus = side + pad, side + pad
    power, modes = spectrum(torus, ell=LOCAL.ell * side), LOCAL.modes(shape)
    white = jax.random.normal(key, (IMAGES, len(FIELDS), *torus))
    noise = jax.random.normal(key, (IMAGES, len(FIELDS), modes.rows.shape[1], modes.columns.shape[1]))
    power, rows, columns = (jnp.asarray(part, jnp.float32) for part in (power, *modes))
    return {
        "few waves": Case(fields_from_modes, (noise, rows, columns)),
        "FFT": Case(lambda white, power: filter_white_noise(white, power)[..., :side, :side], (white, power)),
        "one by one": Case(lambda white, power: one_by_one(white, power)[..., :side, :side], (white, power)),
    }


paper.benchmark = Benchmark("Ten random fields for each of 8 images", size="side", sizes=(32, 64, 128, 256), cases=cases)
