"""Networks on relative codes: the layer, and a model that encodes its anchors again at every step."""

from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least, floating
from quire.common.layers.initialisers import normal
from quire.common.layers.norms import BatchNorm, layer_norm
from quire.relative_representations.pooling import Pooling, mixture, subspace_projection
from quire.relative_representations.projection import Similarity, check_latents, normalize_codes, relative_projection
from quire.relative_representations.quantization import Rounding, quantize

Norm = Literal["l2", "layer", "instance", "batch"]


class RelativeLayer(nnx.Module):
    """Latents and the anchors' latents to what a head reads: similarities, rounded, pooled, normalised.

    Args:
        num_anchors: m.
        similarity: see `relative_projection`.
        norm: `"layer"` with a learned scale and shift for every anchor, as the paper trains; `"instance"` without them; `"batch"`
            with running statistics; `"l2"`; None for none.
        bin_size, rounding: quantised similarities, see `quantize`; None for none.
        groups, pooling: relative codes of subspaces, see `subspace_projection`.
        dim: of the latents; makes the two linear maps that samples (queries) and anchors (keys) go through beforehand.
        values: how many numbers every anchor's value has, free parameters that the similarities mix; None for the similarities.
        rngs: for maps, pooling weights and values, where there are any.

    Raises:
        ValueError: for sizes below 1, an unknown norm, or rngs that are missing; when called, for other numbers of anchors.

    >>> layer = RelativeLayer(2)
    >>> print(layer(jnp.array([[3.0, 4.0]]), jnp.eye(2)).round(3))
    [[-1.  1.]]
    """

    def __init__(
        self,
        num_anchors: int,
        *,
        similarity: Similarity = "cosine",
        norm: Norm | None = "layer",
        bin_size: float | None = None,
        rounding: Rounding = "straight-through",
        groups: int = 1,
        pooling: Pooling | None = "sum",
        dim: int | None = None,
        values: int | None = None,
        rngs: nnx.Rngs | None = None,
    ):
        for name, value in (("num_anchors", num_anchors), ("groups", groups), ("dim", dim), ("values", values)):
            check_at_least(name, 1 if value is None else value)
        if norm is not None and norm not in get_args(Norm):
            raise ValueError(f"norm is {norm!r}; it must be None or one of {', '.join(get_args(Norm))}")
        linear = groups > 1 and pooling == "linear"
        self.num_anchors, self.similarity, self.norm = num_anchors, similarity, norm
        self.bin_size, self.rounding, self.groups, self.pooling = bin_size, rounding, groups, pooling
        width = num_anchors * (groups if pooling is None else 1)
        self.scale = nnx.Param(jnp.ones(width)) if norm == "layer" else None
        self.shift = nnx.Param(jnp.zeros(width)) if norm == "layer" else None
        self.batch_norm = BatchNorm(width) if norm == "batch" else None
        self.query, self.key = (_weights(dim, dim, rngs) if dim else None for _ in range(2))
        self.pool = _weights(groups * num_anchors, num_anchors, rngs) if linear else None
        self.values = _weights(width, values, rngs) if values else None

    def __call__(self, x: Num[Array, "n dim"], anchors: Num[Array, "m dim"]) -> Float[Array, "n out"]:
        """Codes `[n, out]`; out is m, `groups * m` without pooling, or the size of the values."""
        check_latents(x, anchors)
        if len(anchors) != self.num_anchors:
            raise ValueError(f"anchors has {len(anchors)} rows; this layer was made for {self.num_anchors}")
        x, anchors = floating(x, anchors)
        if self.query is not None and self.key is not None:
            x, anchors = x @ self.query[...], anchors @ self.key[...]
        codes = self._pooled(x, anchors)
        codes = codes if self.bin_size is None else quantize(codes, self.bin_size, self.rounding)
        codes = self._normalized(codes)
        return codes if self.values is None else mixture(codes, self.values[...])

    def _pooled(self, x: Array, anchors: Array) -> Array:
        if self.groups == 1:
            return relative_projection(x, anchors, self.similarity)
        weights = None if self.pool is None else self.pool[...]
        return subspace_projection(x, anchors, self.groups, self.pooling, self.similarity, weights)

    def _normalized(self, codes: Array) -> Array:
        if self.batch_norm is not None:
            return self.batch_norm(codes)
        if self.scale is not None and self.shift is not None:
            return layer_norm(codes, scale=self.scale[...], shift=self.shift[...])
        return codes if self.norm is None else normalize_codes(codes, "l2" if self.norm == "l2" else "layer")


def _weights(fan_in: int, fan_out: int, rngs: nnx.Rngs | None) -> nnx.Param:
    if rngs is None:
        raise ValueError("rngs is None; linear pooling, maps of queries and keys, and values start from random numbers")
    return nnx.Param(normal(fan_in**-0.5)(rngs.params(), (fan_in, fan_out)))


class RelativeModel(nnx.Module):
    """`head(layer(encoder(x), encoder(anchors)))`, trained end to end: an encoder and a head of yours with anchors in between.

    The anchors are *samples*. They are encoded again at every call, as the encoder changes, and without a derivative: what is
    learned about a sample moves the sample and not its anchors. So a step costs one more forward pass of m samples. For a frozen
    encoder, encode the anchors once and call a `RelativeLayer`.

    Args:
        encoder: samples to latents `[n, dim]`.
        head: codes to outputs.
        anchors: samples, an array or a pytree of arrays with a leading axis of m; kept with the model, and no parameter.
        layer: the projection; by default cosines and a layer norm.
        joint: encode samples and anchors in one batch, one forward pass to compile. Batch statistics, where an encoder has any,
            are then those of both together. By default anchors pass on their own, as in the authors' code, where they
            move running statistics as well.

    Raises:
        ValueError: for anchors without a common leading axis, or another number of them than the layer is made for.

    >>> encoder = nnx.Linear(4, 3, rngs=nnx.Rngs(0))
    >>> model = RelativeModel(encoder, nnx.Linear(8, 2, rngs=nnx.Rngs(1)), anchors=jnp.ones((8, 4)))
    >>> model(jnp.ones((5, 4))).shape
    (5, 2)
    """

    def __init__(
        self, encoder: nnx.Module, head: nnx.Module, anchors: Any, layer: RelativeLayer | None = None, *, joint: bool = False
    ):
        sizes = {jnp.shape(x)[:1] for x in jax.tree.leaves(anchors)}
        if len(sizes) != 1 or not min(sizes) or min(sizes)[0] < 1:
            raise ValueError(f"anchors has arrays of leading axes {sorted(sizes)}; all need the same, of at least one sample")
        count = min(sizes)[0]
        self.encoder, self.head, self.joint = encoder, head, joint
        self.layer = RelativeLayer(count) if layer is None else layer
        if self.layer.num_anchors != count:
            raise ValueError(f"anchors has {count} samples; the layer was made for {self.layer.num_anchors}")
        self.anchors = nnx.Variable(jax.tree.map(jax.device_put, anchors))

    def codes(self, x: Any) -> Float[Array, "n out"]:
        """What the head reads."""
        anchors = self.anchors.get_value()
        if self.joint:
            both = self.encoder(jax.tree.map(lambda *parts: jnp.concatenate(parts), x, anchors))
            latents, encoded = jnp.split(both, [len(both) - self.layer.num_anchors])
        else:
            encoded, latents = self.encoder(anchors), self.encoder(x)
        return self.layer(latents, jax.lax.stop_gradient(encoded))

    def __call__(self, x: Any) -> Any:
        """Outputs of the head."""
        return self.head(self.codes(x))
