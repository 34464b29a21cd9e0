"""CRATE-MAE: a masked autoencoder whose decoder is the encoder run backwards (paper, section 3; Pai et al. 2024).

Unlike in MAE, the encoder sees every token, with a learned mask token in place of the removed patches.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.checks import check_at_least, is_concrete
from quire.common.layers.patches import patch_grid, patchify, sincos_positions_2d, unpatchify
from quire.crate.stacks import CRATEDecoder, CRATEEncoder

_XAVIER = nnx.initializers.xavier_uniform()


@dataclass(frozen=True)
class CRATEMAEConfig:
    """Sizes of an autoencoder; the defaults beyond the first three are the paper's.

    Attributes:
        dim: token channels d, a multiple of 4.
        depth: layers of the encoder, and of the decoder.
        num_heads: subspaces of every layer.
        image_size: `(height, width)` in pixels.
        patch_size: side of a patch.
        channels: image channels.
        mask_ratio: fraction of the patches that are removed.
        eta, lam: step size and sparsity weight of the encoder's ISTA.
        normalise_targets: standardise every target patch (unbiased variance plus 1e-6).
    """

    dim: int
    depth: int
    num_heads: int
    image_size: tuple[int, int] = (224, 224)
    patch_size: int = 16
    channels: int = 3
    mask_ratio: float = 0.75
    eta: float = 0.1
    lam: float = 0.5
    normalise_targets: bool = False


MAE_BASE = CRATEMAEConfig(768, 12, 12)


class CRATEMAE(nnx.Module):
    """Masked autoencoder of CRATE layers: embed, mask, add positions, encode, normalise, decode, normalise, map to pixels.

    Args:
        cfg: sizes.
        rngs: for the initial weights: Xavier-uniform linear maps, class and mask token `N(0, 0.02^2)`, dictionaries as elsewhere.

    Raises:
        ValueError: if the patch size does not divide the image, the heads do not divide `dim`, `dim` is not a multiple of 4, a
            size is below 1 (`depth`: below 0), or the mask ratio leaves no patch on one side.
    """

    def __init__(self, cfg: CRATEMAEConfig, *, rngs: nnx.Rngs):
        rows, columns = patch_grid(cfg.image_size, cfg.patch_size)
        self.cfg, self.num_patches = cfg, rows * columns
        num_removed(self.num_patches, cfg.mask_ratio)
        sincos_positions_2d(rows, columns, check_at_least("dim", cfg.dim))  # refuses a width that has none
        check_at_least("channels", cfg.channels)
        patch_dim = cfg.patch_size**2 * cfg.channels
        normal = nnx.initializers.normal(0.02)
        self.embed = nnx.Linear(patch_dim, cfg.dim, kernel_init=_XAVIER, rngs=rngs)
        self.cls = nnx.Param(normal(rngs.params(), (1, cfg.dim)))
        self.mask_token = nnx.Param(normal(rngs.params(), (1, cfg.dim)))
        sizes = cfg.dim, cfg.depth, cfg.num_heads
        self.encoder = CRATEEncoder(*sizes, eta=cfg.eta, lam=cfg.lam, kernel_init=_XAVIER, rngs=rngs)
        self.encoder_norm = nnx.LayerNorm(cfg.dim, epsilon=1e-6, rngs=rngs)
        self.decoder = CRATEDecoder(*sizes, kernel_init=_XAVIER, rngs=rngs)
        self.decoder_norm = nnx.LayerNorm(cfg.dim, epsilon=1e-6, rngs=rngs)
        self.to_pixels = nnx.Linear(cfg.dim, patch_dim, kernel_init=_XAVIER, rngs=rngs)

    def encode(self, images: Float[Array, "batch h w c"], mask: Bool[Array, "batch n"]) -> Float[Array, "batch m dim"]:
        """Codes of all tokens, class token first, with the mask token in place of the patches where `mask` is True."""
        x = self.embed(patchify(images, self.cfg.patch_size))
        x = jnp.where(mask[..., None], jnp.broadcast_to(self.mask_token[...], x.shape), x)
        cls = jnp.broadcast_to(self.cls[...], (x.shape[0], 1, x.shape[-1]))
        x = jnp.concatenate([cls, x], axis=1)
        positions = jnp.asarray(sincos_positions_2d(*self.grid, self.cfg.dim, cls=True), x.dtype)
        return self.encoder_norm(self.encoder(x + jnp.broadcast_to(positions, x.shape)))

    def decode(self, codes: Float[Array, "batch m dim"]) -> Float[Array, "batch n p"]:
        """Patches from codes; the class token is dropped."""
        return self.to_pixels(self.decoder_norm(self.decoder(codes)))[:, 1:]

    def __call__(
        self, images: Float[Array, "batch h w c"], key: jax.Array, removed: int | Int[Array, ""] | None = None
    ) -> tuple[Float[Array, ""], Float[Array, "batch n p"], Bool[Array, "batch n"]]:
        """Mask, reconstruct, and compare on the removed patches.

        Args:
            images: `[batch, height, width, channels]`.
            key: for the masks.
            removed: patches to remove from every image, those of `cfg.mask_ratio` by default; may be traced.

        Returns:
            The loss, the predicted patches `[batch, n, patch_size^2 * channels]`, and the mask `[batch, n]`, True where removed.

        Raises:
            ValueError: if the images are not of the configured size.
        """
        expected = (*self.cfg.image_size, self.cfg.channels)
        if images.shape[1:] != expected:
            raise ValueError(f"images are {images.shape[1:]}; this model reads {expected} (height, width, channels)")
        if removed is None:
            removed = num_removed(self.num_patches, self.cfg.mask_ratio)
        mask = random_mask(key, images.shape[0], self.num_patches, removed)
        prediction = self.decode(self.encode(images, mask))
        targets = patchify(images, self.cfg.patch_size)
        if self.cfg.normalise_targets:
            targets = normalised_patches(targets)
        return masked_error(prediction, targets, mask), prediction, mask

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        return patch_grid(self.cfg.image_size, self.cfg.patch_size)

    def images(self, patches: Float[Array, "batch n p"]) -> Float[Array, "batch h w c"]:
        """Predicted patches as images."""
        return unpatchify(patches, self.cfg.image_size, self.cfg.patch_size)


def num_removed(num_patches: int, mask_ratio: float) -> int:
    """Patches to remove: all but `floor(num_patches (1 - mask_ratio))`.

    Raises:
        ValueError: if no patch would be removed, or none kept.

    >>> num_removed(16, 0.75)
    12
    """
    kept = int(num_patches * (1 - mask_ratio)) if 0 < mask_ratio < 1 else 0
    if not 0 < kept < num_patches:
        raise ValueError(f"mask_ratio is {mask_ratio}; of {num_patches} patches it must remove some and keep some")
    return num_patches - kept


def random_mask(key: jax.Array, batch: int, num_patches: int, removed: int | Int[Array, ""]) -> Bool[Array, "batch n"]:
    """A uniformly random set of exactly `removed` patches for each image, True where removed.

    Raises:
        ValueError: if there are not so many patches to remove; all or none of them where such a number is traced.
    """
    if is_concrete(removed) and not 0 <= removed <= num_patches:
        raise ValueError(f"removed is {removed}; it must lie between 0 and {num_patches} patches")
    noise = jax.random.uniform(key, (batch, num_patches))
    rank = jnp.argsort(jnp.argsort(noise, axis=1), axis=1)
    return rank >= num_patches - removed


def normalised_patches(patches: Float[Array, "batch n p"]) -> Float[Array, "batch n p"]:
    """Every patch standardised, `(x - mean) / sqrt(var + 1e-6)`, with the unbiased variance.

    Raises:
        ValueError: for patches of one number, whose unbiased variance is not defined.
    """
    check_at_least("numbers of a patch", patches.shape[-1], 2)
    mean = patches.mean(-1, keepdims=True)
    return (patches - mean) / jnp.sqrt(patches.var(-1, ddof=1, keepdims=True) + 1e-6)


def masked_error(
    prediction: Float[Array, "batch n p"], targets: Float[Array, "batch n p"], mask: Bool[Array, "batch n"]
) -> Float[Array, ""]:
    """Mean squared error per pixel over the removed patches alone; zero if none is."""
    per_patch = jnp.mean((prediction - targets) ** 2, axis=-1)
    return jnp.sum(jnp.where(mask, per_patch, 0)) / jnp.maximum(mask.sum(), 1)
