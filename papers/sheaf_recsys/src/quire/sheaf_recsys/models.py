"""The sheaf recommender and what it is compared with: each turns a graph into one vector per node.

A pair of nodes is scored by the inner product of their vectors, users against items or, in link prediction, nodes against nodes.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.graphs.edges import Graph
from quire.common.graphs.propagation import GCNConv, NGCFConv, lightgcn_propagate
from quire.common.graphs.sheaf_layers import SheafConv, SheafDiffusion
from quire.common.graphs.sheaves import MapKind
from quire.common.graphs.stalk_maps import OrthogonalForm
from quire.common.layers.initialisers import normal

Readout = Literal["mean", "concat"]


def embedding(num_nodes: int, dim: int, rngs: nnx.Rngs) -> nnx.Param:
    """Free vectors of the nodes, normal with deviation 0.1.

    Raises:
        ValueError: for a size below 1; so do the models.
    """
    check_at_least("num_nodes", num_nodes)
    check_at_least("dim", dim)
    return nnx.Param(normal(0.1)(rngs.params(), (num_nodes, dim)))


def read_out(layers: Sequence[Float[Array, "n dim"]], readout: Readout) -> Float[Array, "n out"]:
    """Mean of the embedding and all layers, or all of them side by side.

    Raises:
        ValueError: for another readout.
    """
    if readout not in ("mean", "concat"):
        raise ValueError(f"readout is {readout!r}; it must be 'mean' or 'concat'")
    return jnp.concatenate(layers, axis=-1) if readout == "concat" else sum(layers[1:], layers[0]) / len(layers)


def inner_product(a: Float[Array, "b dim"], b: Float[Array, "b dim"]) -> Float[Array, " b"]:
    """`<a, b>` row by row."""
    return jnp.sum(a * b, axis=-1)


class Encoder(nnx.Module):
    """What all models here are: a vector for every node of a graph, from a free embedding, and a score of two rows of vectors."""

    embedding: nnx.Param
    score: Callable[[Array, Array], Array] = staticmethod(inner_product)

    def __call__(self, graph: Graph, key: jax.Array | None = None) -> Float[Array, "n out"]:
        """Vectors of the nodes, the embedding itself where a model makes no more of it; a key makes it training."""
        return self.embedding[...]


class BPRMF(Encoder):
    """Matrix factorisation: the embedding itself.

    Args:
        num_nodes: users and items together.
        dim: width.
        rngs: for the initial weights.
    """

    def __init__(self, num_nodes: int, dim: int = 64, *, rngs: nnx.Rngs):
        self.embedding = embedding(num_nodes, dim, rngs)


class LightGCN(Encoder):
    """LightGCN: neighbours' averages of the embedding, the mean over all layers.

    Args:
        num_nodes, dim, rngs: as for `BPRMF`.
        num_layers: propagations.
    """

    def __init__(self, num_nodes: int, dim: int = 64, num_layers: int = 5, *, rngs: nnx.Rngs):
        self.num_layers = check_at_least("num_layers", num_layers, 0)
        self.embedding = embedding(num_nodes, dim, rngs)

    def __call__(self, graph: Graph, key: jax.Array | None = None) -> Float[Array, "n dim"]:
        layers = [self.embedding[...]]
        for _ in range(self.num_layers):
            layers.append(lightgcn_propagate(graph, layers[-1]))
        return read_out(layers, "mean")


class NGCF(Encoder):
    """NGCF with the mean over all layers.

    Args:
        num_nodes, dim, num_layers, rngs: as for `LightGCN`.
        dropout: of the messages.

    Raises:
        ValueError: for a dropout outside of `[0, 1)`.
    """

    def __init__(self, num_nodes: int, dim: int = 64, num_layers: int = 5, *, dropout: float = 0.1, rngs: nnx.Rngs):
        check_at_least("num_layers", num_layers, 0)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout}; a probability to drop lies in [0, 1)")
        self.embedding = embedding(num_nodes, dim, rngs)
        self.convs = nnx.List([NGCFConv(dim, dropout=dropout, rngs=rngs) for _ in range(num_layers)])

    def __call__(self, graph: Graph, key: jax.Array | None = None) -> Float[Array, "n dim"]:
        """A key turns dropout on."""
        layers = [self.embedding[...]]
        for number, conv in enumerate(self.convs):
            layers.append(conv(graph, layers[-1], None if key is None else jax.random.fold_in(key, number)))
        return read_out(layers, "mean")


class GCN(Encoder):
    """GCN on a free embedding, ReLU between the layers, the last layer read out; for link prediction.

    Args:
        num_nodes, dim, num_layers, rngs: as for `LightGCN`.
    """

    def __init__(self, num_nodes: int, dim: int = 64, num_layers: int = 2, *, rngs: nnx.Rngs):
        check_at_least("num_layers", num_layers)
        self.embedding = embedding(num_nodes, dim, rngs)
        self.convs = nnx.List([GCNConv(dim, rngs=rngs) for _ in range(num_layers)])

    def __call__(self, graph: Graph, key: jax.Array | None = None) -> Float[Array, "n dim"]:
        x = self.embedding[...]
        for number, conv in enumerate(self.convs):
            x = conv(graph, jax.nn.relu(x) if number else x)
        return x


class SheafRec(Encoder):
    """The recommender as its authors coded it: diffusion along a learned sheaf with stalks of dimension 1.

    All layers have one shape, so they are one stacked layer under `lax.scan`, compiled once whatever their number.

    Args:
        num_nodes, dim, num_layers, rngs: as for `LightGCN`.
        readout: `"mean"` (the authors' first code) or `"concat"` (their later one).
        step: eta of every layer.

    Raises:
        ValueError: for another readout, or no layer.
    """

    def __init__(
        self, num_nodes: int, dim: int = 64, num_layers: int = 5, *, readout: Readout = "mean", step: float = 1.0, rngs: nnx.Rngs
    ):
        if num_layers < 1:
            raise ValueError(f"num_layers is {num_layers}; it must be at least 1 (BPRMF is the model without layers)")
        if readout not in ("mean", "concat"):
            raise ValueError(f"readout is {readout!r}; it must be 'mean' or 'concat'")
        self.readout = readout
        self.embedding = embedding(num_nodes, dim, rngs)
        self.convs = stacked(lambda r: SheafConv(dim, step=step, rngs=r), num_layers, rngs)

    def __call__(self, graph: Graph, key: jax.Array | None = None) -> Float[Array, "n out"]:
        return read_out(self.layers(graph), self.readout)

    def layers(self, graph: Graph) -> list[Float[Array, "n dim"]]:
        """The embedding and the output of every layer."""
        x = self.embedding[...]
        return [x, *scanned(self.convs, lambda conv, x: conv(graph, x), x)]


class StalkSheafRec(Encoder):
    """The recommender on stalks of dimension d: `dim` numbers per node as d coordinates of `dim / d` channels.

    Args:
        num_nodes, dim, num_layers, readout, rngs: as for `SheafRec`.
        kind: of the restriction maps.
        d: stalk dimension, a divisor of `dim`.
        form: of orthogonal maps.
        activation: of the diffusion, `"elu"` or `"none"`.

    Raises:
        ValueError: if d does not divide `dim`, and as `SheafRec` and `SheafDiffusion`.
    """

    def __init__(
        self,
        num_nodes: int,
        dim: int = 64,
        num_layers: int = 5,
        *,
        kind: MapKind = "general",
        d: int = 4,
        form: OrthogonalForm = "cayley",
        activation: Literal["elu", "none"] = "none",
        readout: Readout = "mean",
        rngs: nnx.Rngs,
    ):
        check_at_least("d", d)
        if dim % d:
            raise ValueError(f"d is {d}; it must divide dim, {dim}")
        if num_layers < 1:
            raise ValueError(f"num_layers is {num_layers}; it must be at least 1")
        self.d, self.readout = d, readout
        self.embedding = embedding(num_nodes, dim, rngs)
        self.convs = stacked(
            lambda r: SheafDiffusion(dim // d, d, kind, form=form, activation=activation, rngs=r), num_layers, rngs
        )

    def __call__(self, graph: Graph, key: jax.Array | None = None) -> Float[Array, "n out"]:
        x = self.embedding[...]
        layers = scanned(self.convs, lambda conv, x: conv(graph, x), x.reshape(len(x), self.d, -1))
        return read_out([x, *(layer.reshape(x.shape) for layer in layers)], self.readout)


def stacked(build, count: int, rngs: nnx.Rngs) -> nnx.Module:
    """`count` layers of one shape as one module whose parameters have a leading axis."""
    states = [nnx.split(build(rngs)) for _ in range(count)]
    return nnx.merge(states[0][0], jax.tree.map(lambda *leaves: jnp.stack(leaves), *(state for _, state in states)))


def scanned(layers: nnx.Module, call, x: Array) -> Float[Array, "layers ..."]:
    """Outputs of all layers of a `stacked` module, each fed with the one before: `x <- call(layer, x)`."""
    graph, state = nnx.split(layers)

    def body(x, one):
        x = call(nnx.merge(graph, one), x)
        return x, x

    return jax.lax.scan(body, x, state)[1]


class LinkHead(nnx.Module):
    """Score of a pair from the product of its two vectors, entry by entry: their sum, or a perceptron with one hidden layer.

    Args:
        dim: width of the vectors.
        hidden: width of the hidden layer.
        rngs: for the initial weights.
    """

    def __init__(self, dim: int, hidden: int = 64, *, rngs: nnx.Rngs):
        check_at_least("dim", dim)
        check_at_least("hidden", hidden)
        self.inner = nnx.Linear(dim, hidden, rngs=rngs)
        self.outer = nnx.Linear(hidden, 1, rngs=rngs)

    def __call__(self, a: Float[Array, "b dim"], b: Float[Array, "b dim"]) -> Float[Array, " b"]:
        if a.shape[-1] != self.inner.in_features:
            raise ValueError(f"a has vectors of width {a.shape[-1]}; the head was made for dim = {self.inner.in_features}")
        return self.outer(jax.nn.relu(self.inner(a * b)))[:, 0]


class LinkPredictor(Encoder):
    """An encoder whose pairs are scored by a `LinkHead` instead of the inner product.

    Args:
        encoder: any model of this module.
        dim: width of its vectors.
        hidden: of the head.
        rngs: for the head.
    """

    def __init__(self, encoder: Encoder, dim: int, hidden: int = 64, *, rngs: nnx.Rngs):
        self.encoder, self.embedding = encoder, encoder.embedding
        self.score = LinkHead(dim, hidden, rngs=rngs)

    def __call__(self, graph: Graph, key: jax.Array | None = None) -> Float[Array, "n dim"]:
        return self.encoder(graph, key)
