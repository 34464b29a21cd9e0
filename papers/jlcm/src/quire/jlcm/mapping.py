"""The mapping of weights to codewords as logits, and the rules by which an error moves them.

hard      What_ij = C[argmax_c I_ijc]                      soft      What_ij = sum_c p_ijc C_c, p = softmax(I)
default   dL/dI_c = G p_c (C_c - sum_b p_b C_b)            grows with the distance of a codeword where p is flat
distance  dL/dI_c = G (C_c - C_h)                          grows with the distance, h the codeword in use
proximal  dL/dI_c = G sign(C_c - C_h) phi(|C_c - C_h|)     falls with it
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.checks import floating

Rule = Literal["default", "distance", "proximal"]
Forward = Literal["hard", "soft"]

Phi = Callable[[Array, Array], Array]
"""`phi(differences, span)`: weights of codewords from `C_c - C_h` `[..., k]`, codewords on the last axis, and `max C - min C`."""

EPS = 1e-3
"""Of the span of a codebook: what is added to distances, so that duplicate codewords have a finite weight."""


def inverse(difference: Array, span: Array) -> Array:
    """`1 / (d + eps)`, eps a thousandth of the span.

    >>> [f"{x:.2f}" for x in inverse(jnp.array([0.5, -1.0]), jnp.array(1000.0))]
    ['0.67', '0.50']
    """
    return 1 / (jnp.abs(difference) + EPS * jnp.where(span > 0, span, 1))


def exponential(difference: Array, span: Array) -> Array:
    """`exp(-d / tau)`, tau the mean gap of a codebook."""
    tau = span / max(difference.shape[-1] - 1, 1)
    return jnp.exp(-jnp.abs(difference) / jnp.where(tau > 0, tau, 1))


def nearest_only(difference: Array, span: Array) -> Array:
    """1 for the next codeword on either side, 0 for those beyond."""
    above = jnp.min(jnp.where(difference > 0, difference, jnp.inf), axis=-1, keepdims=True)
    below = jnp.max(jnp.where(difference < 0, difference, -jnp.inf), axis=-1, keepdims=True)
    return ((difference == above) | (difference == below)).astype(difference.dtype)


def mapping_logits(weights: Float[AnyArray, "out in"], codebook: Float[AnyArray, "*rows k"]) -> Float[Array, "out in k"]:
    """Logits that start from the nearest codeword: `-(W - C_c)^2 / tau^2`, tau the mean gap of the codebook.

    Args:
        weights: one neuron a row.
        codebook: `[k]` for all, or `[out, k]`, one a row.

    >>> mapping_logits(jnp.array([[0.25]]), jnp.array([0.0, 1.0])).tolist()
    [[[-0.0625, -0.5625]]]
    """
    weights, codebook = floating(weights, codebook)
    own = _own(codebook)
    tau = (own.max(-1, keepdims=True) - own.min(-1, keepdims=True)) / max(own.shape[-1] - 1, 1)
    return -(((weights[..., None] - own) / jnp.where(tau > 0, tau, 1)) ** 2)


def soft_map(logits: Float[AnyArray, "*shape k"], codebook: Float[AnyArray, "*rows k"]) -> Float[Array, "*shape"]:
    """`softmax(I) @ C`."""
    return jnp.sum(jax.nn.softmax(logits) * _own(codebook, logits.ndim), axis=-1)


def hard_map(logits: Float[AnyArray, "*shape k"], codebook: Float[AnyArray, "*rows k"]) -> Float[Array, "*shape"]:
    """`C[argmax I]`, the first of equal logits. No derivative by the logits."""
    return jnp.asarray(_chosen(logits, codebook)[0])


def _chosen(logits: AnyArray, codebook: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Codewords and codes of the largest logits: a chain of selections, which vectorises where argmax and gathers do not."""
    own = _own(codebook, logits.ndim)
    best, value = logits[..., 0], jnp.broadcast_to(own[..., 0], logits.shape[:-1])
    code = jnp.zeros(best.shape, jnp.int32)
    for c in range(1, logits.shape[-1]):
        better = logits[..., c] > best
        best, value = jnp.where(better, logits[..., c], best), jnp.where(better, own[..., c], value)
        code = jnp.where(better, c, code)
    return value, code


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _mapped(logits, codebook, rule, forward, phi):
    return hard_map(logits, codebook) if forward == "hard" else soft_map(logits, codebook)


def _forward(logits, codebook, rule, forward, phi):
    used, code = _chosen(logits, codebook)
    return used if forward == "hard" else soft_map(logits, codebook), (logits, codebook, used, code)


def _backward(rule, forward, phi, saved, g):
    logits, codebook, used, code = saved
    own, size = _own(codebook, logits.ndim), logits.shape[-1]
    share = jax.nn.softmax(logits)  # compiled away where neither the rule nor the forward needs it
    axes = tuple(range(codebook.ndim - 1, logits.ndim - 1))
    by_word = [g * (share[..., c] if forward == "soft" else code == c) for c in range(size)]
    by_codebook = jnp.stack([part.sum(axes) for part in by_word], axis=-1)
    if rule == "default":
        return g[..., None] * share * (own - jnp.sum(share * own, axis=-1, keepdims=True)), by_codebook
    difference = own - used[..., None]
    if rule == "proximal":
        span = own.max(-1, keepdims=True) - own.min(-1, keepdims=True)
        difference = jnp.sign(difference) * phi(difference, span)
    return g[..., None] * difference, by_codebook


_mapped.defvjp(_forward, _backward)


def map_codes(
    logits: Float[AnyArray, "*shape k"],
    codebook: Float[AnyArray, "*rows k"],
    *,
    grad: Rule = "proximal",
    forward: Forward = "hard",
    phi: Phi = inverse,
) -> Float[Array, "*shape"]:
    """Codewords that logits stand for, with the derivative by the logits that a rule gives.

    The derivative by a codeword is the sum of the upstream derivatives of the weights that are mapped to it (hard), or of their
    shares (soft). The proximal rule is the gradient of no function.

    Args:
        logits: codewords on the last axis.
        codebook: `[k]` for all, or one for every entry of the first axes, `[out, k]`.
        grad: see the module.
        forward: the codeword of the largest logit, or the mean by softmax.
        phi: of the proximal rule; a function of distances that falls.

    Raises:
        ValueError: for an unknown rule or forward, or a codebook that does not fit the logits.

    >>> grad = jax.grad(lambda i: map_codes(i, jnp.array([0.0, 1.0, 3.0])).sum())
    >>> [f"{x:.2f}" for x in grad(jnp.array([[1.0, 0.0, 0.0]]))[0]]
    ['0.00', '1.00', '0.33']
    """
    if grad not in get_args(Rule) or forward not in get_args(Forward):
        raise ValueError(f"grad is {grad!r} and forward {forward!r}; one of {get_args(Rule)} and of {get_args(Forward)}")
    logits, codebook = floating(logits, codebook)
    if not logits.ndim >= codebook.ndim >= 1 or logits.shape[-1] == 0:
        raise ValueError(f"logits have shape {logits.shape} and the codebook {codebook.shape}; [..., k] and [k] or [out, k]")
    if codebook.shape != (*logits.shape[: codebook.ndim - 1], logits.shape[-1]):
        raise ValueError(f"codebook has shape {codebook.shape}; it must fit logits of shape {logits.shape}")
    return _mapped(logits, codebook, grad, forward, phi)


def one_hot_penalty(logits: Float[AnyArray, "*shape k"], beta: Array | float) -> Float[Array, ""]:
    """`sum_ijc 1 - |2 p_c - 1|^beta`, p = softmax(I): zero where every weight has made up its mind.

    Args:
        logits: codewords on the last axis.
        beta: falls from 20 to 2 while learning, as in AdaRound (Nagel et al. 2020).

    >>> print(one_hot_penalty(jnp.zeros((1, 2)), 2.0))
    2.0
    """
    return jnp.sum(1 - jnp.abs(2 * jax.nn.softmax(logits) - 1) ** beta)


def _own(codebook: AnyArray, ndim: int = 3) -> AnyArray:
    """A codebook, or one for every row, as it broadcasts against logits of this many axes."""
    rows = codebook.shape[:-1]
    return codebook.reshape(*rows, *(1,) * (ndim - 1 - len(rows)), codebook.shape[-1])
