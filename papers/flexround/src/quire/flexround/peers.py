"""The neighbour that is compared with where it is installed: GPTQ (Frantar et al. 2023) in Google's qwix."""

from importlib.util import find_spec

import jax
from jaxtyping import Array, Float

from quire.flexround.division import Weight


def has_qwix() -> bool:
    """Whether qwix can be imported: `pip install "quire-flexround[qwix]"`."""
    return find_spec("qwix") is not None


def qwix_nearest(w: Weight, bits: int) -> Weight:
    """Rounding to nearest, symmetric, a scale for each output channel."""
    import qwix

    return qwix.dequantize(qwix.quantize(w, f"int{bits}", channelwise_axes=(0,)))


def qwix_gptq(w: Weight, x: Float[Array, "n in"], bits: int) -> Weight:
    """Column after column, the error of each spread over those to come; symmetric, a scale for each output channel.

    Args:
        w: `[out, in]`.
        x: calibration inputs.
        bits: 4 or 8; there are no integers of others.
    """
    import qwix
    from qwix.contrib import gptq_core

    how = gptq_core.qarray.HowToQuantize(qtype=f"int{bits}", channelwise_axes=(0,))
    with jax.default_matmul_precision("highest"), jax.numpy_rank_promotion("allow"):
        codes, _ = gptq_core.quantize_weight(w, x.T @ x, how)
    return qwix.dequantize(codes)
