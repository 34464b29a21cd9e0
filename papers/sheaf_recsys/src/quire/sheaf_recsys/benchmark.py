"""What `quire bench sheaf_recsys` times: one layer of the recommender with its gradient, with and without the border against
fusion, beside LightGCN, and the Laplacian of general maps as an operator against the dense matrix."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from quire.common.bench import Benchmark, Case
from quire.common.graphs.edges import Graph, naive_symmetric_product, undirected
from quire.common.graphs.propagation import lightgcn_propagate
from quire.common.graphs.sheaf_layers import SheafConv, sheaf_step
from quire.common.graphs.sheaves import sheaf_laplacian
from quire.common.graphs.stalk_maps import inverse_sqrt
from quire.common.random import generator
from quire.sheaf_recsys.paper import paper

CHANNELS, DEGREE = 32, 40
STALK, STALK_CHANNELS = 4, 8
DENSE_NODES = 1024
"""Beyond this many nodes no dense matrix is formed."""


def random_graph(num_nodes: int, degree: int, seed: int) -> Graph:
    """Uniform edges, `degree` a node on average."""
    rng = np.random.default_rng(seed)
    pairs = np.sort(rng.integers(0, num_nodes, (2, num_nodes * degree // 2)), axis=0)
    return undirected(np.unique(pairs[:, pairs[0] < pairs[1]], axis=1), num_nodes)


def _normal(key: jax.Array, *shape: int) -> Array:
    return jax.device_put(generator(key).standard_normal(shape, np.float32))


def fused_layer(conv: SheafConv, graph: Graph, x: Array) -> Array:
    """The layer with the product that scatters every edge and leaves its derivative to automatic differentiation, and so to
    fusion."""
    maps, m = conv.learner(graph, x), graph.num_edges
    laplacian = sheaf_laplacian(graph, maps, "scalar")
    g, y = jax.lax.rsqrt(laplacian.diagonal + 1)[:, None], conv.linear(x)
    mixed = naive_symmetric_product(graph, maps[:m] * maps[m:], g * y)
    return x - conv.step * g * (laplacian.diagonal[:, None] * (g * y) - mixed)


def gradient(layer: Callable[..., Array]) -> Callable[..., Any]:
    """Derivative of the energy of a layer's output by parameters and features."""
    return jax.grad(lambda params, graph, x: jnp.mean(layer(params, graph, x) ** 2), argnums=(0, 2))


def layer_cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Gradients of one layer on n nodes of average degree 40."""
    graph, x = random_graph(n, DEGREE, 0), _normal(key, n, CHANNELS)
    skeleton, params = nnx.split(SheafConv(CHANNELS, rngs=nnx.Rngs(key)))
    layers = {
        "sheaf layer": lambda p, graph, x: nnx.merge(skeleton, p)(graph, x),
        "sheaf layer, fused derivative": lambda p, graph, x: fused_layer(nnx.merge(skeleton, p), graph, x),
        "LightGCN layer": lambda p, graph, x: lightgcn_propagate(graph, x),
    }
    return {f"{name}, gradient": Case(gradient(layer), (params, graph, x)) for name, layer in layers.items()}


def operator_cases(n: int, key: jax.Array) -> dict[str, Case]:
    """A diffusion step with general maps, stalks of dimension 4 and 8 channels: on edges, and with the dense matrix."""
    graph = random_graph(n, DEGREE // 2, 1)
    maps, x = _normal(key, 2 * graph.num_edges, STALK, STALK), _normal(key, n, STALK, STALK_CHANNELS)

    def on_edges(graph, maps, x):
        return sheaf_step(sheaf_laplacian(graph, maps, "general"), x, x)

    def dense(graph, maps, x):
        laplacian = sheaf_laplacian(graph, maps, "general", normalised=False)
        (i, j), m = graph.pairs, graph.num_edges
        coupling = maps[:m].mT @ maps[m:]
        blocks = jnp.zeros((n, n, STALK, STALK)).at[i, j].set(-coupling).at[j, i].set(-coupling.mT)
        blocks = blocks.at[jnp.arange(n), jnp.arange(n)].set(laplacian.diagonal)
        scale = inverse_sqrt(laplacian.diagonal + jnp.eye(STALK)[None])
        matrix = (scale[:, None] @ blocks @ scale[None]).swapaxes(1, 2).reshape(n * STALK, n * STALK)
        return x - (matrix @ x.reshape(n * STALK, -1)).reshape(x.shape)

    cases = {"general maps, operator": Case(on_edges, (graph, maps, x))}
    return cases | ({"general maps, dense": Case(dense, (graph, maps, x))} if n <= DENSE_NODES else {})


def cases(n: int, key: jax.Array) -> dict[str, Case]:
    """The layer and the operator on n nodes."""
    return layer_cases(n, key) | operator_cases(n, key)


paper.benchmark = Benchmark("One layer on a sheaf", size="nodes n", sizes=(128, 256, 512, 1024, 2048, 4096), cases=cases)
