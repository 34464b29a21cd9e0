"""The authors' weights by their names: `emb0`, and `lin_w_k`, `lin_b_k`, `sheaf_w_k` of every layer k, as PyTorch has them."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.graphs.propagation import NGCFConv
from quire.sheaf_recsys.models import Readout, SheafRec


def load_sheaf_rec(arrays: Mapping[str, np.ndarray], *, readout: Readout = "concat", dtype=jnp.float32) -> SheafRec:
    """Recommender with the authors' weights; its sizes come from the arrays.

    Args:
        arrays: `emb0 [nodes, dim]` and, for k = 0, 1, ..., `lin_w_k [dim, dim]`, `lin_b_k [dim]`, `sheaf_w_k [1, 2 dim]`.
        readout: `"concat"` as their later code, `"mean"` as the first.
        dtype: of the parameters.

    Raises:
        ValueError: if an array is missing or has another shape.
    """
    num_layers = sum(name.startswith("lin_w_") for name in arrays)
    if "emb0" not in arrays or not num_layers:
        raise ValueError(f"arrays has {sorted(arrays)}; it needs emb0 and lin_w_0, lin_b_0, sheaf_w_0 at least")
    num_nodes, dim = np.shape(arrays["emb0"])
    shapes = {"lin_w": (dim, dim), "lin_b": (dim,), "sheaf_w": (1, 2 * dim)}
    stacks = {name: jnp.stack([_array(arrays, f"{name}_{k}", s, dtype) for k in range(num_layers)]) for name, s in shapes.items()}
    model = nnx.eval_shape(lambda: SheafRec(num_nodes, dim, num_layers, readout=readout, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(model)
    values = {
        ("embedding",): jnp.asarray(arrays["emb0"], dtype),
        ("convs", "linear", "kernel"): stacks["lin_w"].swapaxes(1, 2),
        ("convs", "linear", "bias"): stacks["lin_b"],
        ("convs", "learner", "weight"): stacks["sheaf_w"],
    }
    return nnx.merge(graph, _filled(state, values))


def load_ngcf_conv(arrays: Mapping[str, np.ndarray], *, dtype=jnp.float32) -> NGCFConv:
    """One layer of NGCF from `ngcf_w1`, `ngcf_b1`, `ngcf_w2`, `ngcf_b2`.

    Raises:
        ValueError: as `load_sheaf_rec`.
    """
    dim = len(arrays["ngcf_b1"])
    graph, state = nnx.split(nnx.eval_shape(lambda: NGCFConv(dim, rngs=nnx.Rngs(0))))
    values = {}
    for layer, number in (("neighbour", 1), ("product", 2)):
        values[layer, "kernel"] = _array(arrays, f"ngcf_w{number}", (dim, dim), dtype).T
        values[layer, "bias"] = _array(arrays, f"ngcf_b{number}", (dim,), dtype)
    return nnx.merge(graph, _filled(state, values))


def _array(arrays, name: str, shape: tuple[int, ...], dtype) -> jax.Array:
    if name not in arrays or np.shape(arrays[name]) != shape:
        found = np.shape(arrays[name]) if name in arrays else "nothing"
        raise ValueError(f"arrays has {found} for {name}; it must have shape {shape}")
    return jnp.asarray(arrays[name], dtype)


def _filled(state: nnx.State, values: Mapping[tuple[str, ...], jax.Array]) -> nnx.State:
    """The state with the given values; every entry must be given."""
    flat = dict(nnx.to_flat_state(state))
    if set(flat) != set(values):
        raise ValueError(f"values has {sorted(values)}; the module has {sorted(flat)}")
    return nnx.from_flat_state({path: variable.replace(values[path]) for path, variable in flat.items()})
