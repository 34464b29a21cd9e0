"""Where a network stores what: the paper's mixed granularity, and what it is compared with."""

from dataclasses import dataclass
from typing import get_args

import jax.numpy as jnp

from quire.coat.activations import Storage


@dataclass(frozen=True)
class Precision:
    """How activations are stored.

    Attributes:
        nonlinear: inputs of normalisers, activation functions and products.
        linear: inputs of linear maps, which also sets the precision of their matrix products.

    Raises:
        ValueError: for an unknown storage.
    """

    nonlinear: Storage
    linear: Storage

    def __post_init__(self):
        for name in ("nonlinear", "linear"):
            if getattr(self, name) not in get_args(Storage):
                raise ValueError(f"{name} is {getattr(self, name)!r}; choose from {', '.join(get_args(Storage))}")

    @property
    def stream(self) -> jnp.dtype:
        """Dtype of the residual stream and of the attention core, which are never quantised."""
        return jnp.dtype(jnp.float32 if self.linear == "float32" else jnp.bfloat16)


FLOAT32 = Precision("float32", "float32")
BF16 = Precision("bfloat16", "bfloat16")
"""Everything in sixteen bits."""
TE_LIKE = Precision("bfloat16", "tensor")
"""Linear maps in eight bits, with their inputs kept in eight; everything else in sixteen, as TransformerEngine has it. It scales
by the tensor at hand, where that library remembers the maxima of earlier steps."""
COAT = Precision("group", "tensor")
"""Mixed granularity."""
PER_TENSOR = Precision("tensor", "tensor")
PER_GROUP = Precision("group", "group")
"""Finer than matrix units can multiply without decoding."""

PRECISIONS = {
    "float32": FLOAT32,
    "BF16": BF16,
    "TE-like": TE_LIKE,
    "per tensor": PER_TENSOR,
    "COAT": COAT,
    "per group": PER_GROUP,
}
