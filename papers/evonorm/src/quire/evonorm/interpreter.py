"""Graphs computed: compiled for one graph, or by a universal interpreter whose one program serves every graph."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Int, Num

from quire.common.checks import check_at_least
from quire.common.layers.norms import at_least_float32, result_dtype
from quire.evonorm.graph import INITIAL, Graph
from quire.evonorm.layers import check_maps
from quire.evonorm.primitives import PRIMITIVES, apply_primitive

Maps = Float[Array, "batch *space channels"]
Channels = Float[Array, " channels"]


def initial_nodes(x: Maps, v0: Channels, v1: Channels) -> list[Maps]:
    """The nodes that a graph starts from: input, zeros, v0 and v1, all of the shape of x."""
    over = (1,) * (x.ndim - 1) + (-1,)
    return [x, jnp.zeros_like(x), *(jnp.broadcast_to(v.reshape(over), x.shape).astype(x.dtype) for v in (v0, v1))]


def evaluate(graph: Graph, x: Maps, v0: Channels, v1: Channels, *, groups: int, eps: float = 1e-5) -> Maps:
    """The output of a graph, operation by operation: under `jit` a program for this graph alone. Dead nodes are left out.

    Args:
        graph: what to compute.
        x: `[batch, *space, channels]`.
        v0, v1: for each channel.
        groups: of the moments over groups; must divide the channels.
        eps: inside of the square roots of moments.

    Raises:
        ValueError: for x of fewer than three axes, v0 or v1 of other channels, or groups that do not divide them.

    >>> from quire.evonorm.graph import EVONORM_S0
    >>> x = jnp.array([-1.0, 3.0]).reshape(1, 2, 1)
    >>> print(evaluate(EVONORM_S0, x, jnp.zeros(1), jnp.ones(1), groups=1)[0, :, 0].round(3))
    [-0.134  1.429]
    """
    check_maps(x, v0.shape[0])
    check_maps(x, v1.shape[0])
    graph = graph.simplify()
    nodes = initial_nodes(x, v0, v1)
    for node in range(len(INITIAL), len(INITIAL) + len(graph)):
        name, inputs = graph.row(node)
        nodes.append(apply_primitive(name, nodes[inputs[0]], nodes[inputs[-1]], groups=groups, eps=eps))
    return nodes[-1]


def interpret(code: Int[Array, "rows 3"], x: Maps, v0: Channels, v1: Channels, *, groups: int, eps: float = 1e-5) -> Maps:
    """`evaluate` of a graph that is an argument: a loop over rows, a switch over primitives, a buffer of all nodes.

    One program serves every graph with at most so many rows. Do not `vmap` over codes: the switch would become a selection that
    runs every primitive for each of them. Dead nodes are computed too, and a NaN among them spoils gradients: simplify and pad
    first, `graph.simplify().padded(rows)`.

    Args:
        code: from `Graph.padded`. The numbers are not checked.
        x, v0, v1, groups, eps: as for `evaluate`.

    Raises:
        ValueError: as for `evaluate`.

    >>> from quire.evonorm.graph import EVONORM_S0
    >>> x = jnp.array([-1.0, 3.0]).reshape(1, 2, 1)
    >>> print(interpret(jnp.asarray(EVONORM_S0.padded(10)), x, jnp.zeros(1), jnp.ones(1), groups=1)[0, :, 0].round(3))
    [-0.134  1.429]
    """
    check_maps(x, v0.shape[0])
    check_maps(x, v1.shape[0])
    return _run(code, jnp.stack(initial_nodes(x, v0, v1)), groups, eps)


# The derivative is written by hand. That of a scan would carry gradients of the whole buffer through every row, while this one
# adds what a row contributes to its two inputs in place.


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _run(code, first, groups, eps):
    return _all_nodes(code, first, groups, eps)[-1]


def _all_nodes(code, first, groups, eps):
    branches = [partial(apply_primitive, name, groups=groups, eps=eps) for name in PRIMITIVES]
    buffer = jnp.concatenate([first, jnp.zeros((len(code), *first.shape[1:]), first.dtype)])

    def node(buffer, row_and_place):
        (op, one, two), place = row_and_place
        value = lax.switch(op, branches, _node(buffer, one), _node(buffer, two))
        return lax.dynamic_update_index_in_dim(buffer, value, place, 0), None

    return lax.scan(node, buffer, (code, _places(code)))[0]


def _forward(code, first, groups, eps):
    buffer = _all_nodes(code, first, groups, eps)
    return buffer[-1], (code, buffer)


def _backward(groups, eps, kept, gradient):
    code, buffer = kept

    def pulled(name, one, two, gradient):
        return jax.vjp(partial(apply_primitive, name, groups=groups, eps=eps), one, two)[1](gradient)

    branches = [partial(pulled, name) for name in PRIMITIVES]

    def node(gradients, row_and_place):
        (op, *inputs), place = row_and_place
        parts = lax.switch(op, branches, *(_node(buffer, i) for i in inputs), _node(gradients, place))
        for i, part in zip(inputs, parts, strict=True):
            gradients = lax.dynamic_update_index_in_dim(gradients, _node(gradients, i) + part, i, 0)
        return gradients, None

    last = jnp.zeros_like(buffer).at[-1].set(gradient)
    return None, lax.scan(node, last, (code, _places(code)), reverse=True)[0][: len(INITIAL)]


_run.defvjp(_forward, _backward)


def _node(buffer, place):
    return lax.dynamic_index_in_dim(buffer, place, keepdims=False)


def _places(code):
    return jnp.arange(len(INITIAL), len(INITIAL) + len(code))


class Code(nnx.Variable):
    """The code of a graph as an array `[rows, 3]`: no parameter, and the same for every layer of a network."""


class GraphLayer(nnx.Module):
    """A graph as a layer, with scale and shift behind it: `scale graph(x; v0, v1) + shift`.

    Moments over the batch are those of the batch in evaluation too: what they would be on average is not known for a graph that
    was never trained.

    Args:
        graph: the layer; a simplified copy is compiled for it alone.
        features: channels.
        groups: of the moments over groups; must divide the channels.
        rows: not None for a layer that interprets, by one program, any graph of so many rows: its `code` can be changed.
        apply_act: without it the layer is `scale x + shift`.
        eps: inside of the square roots of moments.

    Raises:
        ValueError: for a graph longer than rows, or numbers out of their range; when called, as `evaluate`.

    >>> from quire.evonorm.graph import EVONORM_B0
    >>> GraphLayer(EVONORM_B0, 4, groups=2)(jnp.ones((2, 3, 3, 4))).shape
    (2, 3, 3, 4)
    """

    def __init__(
        self,
        graph: Graph,
        features: int,
        *,
        groups: int = 32,
        rows: int | None = None,
        apply_act: bool = True,
        eps: float = 1e-5,
    ):
        check_at_least("features", features)
        if groups < 1 or features % groups:
            raise ValueError(f"groups is {groups} for {features} channels; it must be positive and divide them")
        if eps <= 0:
            raise ValueError(f"eps is {eps}; it must be positive")
        self.scale, self.shift = nnx.Param(jnp.ones(features)), nnx.Param(jnp.zeros(features))
        self.v0 = nnx.Param(jnp.zeros(features)) if apply_act else None
        self.v1 = nnx.Param(jnp.ones(features)) if apply_act else None
        self.code = None if rows is None or not apply_act else Code(jnp.asarray(graph.simplify().padded(rows)))
        self.graph = graph.simplify() if self.code is None else None  # what is static would make a program for every graph
        self.groups, self.apply_act, self.eps = groups, apply_act, eps

    def __call__(
        self, x: Num[Array, "batch *space channels"], *, train: bool | None = None
    ) -> Float[Array, "batch *space channels"]:
        """The same shape; training and evaluation are one."""
        check_maps(x, self.scale.shape[0])
        y = at_least_float32(x)
        over = (1,) * (x.ndim - 1) + (-1,)
        if self.v0 is not None and self.v1 is not None:
            v0, v1 = self.v0[...].astype(y.dtype), self.v1[...].astype(y.dtype)
            options = {"groups": self.groups, "eps": self.eps}
            if self.graph is not None:
                y = evaluate(self.graph, y, v0, v1, **options)
            elif self.code is not None:
                y = interpret(self.code[...], y, v0, v1, **options)
        scale, shift = (p[...].astype(y.dtype).reshape(over) for p in (self.scale, self.shift))
        return (y * scale + shift).astype(result_dtype(x))
