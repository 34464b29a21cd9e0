"""From the metric learner's output to the energy-curvature tensor: the part of the network that power laws make."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating

Tensors = Float[Array, "batch heads d d"]
HeadTensors = Float[Array, "heads d d"]
FLOOR = 1e-9
"""What keeps the metric tensor positive, so that any real power of it exists."""


class Deductive(NamedTuple):
    """The deductive outputs of a layer, `[batch, heads, d, d]` each, or of all layers `[depth, ...]`.

    Attributes:
        A: output of the metric learner.
        A_LM: metric tensor, positive.
        A_P: potential tensor, powers of the metric tensor.
        G: energy-curvature tensor, through which queries and keys meet. Where it was given, the others are None.
    """

    A: Array | None
    A_LM: Array | None
    A_P: Array | None
    G: Array


def iswiglu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """`x silu(x) = x^2 sigmoid(x)`, nowhere negative.

    >>> print(f"{iswiglu(jnp.array(-1.0)):.4f} {iswiglu(jnp.array(2.0)):.4f}")
    0.2689 3.5232
    """
    (x,) = floating(x)
    return x * jax.nn.silu(x)


def power_law_tensor(
    A: Tensors, W: HeadTensors, b: HeadTensors, pw: HeadTensors, a: HeadTensors, ba: HeadTensors
) -> tuple[Tensors, Tensors, Tensors]:
    """`A_LM = iSwiGLU(W A + b) + 1e-9`, `A_P = A_LM^pw` entry by entry, `G_LM = a A_P + b_a`, head by head.

    Powers are exponentials of `pw log A_LM`, in float32 at least, so that a metric near its floor neither underflows nor makes
    the derivative by `pw` infinite.

    Args:
        A: output of the metric learner.
        W, b: matrix on the left, and its bias.
        pw: learned exponents, of either sign.
        a, ba: coupling of the potentials, and its bias.

    Returns:
        A_LM, A_P and G_LM.

    Raises:
        ValueError: if a parameter does not have the shape of A without the batch.

    References:
        Gokden, *PLDR-LLMs Learn A Generalizable Tensor Operator*, 2025, section 2.
    """
    for name, x in {"W": W, "b": b, "pw": pw, "a": a, "ba": ba}.items():
        if x.shape != A.shape[1:]:
            raise ValueError(f"{name} has shape {x.shape}; A needs {A.shape[1:]}")
    dtype = floating(A, W)[0].dtype
    A, W, b, pw, a, ba = (x.astype(jnp.promote_types(dtype, jnp.float32)) for x in (A, W, b, pw, a, ba))
    metric = iswiglu(_by_head(W, A) + b[None]) + FLOOR
    potential = jnp.exp(pw[None] * jnp.log(metric))
    curvature = _by_head(a, potential) + ba[None]
    return metric.astype(dtype), potential.astype(dtype), curvature.astype(dtype)


def _by_head(left: HeadTensors, right: Tensors) -> Tensors:
    return jnp.einsum("hij,bhjk->bhik", left, right)


class PowerLaw(nnx.Module):
    """The parameters of `power_law_tensor`, one matrix of each kind a head.

    Raises:
        ValueError: if a size is below 1.
    """

    def __init__(self, num_heads: int, head_dim: int):
        check_at_least("num_heads", num_heads)
        check_at_least("head_dim", head_dim)
        shape = num_heads, head_dim, head_dim
        self.W, self.pw, self.a, self.b, self.ba = (nnx.Param(jnp.zeros(shape)) for _ in range(5))

    def __call__(self, A: Tensors) -> Deductive:
        params = (x[...] for x in (self.W, self.b, self.pw, self.a, self.ba))
        return Deductive(A, *power_law_tensor(A, *params))
