"""The velocity: a transformer on the rows of a matrix, with tokens for time and class and without positions. Section 3.3."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.fields.encodings import frequency_encoding
from quire.common.layers.transformer import TransformerBlock
from quire.common.random import generator

FREQUENCIES = 4
"""Octaves in which the time is encoded."""


class SetTransformer(nnx.Module):
    """`v(x, t, class)`: rows, a token of the time and a token of the class through pre-norm blocks; a linear map of the rows.

    Permuting the rows of x permutes those of v, since nothing tells them apart but their numbers.

    Args:
        d: numbers of a row.
        width, layers, heads: of the transformer.
        n_classes: a further class stands for none.
        positions: number of rows that get learned positions, for data that are no set; None for a set.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is below 1, or heads do not divide width; when called, for x, t or classes that do not fit.

    >>> model = SetTransformer(31, width=16, layers=1, heads=2, n_classes=3, rngs=nnx.Rngs(0))
    >>> model(jnp.zeros((2, 24, 31)), jnp.array([0.0, 0.5]), jnp.array([2, 0])).shape
    (2, 24, 31)
    """

    def __init__(
        self, d: int, *, width: int, layers: int, heads: int, n_classes: int, positions: int | None = None, rngs: nnx.Rngs
    ):
        for name, size in {"d": d, "width": width, "layers": layers, "heads": heads, "n_classes": n_classes}.items():
            check_at_least(name, size)
        self.n_classes = n_classes
        self.embed = nnx.Linear(d, width, rngs=rngs)
        self.time = nnx.Linear(2 * FREQUENCIES + 1, width, rngs=rngs)
        self.classes = nnx.Embed(n_classes + 1, width, embedding_init=nnx.initializers.normal(1.0), rngs=rngs)
        self.blocks = nnx.List([TransformerBlock(width, heads, rngs=rngs) for _ in range(layers)])
        self.norm = nnx.LayerNorm(width, epsilon=1e-5, rngs=rngs)
        self.head = nnx.Linear(width, d, rngs=rngs)
        init = nnx.initializers.normal(0.02)
        self.positions = (
            None if positions is None else nnx.Param(init(rngs.params(), (check_at_least("positions", positions), width)))
        )

    def __call__(
        self,
        x: Float[Array | np.ndarray, "b n d"],
        t: Float[Array | np.ndarray, " b"],
        classes: Int[Array | np.ndarray, " b"] | None = None,
    ) -> Float[Array, "b n d"]:
        if x.ndim != 3 or x.shape[2] != self.head.out_features or t.shape != x.shape[:1]:
            raise ValueError(f"x has shape {x.shape} and t {t.shape}; they need [b, n, {self.head.out_features}] and [b]")
        if classes is None:
            classes = jnp.full(t.shape, self.n_classes, jnp.int32)
        if classes.shape != t.shape:
            raise ValueError(f"classes has shape {classes.shape}; it needs one for each of the {len(t)} matrices")
        check_ids("classes", classes, self.n_classes + 1)
        rows = self.embed(jnp.asarray(x))
        if self.positions is not None:
            if x.shape[1] != len(self.positions[...]):
                raise ValueError(f"x has {x.shape[1]} rows; this model has {len(self.positions[...])} positions")
            rows = rows + self.positions[...][None]
        tokens = jnp.stack(
            [self.time(frequency_encoding(jnp.pi / 2 * t[:, None], FREQUENCIES)), self.classes(jnp.asarray(classes))], axis=1
        )
        hidden = jnp.concatenate([rows + tokens.sum(1, keepdims=True), tokens], axis=1)
        for block in self.blocks:
            hidden = block(hidden)
        return self.head(self.norm(hidden[:, : x.shape[1]]))


def drawn(build: Callable[[nnx.Rngs], SetTransformer], key: jax.Array) -> SetTransformer:
    """The network that `build` makes, its weights drawn on the host: initialisers would compile a program for every shape.

    Kernels are normal with variance 1 / inputs, embeddings standard normal, positions of deviation 0.02; biases 0, scales 1.
    """
    draw = generator(key)
    graph, state = nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))))

    def weights(path, like):
        name = str(path[-2].key) if getattr(path[-1], "name", "") == "value" else str(path[-1].key)
        if name in ("bias", "scale"):
            return np.full(like.shape, float(name == "scale"), np.float32)
        spread = {"kernel": like.shape[0] ** -0.5, "embedding": 1.0, "positions": 0.02}[name]
        return (spread * draw.standard_normal(like.shape)).astype(np.float32)

    return nnx.merge(graph, jax.tree.map(jax.device_put, jax.tree.map_with_path(weights, state)))
