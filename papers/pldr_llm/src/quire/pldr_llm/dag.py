"""The regulariser that draws the deductive outputs towards acyclic graphs."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.checks import floating, is_concrete
from quire.pldr_llm.power_law import Deductive


def dag_loss(T: Float[Array, "*batch d d"]) -> Float[Array, ""]:
    """Mean of `|log(tr(exp(T o T)) / d)|`, squares entry by entry; zero exactly where T weighs the edges of an acyclic graph.

    Args:
        T: matrices; entries beyond a few units overflow, see below.

    Raises:
        ValueError: for matrices that are not square, none at all, or whose exponential overflows. Of traced ones the loss is then
            not finite, which stops `fit`.

    References:
        Zheng et al., *DAGs with NO TEARS*, 2018, arXiv 1803.01422, theorem 1.

    >>> upper = jnp.array([[0.0, 2.0], [0.0, 0.0]])
    >>> print(f"{dag_loss(upper):.4f} {dag_loss(upper + upper.T):.4f}")
    0.0000 3.3072
    """
    (T,) = floating(T)
    if T.ndim < 2 or T.shape[-1] != T.shape[-2] or 0 in T.shape:
        raise ValueError(f"T has shape {T.shape}; it needs square matrices, at least one")
    loss = _loss(T)
    if is_concrete(loss) and not np.isfinite(loss):
        raise ValueError(f"T has entries up to {float(jnp.abs(T).max()):.3g}; the exponential of their squares is not finite")
    return loss


@jax.jit
def _loss(T: Array) -> Array:
    squares = T.reshape(-1, *T.shape[-2:]) ** 2
    trace = jnp.trace(jax.vmap(jax.scipy.linalg.expm)(squares), axis1=-2, axis2=-1)
    return jnp.mean(jnp.abs(jnp.log(trace / T.shape[-1])))


def dag_penalty(tensors: Deductive, weights: tuple[float, float, float]) -> Float[Array, ""] | float:
    """`c_1 dag(A_LM) + c_2 dag(A_P) + c_3 dag(G)`, over layers, batch and heads; what weighs nothing is not computed.

    Args:
        tensors: of all layers.
        weights: the coefficients, none below 0.

    Raises:
        ValueError: for a negative coefficient, one of a tensor that is missing, and as `dag_loss`.
    """
    if len(weights) != 3 or min(weights) < 0:
        raise ValueError(f"weights are {weights}; they need three numbers, at least 0")
    parts = {"A_LM": tensors.A_LM, "A_P": tensors.A_P, "G": tensors.G}
    total = 0.0
    for c, (name, T) in zip(weights, parts.items(), strict=True):
        if not c:
            continue
        if T is None:
            raise ValueError(f"tensors has no {name}, whose weight is {c}; where G is given nothing else is made")
        total = total + c * dag_loss(T)
    return total
