"""Learned sheaves: restriction maps from features, and layers that diffuse along them."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.graphs.edges import Graph, check_features
from quire.common.graphs.sheaves import MapKind, SheafLaplacian, apply_maps, check_kind, sheaf_laplacian
from quire.common.graphs.stalk_maps import OrthogonalForm, check_form, num_orthogonal_params, orthogonal_map
from quire.common.layers.initialisers import linear, normal, uniform_fan_in
from quire.common.layers.intermediates import sow


def num_map_params(kind: MapKind, d: int) -> int:
    """Numbers that determine one restriction map: 1, d, `d (d - 1) / 2` or `d^2`.

    Raises:
        ValueError: for another kind, or a dimension below 1.
    """
    check_at_least("d", d)
    check_kind(kind)
    return {"scalar": 1, "diagonal": d, "orthogonal": num_orthogonal_params(d), "general": d * d}[kind]


def edge_params(graph: Graph, x: Float[Array, "n f"], weight: Float[Array, "p two_f"]) -> Float[Array, "sides p"]:
    """`m_e = tanh(W [x_s || x_t])` for every side of every edge, s being the node of that side.

    `W [x_s || x_t]` is a sum of two products, so nodes are multiplied before they are gathered: rows of 2 p numbers travel, not
    of 2 f.

    Args:
        graph: the edges.
        x: features of the nodes.
        weight: both halves of W, side by side.

    Raises:
        ValueError: if the weight is not twice as wide as the features, or a node has no features.
    """
    check_features(graph, x)
    f = x.shape[-1]
    if weight.shape[-1] != 2 * f:
        raise ValueError(f"weight has shape {weight.shape}; features of width {f} need (p, {2 * f})")
    own, other = x @ weight[:, :f].T, x @ weight[:, f:].T
    both = jnp.concatenate([own, other], axis=1)
    p, ends = weight.shape[0], both[graph.pairs]  # one gather, and one scatter of its derivative
    return jnp.tanh(ends[..., :p] + ends[::-1, :, p:]).reshape(-1, p)


def sheaf_maps(
    graph: Graph,
    x: Float[Array, "n f"],
    weight: Float[Array, "p two_f"],
    kind: MapKind,
    d: int = 1,
    form: OrthogonalForm = "cayley",
) -> Array:
    """Restriction maps from features: `edge_params` as a number, a diagonal, an orthogonal or a general matrix.

    Args:
        graph: the edges.
        x: features of the nodes, the stalk flattened.
        weight: of the learner.
        kind: of the maps.
        d: stalk dimension; 1 for scalar maps.
        form: of orthogonal maps, see `orthogonal_map`.

    Returns:
        `[2 m]`, `[2 m, d]` or `[2 m, d, d]`, in the order of `graph.directed`.

    Raises:
        ValueError: if kind and d do not go together or the weight does not have the rows that they need.
    """
    if kind == "scalar" and d != 1:
        raise ValueError(f"d is {d}; scalar maps act on stalks of dimension 1")
    params = edge_params(graph, x, weight)
    if kind == "orthogonal":
        return orthogonal_map(params, d, form)
    if params.shape[-1] != num_map_params(kind, d):
        raise ValueError(f"weight has {params.shape[-1]} rows; {kind} maps with d = {d} need {num_map_params(kind, d)}")
    if kind == "scalar":
        return params[:, 0]
    return params.reshape(-1, d, d) if kind == "general" else params


class SheafLearner(nnx.Module):
    """Restriction maps of a graph from the features of its nodes, by one linear map and a tanh.

    Args:
        in_features: width of the features, stalk and channels together.
        kind: `"scalar"`, `"diagonal"`, `"orthogonal"` or `"general"`.
        d: stalk dimension.
        form: of orthogonal maps.
        rngs: for the initial weight.

    Raises:
        ValueError: for another kind or form, a size below 1, scalar maps with d other than 1, or orthogonal ones with d = 1.
    """

    def __init__(
        self, in_features: int, kind: MapKind = "scalar", d: int = 1, *, form: OrthogonalForm = "cayley", rngs: nnx.Rngs
    ):
        if (kind == "scalar") != (d == 1) and kind in ("scalar", "orthogonal"):
            raise ValueError(f"d is {d} for {kind} maps; scalar maps need d = 1, orthogonal ones d > 1")
        check_at_least("in_features", in_features)
        check_form(form)
        self.kind, self.d, self.form = kind, d, form
        init = uniform_fan_in(2 * in_features)
        self.weight = nnx.Param(init(rngs.params(), (num_map_params(kind, d), 2 * in_features)))

    def __call__(self, graph: Graph, x: Float[Array, "n f"]) -> Array:
        return sheaf_maps(graph, x, self.weight[...], self.kind, self.d, self.form)


def sheaf_step(laplacian: SheafLaplacian, x: Array, y: Array, step: float = 1.0) -> Array:
    """`x - step * Delta y`."""
    return x - step * laplacian.matvec(y)


class SheafConv(nnx.Module):
    """The layer of the recommender, on stalks of dimension 1: `x - eta Delta(x) (x W^T + b)`.

    The maps are learned from the layer's own input: geometry is chosen where it is used. The bias diffuses too.

    Args:
        dim: channels.
        step: eta.
        rngs: for the initial weights, as PyTorch draws them.
    """

    def __init__(self, dim: int, *, step: float = 1.0, rngs: nnx.Rngs):
        check_at_least("dim", dim)
        self.step = step
        self.linear = linear(dim, dim, rngs=rngs)
        self.learner = SheafLearner(dim, rngs=rngs)

    def __call__(self, graph: Graph, x: Float[Array, "n dim"]) -> Float[Array, "n dim"]:
        maps = self.learner(graph, x)
        sow(self, "maps", maps)
        return sheaf_step(sheaf_laplacian(graph, maps, "scalar"), x, self.linear(x), self.step)


Activation = Literal["elu", "none"]


class SheafDiffusion(nnx.Module):
    """Neural sheaf diffusion on stalks of any dimension: `(1 + tanh(eps)) x - act(Delta (I (x) W_left) x W_right)`.

    Args:
        channels: channels h on each stalk coordinate.
        d: stalk dimension.
        kind: of the restriction maps.
        form: of orthogonal maps.
        activation: `"elu"` or `"none"`.
        rngs: for the initial weights; `W_left` starts as the identity, `W_right` orthogonal, `eps` (one per coordinate) at 0.

    Raises:
        ValueError: for another activation, and as `SheafLearner`.
    """

    def __init__(
        self,
        channels: int,
        d: int,
        kind: MapKind = "general",
        *,
        form: OrthogonalForm = "cayley",
        activation: Activation = "elu",
        rngs: nnx.Rngs,
    ):
        if activation not in ("elu", "none"):
            raise ValueError(f"activation is {activation!r}; it must be 'elu' or 'none'")
        self.activation, self.d = activation, d
        self.left = nnx.Param(jnp.eye(d, dtype=jnp.float32))
        basis, triangle = jnp.linalg.qr(normal(1.0)(rngs.params(), (channels, channels)))
        self.right = nnx.Param(basis * jnp.sign(jnp.diagonal(triangle))[None])
        self.eps = nnx.Param(jnp.zeros(d, jnp.float32))
        self.learner = SheafLearner(d * channels, kind, d, form=form, rngs=rngs)

    def __call__(self, graph: Graph, x: Float[Array, "n d h"]) -> Float[Array, "n d h"]:
        n, d, h = x.shape
        if d != self.d:
            raise ValueError(f"x has shape {x.shape}; this layer has stalks of dimension {self.d}")
        maps = self.learner(graph, x.reshape(n, -1))
        sow(self, "maps", maps)
        kind = self.learner.kind
        mixed = self.left[...] @ (x @ self.right[...]).swapaxes(0, 1).reshape(d, -1)
        mixed = mixed.reshape(d, n, h).swapaxes(0, 1)
        if kind == "scalar":
            moved = sheaf_laplacian(graph, maps, kind).matvec(mixed[:, 0])[:, None]
        else:
            moved = sheaf_laplacian(graph, maps, kind).matvec(mixed)
        moved = jax.nn.elu(moved) if self.activation == "elu" else moved
        keep = jnp.broadcast_to((1 + jnp.tanh(self.eps[...]))[None], (n, d))
        return apply_maps(keep, x) - moved
