"""The trunk: a vision transformer that hands out all of its tokens."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.data.images import pixels
from quire.common.layers.initialisers import normal
from quire.common.layers.patches import patch_grid, patchify, sincos_positions_2d
from quire.common.layers.transformer import TransformerBlock
from quire.conditional_cross_attention.config import ViT

Images = Num[Array | np.ndarray, "batch h w c"]


class Trunk(nnx.Module):
    """`x_0 = [cls; patches W + b] + positions`, then pre-norm blocks `x + MSA(LN x)`, `x + MLP(LN x)`.

    Args:
        vit: sizes.
        depth: number of blocks.
        rngs: for the initial weights.

    Raises:
        ValueError: if sizes do not fit together; when called, for images of another size.
    """

    def __init__(self, vit: ViT, depth: int, *, rngs: nnx.Rngs):
        rows, columns = patch_grid((vit.image_size, vit.image_size), vit.patch)
        self.patch, self.image_shape = vit.patch, (vit.image_size, vit.image_size, vit.channels)
        self.embed = nnx.Linear(vit.patch**2 * vit.channels, vit.dim, rngs=rngs)
        self.cls = nnx.Param(normal(0.02)(rngs.params(), (1, 1, vit.dim)))
        learned, shape = vit.positions == "learned", (rows * columns + 1, vit.dim)
        self.positions = nnx.Param(normal(0.02)(rngs.params(), shape)) if learned else None
        self.grid = rows, columns
        self.blocks = nnx.List(
            [TransformerBlock(vit.dim, vit.num_heads, mlp_dim=vit.mlp_ratio * vit.dim, rngs=rngs) for _ in range(depth)]
        )

    def __call__(self, images: Images) -> Float[Array, "batch n dim"]:
        """Tokens, that of the class first; bytes are scaled to `[0, 1]`."""
        if images.shape[1:] != self.image_shape:
            raise ValueError(f"images are {images.shape[1:]}; this network reads {self.image_shape} (height, width, channels)")
        x = self.embed(patchify(pixels(images), self.patch))
        cls = jnp.broadcast_to(self.cls[...].astype(x.dtype), (len(x), 1, x.shape[-1]))
        x = jnp.concatenate([cls, x], axis=1) + self._positions(x)[None]
        for block in self.blocks:
            x = block(x)
        return x

    def _positions(self, x: Array) -> Float[Array, "n dim"]:
        if self.positions is not None:
            return self.positions[...].astype(x.dtype)
        return jnp.asarray(sincos_positions_2d(*self.grid, x.shape[-1], cls=True), x.dtype)
