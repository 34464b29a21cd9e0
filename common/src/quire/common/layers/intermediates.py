"""Intermediates worth plotting, by one convention: modules `sow` them, `capture` hands them out."""

from typing import Any

from flax import nnx
from jaxtyping import Array


def sow(module: nnx.Module, name: str, value: Array) -> None:
    """Offer an intermediate under a name; kept only while `capture` runs, free otherwise.

    `nnx.Module.sow` outside of a capture would write into the module, which fails under `jit` and grows with every call.
    """
    if captured(module):
        module.sow(nnx.Intermediate, name, value)


def captured(module: nnx.Module) -> bool:
    """Whether `capture` runs, so that what is only worth plotting must be computed."""
    return hasattr(module, "__captures__")


def capture(model: nnx.Module, *args: Any) -> tuple[Any, nnx.State]:
    """Output of `model(*args)` and all intermediates, nested as the modules are; each is a tuple, one entry per call.

    >>> from quire.common.layers.attention import MultiHeadAttention
    >>> import jax.numpy as jnp
    >>> out, seen = capture(MultiHeadAttention(4, 2, rngs=nnx.Rngs(0)), jnp.ones((3, 4)))
    >>> seen["attention"][0].shape
    (2, 3, 3)
    """
    return nnx.capture(model, nnx.Intermediate)(*args)
