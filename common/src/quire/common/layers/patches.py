"""Images as sequences of patches: cutting, embedding, class token, positions, pooling."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least


def patchify(images: Float[Array, "*batch h w c"], patch_size: int) -> Float[Array, "*batch n p"]:
    """Cut images into square patches in reading order, each flattened `(row, column, channel)`.

    Args:
        images: `[..., height, width, channels]`.
        patch_size: side of a patch in pixels.

    Returns:
        `[..., n, patch_size^2 * channels]`.

    Raises:
        ValueError: if `patch_size` does not divide height and width.
    """
    *batch, height, width, channels = images.shape
    rows, columns = patch_grid((height, width), patch_size)
    x = images.reshape((*batch, rows, patch_size, columns, patch_size, channels))
    return jnp.moveaxis(x, -3, -4).reshape((*batch, rows * columns, patch_size**2 * channels))


def unpatchify(patches: Float[Array, "*batch n p"], image_size: tuple[int, int], patch_size: int) -> Float[Array, "*batch h w c"]:
    """Inverse of `patchify`.

    Raises:
        ValueError: if the number or the size of the patches does not fit `image_size`.
    """
    rows, columns = patch_grid(image_size, patch_size)
    *batch, n, size = patches.shape
    if n != rows * columns or size % patch_size**2:
        raise ValueError(
            f"patches are [{n}, {size}]; an image of {image_size} needs [{rows * columns}, {patch_size**2} * channels]"
        )
    x = patches.reshape((*batch, rows, columns, patch_size, patch_size, size // patch_size**2))
    return jnp.moveaxis(x, -3, -4).reshape((*batch, *image_size, size // patch_size**2))


def patch_grid(image_size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Rows and columns of patches in an image.

    Raises:
        ValueError: if `patch_size` does not divide the image.
    """
    height, width = image_size
    if patch_size < 1 or height % patch_size or width % patch_size:
        raise ValueError(f"patch_size is {patch_size}; it must divide the image of {height} x {width} pixels")
    return height // patch_size, width // patch_size


def sincos_positions_2d(rows: int, columns: int, dim: int, *, cls: bool = False) -> Float[np.ndarray, "n dim"]:
    """Fixed two-dimensional sine-cosine positions, as the MAE code lays them out.

    A patch at row r and column c has `[sin(c w), cos(c w), sin(r w), cos(r w)]` with `w_i = 10000^(-2 i / (dim / 2))`,
    `i < dim / 4`.

    Args:
        rows, columns: grid of patches.
        dim: channels, a multiple of 4.
        cls: put a row of zeros for a class token first.

    Returns:
        Float64 `[rows * columns (+ 1), dim]`.

    Raises:
        ValueError: if `dim` is not a multiple of 4, or a size is below 1.
    """
    for name, size in (("rows", rows), ("columns", columns)):
        check_at_least(name, size)
    if dim < 1 or dim % 4:
        raise ValueError(f"dim is {dim}; two-dimensional sine-cosine positions need a multiple of 4")
    frequency = 10000.0 ** (-np.arange(dim // 4) / (dim / 4))
    r, c = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    halves = [f(t.reshape(-1, 1) * frequency) for t in (c, r) for f in (np.sin, np.cos)]
    positions = np.concatenate(halves, axis=1)
    return np.concatenate([np.zeros((1, dim)), positions]) if cls else positions


class PatchEmbed(nnx.Module):
    """Patches to tokens: LayerNorm, linear map, LayerNorm.

    Args:
        image_size: `(height, width)` in pixels.
        patch_size: side of a patch; must divide both.
        channels: image channels.
        dim: token channels.
        rngs: for the initial weights.
    """

    def __init__(self, image_size: tuple[int, int], patch_size: int, channels: int, dim: int, *, rngs: nnx.Rngs):
        rows, columns = patch_grid(image_size, patch_size)
        self.image_shape = (*image_size, channels)
        self.patch_size = patch_size
        self.num_patches = rows * columns
        patch_dim = patch_size**2 * channels
        self.patch_norm = nnx.LayerNorm(patch_dim, epsilon=1e-5, rngs=rngs)
        self.linear = nnx.Linear(patch_dim, dim, rngs=rngs)
        self.token_norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)

    def __call__(self, images: Float[Array, "*batch h w c"]) -> Float[Array, "*batch n dim"]:
        if images.shape[-3:] != self.image_shape:
            raise ValueError(f"images are {images.shape[-3:]}; this model reads {self.image_shape} (height, width, channels)")
        return self.token_norm(self.linear(self.patch_norm(patchify(images, self.patch_size))))


class ClassTokens(nnx.Module):
    """Puts a learned class token before the patches and adds learned positions, both drawn from `N(0, 1)`."""

    def __init__(self, num_patches: int, dim: int, *, rngs: nnx.Rngs):
        normal = nnx.initializers.normal(1.0)
        self.cls = nnx.Param(normal(rngs.params(), (1, dim)))
        self.positions = nnx.Param(normal(rngs.params(), (num_patches + 1, dim)))

    def __call__(self, x: Float[Array, "*batch n dim"]) -> Float[Array, "*batch m dim"]:
        cls = jnp.broadcast_to(self.cls[...], (*x.shape[:-2], 1, x.shape[-1]))
        x = jnp.concatenate([cls, x], axis=-2)
        return x + jnp.broadcast_to(self.positions[...], x.shape)


def check_pool(pool: str) -> str:
    """The pooling, or a `ValueError` if it is neither `"cls"` nor `"mean"`."""
    if pool not in ("cls", "mean"):
        raise ValueError(f"pool is {pool!r}; it must be 'cls' or 'mean'")
    return pool


def pool_tokens(x: Float[Array, "*batch n dim"], pool: str) -> Float[Array, "*batch dim"]:
    """One vector per sequence: the first token, or the mean of all of them.

    Raises:
        ValueError: for another pooling, or without tokens.
    """
    check_at_least("number of tokens", x.shape[-2])
    return x[..., 0, :] if check_pool(pool) == "cls" else x.mean(-2)
