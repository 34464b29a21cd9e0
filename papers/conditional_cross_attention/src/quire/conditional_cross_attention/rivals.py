"""What conditional cross-attention is compared with: a single space, a network for each attribute, masked spaces (CSN)."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, floating
from quire.common.layers.nested import unit_rows
from quire.conditional_cross_attention.conditions import initial_masks, rows_of
from quire.conditional_cross_attention.config import ViT
from quire.conditional_cross_attention.trunk import Images, Trunk

MaskKind = Literal["learned", "blocks", "disjoint"]


class OrdinaryNet(nnx.Module):
    """The same trunk with an ordinary last block, and a projection.

    Args:
        vit: trunk; `depth + 1` ordinary blocks.
        num_attributes: A.
        embed_dim: d.
        rngs: for the initial weights.

    Raises:
        ValueError: for sizes that do not fit together; when called, for images of another size.
    """

    def __init__(self, vit: ViT, num_attributes: int, embed_dim: int, *, rngs: nnx.Rngs):
        self.num_attributes = check_at_least("num_attributes", num_attributes)
        self.trunk = Trunk(vit, vit.depth + 1, rngs=rngs)
        self.norm = nnx.LayerNorm(vit.dim, epsilon=1e-6, rngs=rngs)
        self.projection = nnx.Linear(vit.dim, check_at_least("embed_dim", embed_dim), rngs=rngs)

    def features(self, images: Images) -> Float[Array, "batch embed"]:
        """The token of the class, normalised and projected."""
        return self.projection(self.norm(self.trunk(images)[:, 0]))


class SingleSpace(OrdinaryNet):
    """One embedding for all attributes, so that they are entangled.

    Trained on the triplets of one attribute alone, it is the network that this attribute would have for itself.

    Args:
        vit, num_attributes, embed_dim, rngs: as for `OrdinaryNet`.

    Raises:
        ValueError: as for `OrdinaryNet`.
    """

    def __call__(self, images: Images, attr: Int[Array, " batch"] | None = None) -> Float[Array, "batch embed"]:
        """Embeddings of unit length; the attribute changes nothing."""
        return unit_rows(self.features(images))

    def embed_all(self, images: Images) -> Float[Array, "batch attributes embed"]:
        """The one embedding, A times."""
        z = self(images)
        return jnp.broadcast_to(z[:, None], (len(z), self.num_attributes, z.shape[-1]))


def masked_embedding(x: Float[Array, "*batch dim"], mask: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """`x * relu(m)`, scaled to unit length; a zero vector stays zero, with a gradient of zero.

    >>> print(masked_embedding(jnp.array([3.0, 1.0, 8.0]), jnp.array([1.0, 4.0, -2.0])))
    [0.6 0.8 0. ]
    """
    x, mask = floating(x, mask)
    return unit_rows(x * jax.nn.relu(mask))


class CSN(OrdinaryNet):
    """Conditional similarity networks (Veit et al. 2017): a mask for each attribute on one embedding.

    Args:
        vit, num_attributes, embed_dim, rngs: as for `OrdinaryNet`.
        masks: `"learned"` from `N(0.9, 0.7^2)`; `"blocks"`, learned from 1 on a block of its own and 0.1 elsewhere; `"disjoint"`,
            fixed, 1 on a block and 0 elsewhere.

    Raises:
        ValueError: as for `OrdinaryNet`; for other masks, or blocks of fewer numbers than one; when called, for attributes out of
            range. Traced ones give NaN.
    """

    def __init__(self, vit: ViT, num_attributes: int, embed_dim: int, *, masks: MaskKind = "learned", rngs: nnx.Rngs):
        super().__init__(vit, num_attributes, embed_dim, rngs=rngs)
        if masks not in get_args(MaskKind):
            raise ValueError(f"masks is {masks!r}; it must be one of {', '.join(get_args(MaskKind))}")
        if masks == "learned":
            self.masks = nnx.Param(initial_masks(num_attributes, embed_dim, rngs=rngs))
        else:
            blocks = block_masks(num_attributes, embed_dim)
            self.masks = nnx.Param(0.1 + 0.9 * blocks) if masks == "blocks" else nnx.Variable(blocks)

    def __call__(self, images: Images, attr: Int[Array, " batch"]) -> Float[Array, "batch embed"]:
        """Embeddings under one attribute for each image."""
        return masked_embedding(self.features(images), rows_of(self.masks[...], attr))

    def embed_all(self, images: Images) -> Float[Array, "batch attributes embed"]:
        """Embeddings under every attribute."""
        x, masks = self.features(images)[:, None], self.masks[...][None]
        shape = (len(x), *masks.shape[1:])
        return masked_embedding(jnp.broadcast_to(x, shape), jnp.broadcast_to(masks, shape))


def block_masks(num_attributes: int, dim: int) -> Float[Array, "attributes dim"]:
    """1 on a block of `dim // num_attributes` numbers for each attribute, 0 elsewhere.

    Raises:
        ValueError: if there are fewer numbers than attributes.

    >>> block_masks(2, 5).tolist()
    [[1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0, 0.0]]
    """
    if dim < num_attributes:
        raise ValueError(f"embed_dim is {dim}; blocks of {num_attributes} attributes need at least one number each")
    owner = jnp.arange(dim) // (dim // num_attributes)
    return (owner[None] == jnp.arange(num_attributes)[:, None]).astype(jnp.float32)
