"""AdamW whose two moments are held in eight bits between steps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from quire.coat.expansion import (
    MomentCodes,
    check_quantizable,
    expand_dequantize,
    expand_quantize,
    plain_dequantize,
    plain_quantize,
)
from quire.common.checks import check_at_least
from quire.common.quant.fp8 import Format, fp8_dtype


class CoatState(NamedTuple):
    """State of `coat_adamw`.

    Attributes:
        count: steps taken, int32.
        m, v: first and second moment, a `MomentCodes` for each parameter.
    """

    count: Int[Array, ""]
    m: optax.Updates
    v: optax.Updates


def coat_adamw(
    learning_rate: optax.ScalarOrSchedule,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    *,
    expand: bool = True,
    m_format: Format = "e4m3",
    v_format: Format = "e4m3",
    group: int = 128,
) -> optax.GradientTransformation:
    """AdamW with moments in eight-bit floats, by groups, after dynamic range expansion.

    A step computes in float32: it reads the moments, updates them, updates the parameters with the exact new moments, and
    quantises those. What is lost in that shows at the next step.

    Args:
        learning_rate: a number, or a schedule of the step, counted from 0.
        b1, b2: decays of the moments, in `[0, 1)`.
        eps: added to the root of the second moment; positive.
        weight_decay: decoupled; not negative.
        expand: stretch each group before it is quantised; without, small second moments become zero.
        m_format, v_format: of the codes of the moments.
        group: numbers that share scale, power and centre, consecutive in the flattened parameter.

    Returns:
        A transformation for parameters of any floating dtype. Its state is a `CoatState`, whose codes have the shapes of the
        parameters, so that they can be sharded like them.

    Raises:
        ValueError: if a number is out of range, or a format unknown; when initialised, for parameters that are not
            floating-point or empty; when updated without parameters.

    References:
        Section 4 and algorithm 1. The authors keep the parameters in float32 or bfloat16 beside the states, as here.

    >>> tx = coat_adamw(0.1)
    >>> params = jnp.array([1.0, -2.0])
    >>> updates, state = tx.update(jnp.array([0.3, 3.0]), tx.init(params), params)
    >>> print(updates.round(3), state.v.codes.dtype)
    [-0.101 -0.098] float8_e4m3fn
    """
    _check(b1, b2, eps, weight_decay)
    check_at_least("group", group)
    formats = {"m": m_format, "v": v_format}
    for format in formats.values():
        fp8_dtype(format)
    decode = expand_dequantize if expand else plain_dequantize

    def encode(x, moment):
        quantize = expand_quantize if expand else plain_quantize
        return quantize(x, group, format=formats[moment])

    def init(params):
        empty = {name: jax.tree.map(lambda p, f=f: _zeros(p, group, f, expand), params) for name, f in formats.items()}
        return CoatState(jnp.zeros((), jnp.int32), **empty)

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("params is None; weight decay needs the parameters")
        count = state.count + 1
        rate = jnp.asarray(learning_rate(state.count) if callable(learning_rate) else learning_rate)

        def step(g, p, m, v):
            change, m, v = adamw_step(
                g.astype(jnp.float32), p.astype(jnp.float32), decode(m, group), decode(v, group), count, b1, b2, eps, weight_decay
            )
            return (-rate * change).astype(p.dtype), encode(m, "m"), encode(v, "v")

        leaves, tree = jax.tree.flatten(updates)
        others = (tree.flatten_up_to(each) for each in (params, state.m, state.v))
        done = [step(*each) for each in zip(leaves, *others, strict=True)]
        updates, m, v = (tree.unflatten(part) for part in zip(*done, strict=True))
        return updates, CoatState(count, m, v)

    return optax.GradientTransformation(init, update)


def adamw_step(
    g: Float[Array, "*shape"],
    p: Float[Array, "*shape"],
    m: Float[Array, "*shape"],
    v: Float[Array, "*shape"],
    count: Int[Array, ""],
    b1: float,
    b2: float,
    eps: float,
    weight_decay: float,
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape"]]:
    """`m / ((sqrt(v / (1 - b2^t)) + eps) (1 - b1^t)) + weight_decay p`, and the moments of step `t = count`, float32.

    `1 - b2` is formed in float32, as compiled kernels do: the rounding of b2 is a 1e-5 of it.
    """
    one, b1, b2 = jnp.float32(1), jnp.float32(b1), jnp.float32(b2)
    m = b1 * m + (one - b1) * g
    v = b2 * v + (one - b2) * g**2
    denominator = (jnp.sqrt(v) / jnp.sqrt(one - b2**count) + jnp.float32(eps)) * (one - b1**count)
    return m / denominator + jnp.float32(weight_decay) * p, m, v


def _zeros(p, group, format, expand):
    """What every moment begins as: codes and scales of zero, power and centre of one."""
    check_quantizable(p, group)
    groups = -(-p.size // group)
    ones = (jnp.ones(groups, jnp.float32), jnp.ones(groups, jnp.float32)) if expand else (None, None)
    return MomentCodes(jnp.zeros(p.shape, fp8_dtype(format)), jnp.zeros(groups, jnp.float32), *ones)


def _check(b1, b2, eps, weight_decay):
    for name, decay in (("b1", b1), ("b2", b2)):
        if not 0 <= decay < 1:
            raise ValueError(f"{name} is {decay}; a decay lies in [0, 1)")
    if not eps > 0 or not weight_decay >= 0:
        raise ValueError(f"eps is {eps} and weight_decay {weight_decay}; eps must be positive and weight_decay at least 0")
