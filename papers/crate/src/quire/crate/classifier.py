"""CRATE as an image classifier, and the vision transformer of the same width and depth (paper, section 4.1)."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
from flax import nnx

from quire.common.layers.crate import CRATEBlock
from quire.common.layers.transformer import BlockFactory, TokenClassifier, vit_block


@dataclass(frozen=True)
class CRATEConfig:
    """Sizes of a classifier; the defaults beyond the first three are the paper's.

    Attributes:
        dim: token channels d.
        depth: layers L.
        num_heads: subspaces K of every layer.
        head_dim: their dimension p, `dim // num_heads` for None.
        image_size: `(height, width)` in pixels.
        patch_size: side of a patch.
        channels: image channels.
        num_classes: number of logits.
        pool: `"cls"` or `"mean"`.
        eta, lam: step size and sparsity weight of ISTA.
    """

    dim: int
    depth: int
    num_heads: int
    head_dim: int | None = None
    image_size: tuple[int, int] = (224, 224)
    patch_size: int = 16
    channels: int = 3
    num_classes: int = 1000
    pool: str = "cls"
    eta: float = 0.1
    lam: float = 0.1


TINY = CRATEConfig(384, 12, 6)
SMALL = CRATEConfig(576, 12, 12)
BASE = CRATEConfig(768, 12, 12)
LARGE = CRATEConfig(1024, 24, 16)


def CRATE(cfg: CRATEConfig, *, rngs: nnx.Rngs) -> TokenClassifier:
    """White-box classifier: patches, class token, L compression-and-sparsification layers, linear head.

    Args:
        cfg: sizes.
        rngs: for the initial weights.

    Returns:
        A module from images `[..., height, width, channels]` to logits `[..., num_classes]`.

    Raises:
        ValueError: if the patch size does not divide the image, the heads do not divide `dim`, or `pool` is unknown.

    >>> parameter_count(lambda rngs: CRATE(TINY, rngs=rngs))
    6090856
    """
    return classifier(
        cfg, lambda r: CRATEBlock(cfg.dim, cfg.num_heads, cfg.head_dim, eta=cfg.eta, lam=cfg.lam, rngs=r), rngs=rngs
    )


def ViT(cfg: CRATEConfig, *, mlp_dim: int | None = None, rngs: nnx.Rngs) -> TokenClassifier:
    """The baseline: a pre-norm transformer of the same width, depth and heads, same embedding and head.

    Args:
        cfg: sizes; `eta` and `lam` do not matter.
        mlp_dim: hidden width of the MLPs, `4 * dim` by default.
        rngs: for the initial weights.

    Returns:
        A module from images to logits, as `CRATE`.
    """
    return classifier(cfg, vit_block(cfg.dim, cfg.num_heads, head_dim=cfg.head_dim, mlp_dim=mlp_dim), rngs=rngs)


def classifier(cfg: CRATEConfig, block: BlockFactory, *, rngs: nnx.Rngs) -> TokenClassifier:
    """The classifier of `cfg` around any block."""
    return TokenClassifier(
        image_size=cfg.image_size,
        patch_size=cfg.patch_size,
        channels=cfg.channels,
        num_classes=cfg.num_classes,
        dim=cfg.dim,
        depth=cfg.depth,
        block=block,
        pool=cfg.pool,
        rngs=rngs,
    )


def parameter_count(build: Callable[[nnx.Rngs], nnx.Module]) -> int:
    """Number of trained parameters of the module that `build` makes, without making it."""
    state = nnx.state(nnx.eval_shape(lambda: build(nnx.Rngs(0))), nnx.Param)
    return sum(leaf.size for leaf in jax.tree.leaves(state))
