"""Weights of other code: `torch.nn.MultiheadAttention`, which the layer is a special case of."""

from typing import Any

import jax.numpy as jnp
from flax import nnx

from quire.common.checkpoints import Arrays, Source, load, transposed
from quire.conditional_cross_attention.cross_attention import ConditionalCrossAttention


def load_cross_attention(state: Arrays, num_heads: int, *, dtype: Any = jnp.float32) -> ConditionalCrossAttention:
    """The layer from `in_proj_weight`, `in_proj_bias`, `out_proj.weight`, `out_proj.bias`.

    Rows of `in_proj_weight` `[3 dim, dim]` are those of queries, keys, values; maps are `x W^T + b`.

    Args:
        state: arrays by name.
        num_heads: h, which square weights do not tell.
        dtype: of the parameters.

    Raises:
        ValueError: naming what is missing, unexpected or mis-shaped; if `num_heads` does not divide the channels.

    >>> import numpy as np
    >>> state = {"in_proj_weight": np.ones((12, 4)), "out_proj.weight": np.eye(4)}
    >>> state |= {"in_proj_bias": np.zeros(12), "out_proj.bias": np.zeros(4)}
    >>> load_cross_attention(state, 2)(jnp.ones((1, 3, 4)), jnp.ones((1, 4))).tolist()
    [[4.0, 4.0, 4.0, 4.0]]
    """
    if "out_proj.bias" not in state or len(state["out_proj.bias"].shape) != 1:
        raise ValueError("state dictionary does not fit the model; out_proj.bias is missing, or no vector")
    dim = len(state["out_proj.bias"])
    rows = {"query": slice(0, dim), "key_value": slice(dim, 3 * dim)}
    names = {("out", "kernel"): transposed("out_proj.weight"), ("out", "bias"): "out_proj.bias"}
    for name, part in rows.items():
        names[name, "kernel"] = Source(("in_proj_weight",), lambda w, p=part: w[p].T, lambda _: (3 * dim, dim))
        names[name, "bias"] = Source(("in_proj_bias",), lambda b, p=part: b[p], lambda _: (3 * dim,))
    model = nnx.eval_shape(lambda: ConditionalCrossAttention(dim, num_heads, rngs=nnx.Rngs(0)))
    return load(model, state, names, dtype=dtype)
