"""Attribute-specific embedding network (Dong et al. 2021, the second version): attention over places, then over channels."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least
from quire.common.layers.initialisers import normal
from quire.common.layers.intermediates import sow
from quire.common.layers.nested import unit_rows
from quire.common.layers.norms import BatchNorm
from quire.conditional_cross_attention.conditions import rows_of
from quire.conditional_cross_attention.config import ViT
from quire.conditional_cross_attention.trunk import Images, Trunk


class ASENv2(nnx.Module):
    """Places: `softmax_j(<tanh(BN(W_F f_j)), tanh(W_1 e)> / sqrt(c))`; channels: `sigmoid(W_3 relu(W_2' [x, relu(W_2 e)]))`.

    x is the mean of the features f_j by the weights of the places; what the gate of the channels leaves of it is scaled to unit
    length. The features are the patches after `depth + 1` ordinary blocks, where the authors have those of a ResNet.

    Sows `attention`: weights of the places `[batch, attributes, patches]`.

    Args:
        vit: trunk; an embedding has `vit.dim` numbers.
        num_attributes: A.
        attention_dim: c, also of the embedding e of an attribute.
        rngs: for the initial weights.

    Raises:
        ValueError: for sizes that do not fit together; when called, for images of another size, or attributes out of range.
            Traced ones give NaN.
    """

    def __init__(self, vit: ViT, num_attributes: int, *, attention_dim: int = 512, rngs: nnx.Rngs):
        self.num_attributes = check_at_least("num_attributes", num_attributes)
        dim = check_at_least("attention_dim", attention_dim)
        self.trunk = Trunk(vit, vit.depth + 1, rngs=rngs)
        self.attributes = nnx.Param(normal(1.0)(rngs.params(), (num_attributes, dim)))
        self.place, self.place_norm = nnx.Linear(vit.dim, dim, rngs=rngs), BatchNorm(dim)
        self.place_query = nnx.Linear(dim, dim, rngs=rngs)
        self.channel_query = nnx.Linear(dim, dim, rngs=rngs)
        self.squeeze = nnx.Linear(vit.dim + dim, dim, rngs=rngs)
        self.excite = nnx.Linear(dim, vit.dim, rngs=rngs)

    def _embed(self, images: Images, e: Float[Array, "batch m dim"]) -> Float[Array, "batch m embed"]:
        """Under m attributes for each image."""
        features = self.trunk(images)[:, 1:]
        keys = jnp.tanh(self.place_norm(self.place(features)))
        scores = jnp.einsum("bmc,bnc->bmn", jnp.tanh(self.place_query(e)), keys) * e.shape[-1] ** -0.5
        weights = jax.nn.softmax(scores, axis=-1)
        sow(self, "attention", weights)
        x = weights @ features
        told = jax.nn.relu(self.channel_query(e))
        gate = jax.nn.sigmoid(self.excite(jax.nn.relu(self.squeeze(jnp.concatenate([x, told], axis=-1)))))
        return unit_rows(x * gate)

    def __call__(self, images: Images, attr: Int[Array, " batch"]) -> Float[Array, "batch dim"]:
        """Embeddings under one attribute for each image."""
        return self._embed(images, rows_of(self.attributes[...], attr)[:, None])[:, 0]

    def embed_all(self, images: Images) -> Float[Array, "batch attributes dim"]:
        """Embeddings under every attribute."""
        e = self.attributes[...]
        return self._embed(images, jnp.broadcast_to(e[None], (len(images), *e.shape)))
