"""Propagation of node features: LightGCN, NGCF, GCN."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating
from quire.common.graphs.edges import Graph, adjacency_product, check_features, degrees
from quire.common.layers.dropout import dropout
from quire.common.layers.initialisers import linear


def lightgcn_propagate(graph: Graph, x: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """`D^(-1/2) A D^(-1/2) x` (He et al. 2020); isolated nodes get 0.

    Raises:
        ValueError: unless x has a row for every node; so do the other functions.

    >>> from quire.common.graphs.edges import undirected
    >>> lightgcn_propagate(undirected([[0], [1]], 3), jnp.array([[1.0], [2.0], [3.0]])).tolist()
    [[2.0], [1.0], [0.0]]
    """
    check_features(graph, x)
    (x,) = floating(x)
    root = _root(graph, x.dtype)
    return root * adjacency_product(graph, root * x)


def _root(graph: Graph, dtype: jnp.dtype | type) -> Float[Array, "n 1"]:
    """`D^(-1/2)`: nodes are scaled before and after the sum, so that edges need no weights."""
    return jax.lax.rsqrt(jnp.maximum(degrees(graph, dtype), 1))[:, None]


def gcn_propagate(graph: Graph, x: Float[Array, "n c"]) -> Float[Array, "n c"]:
    """`(D + I)^(-1/2) (A + I) (D + I)^(-1/2) x` (Kipf and Welling 2017)."""
    check_features(graph, x)
    (x,) = floating(x)
    root = jax.lax.rsqrt(degrees(graph, x.dtype) + 1)[:, None]
    scaled = root * x
    return root * (adjacency_product(graph, scaled) + scaled)


def ngcf_propagate(
    graph: Graph,
    x: Float[Array, "n c"],
    w1: Float[Array, "out c"],
    b1: Float[Array, " out"],
    w2: Float[Array, "out c"],
    b2: Float[Array, " out"],
) -> Float[Array, "n out"]:
    """Messages of NGCF (Wang et al. 2019), summed, before dropout and activation.

    `sum_j n_ij (W1 x_j + b1 + W2 (x_j * x_i) + b2) + W1 x_i + b1`. Everything is linear in x_j, so neighbours are summed before
    they are multiplied: with `z = A x`, `s = A 1`, A normalised, it is `W1 (z + x) + W2 (x * z) + s (b1 + b2) + b1`.

    Args:
        graph: the edges.
        x: features of the nodes.
        w1, b1, w2, b2: the two linear maps.

    Raises:
        ValueError: if the maps do not fit x or each other.
    """
    out = w1.shape[0]
    if w1.shape != w2.shape or w1.shape != (out, x.shape[-1]) or not b1.shape == b2.shape == (out,):
        raise ValueError(
            f"w1, b1, w2, b2 have shapes {w1.shape}, {b1.shape}, {w2.shape}, {b2.shape}; x with {x.shape[-1]} channels needs "
            f"({out}, {x.shape[-1]}) and ({out},) of both maps"
        )
    x, w1, b1, w2, b2 = floating(x, w1, b1, w2, b2)
    z, s = lightgcn_propagate(graph, x), lightgcn_propagate(graph, jnp.ones((graph.num_nodes, 1), x.dtype))
    return (z + x) @ w1.T + (x * z) @ w2.T + s * (b1 + b2)[None] + b1[None]


class NGCFConv(nnx.Module):
    """Layer of NGCF: `LeakyReLU(dropout(ngcf_propagate(x)))`.

    Args:
        dim: channels.
        dropout: probability to drop an entry of the summed messages in training.
        slope: of the activation for negative numbers.
        rngs: for the initial weights.
    """

    def __init__(self, dim: int, *, dropout: float = 0.1, slope: float = 0.01, rngs: nnx.Rngs):
        check_at_least("dim", dim)
        self.dropout, self.slope = dropout, slope
        self.neighbour, self.product = linear(dim, dim, rngs=rngs), linear(dim, dim, rngs=rngs)

    def __call__(self, graph: Graph, x: Float[Array, "n dim"], key: jax.Array | None = None) -> Float[Array, "n dim"]:
        """A key makes it training, with dropout."""
        first, second = self.neighbour, self.product
        assert first.bias is not None and second.bias is not None  # linear maps have one
        out = ngcf_propagate(graph, x, first.kernel[...].T, first.bias[...], second.kernel[...].T, second.bias[...])
        return jax.nn.leaky_relu(dropout(out, self.dropout, key), self.slope)


class GCNConv(nnx.Module):
    """Layer of GCN: `gcn_propagate(x W + b)`.

    Args:
        dim: channels.
        rngs: for the initial weights.
    """

    def __init__(self, dim: int, *, rngs: nnx.Rngs):
        check_at_least("dim", dim)
        self.linear = linear(dim, dim, rngs=rngs)

    def __call__(self, graph: Graph, x: Float[Array, "n dim"]) -> Float[Array, "n dim"]:
        return gcn_propagate(graph, self.linear(x))
