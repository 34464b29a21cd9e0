"""The authors' weights by their names: `emb0`, and `lin_w_k`, `lin_b_k`, `sheaf_w_k` of every layer k, as PyTorch has them."""

import re
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.checkpoints import Source, load, stacked, transposed
from quire.common.graphs.propagation import NGCFConv
from quire.sheaf_recsys.models import Readout, SheafRec


def load_sheaf_rec(arrays: Mapping[str, np.ndarray], *, readout: Readout = "concat", dtype=jnp.float32) -> SheafRec:
    """Recommender with the authors' weights; its sizes come from the arrays.

    Args:
        arrays: `emb0 [nodes, dim]` and, for k = 0, 1, ..., `lin_w_k [dim, dim]`, `lin_b_k [dim]`, `sheaf_w_k [1, 2 dim]`.
        readout: `"concat"` as their later code, `"mean"` as the first.
        dtype: of the parameters.

    Raises:
        ValueError: listing arrays that are missing, unexpected or mis-shaped.
    """
    num_layers = sum(name.startswith("lin_w_") for name in arrays)
    if "emb0" not in arrays or not num_layers:
        raise ValueError(f"arrays has {sorted(arrays)}; it needs emb0 and lin_w_0, lin_b_0, sheaf_w_0 at least")
    num_nodes, dim = np.shape(arrays["emb0"])
    model = nnx.eval_shape(lambda: SheafRec(num_nodes, dim, num_layers, readout=readout, rngs=nnx.Rngs(0)))
    names = {
        ("embedding",): "emb0",
        ("convs", "linear", "kernel"): stacked([f"lin_w_{k}" for k in range(num_layers)], np.transpose),
        ("convs", "linear", "bias"): stacked([f"lin_b_{k}" for k in range(num_layers)]),
        ("convs", "learner", "weight"): stacked([f"sheaf_w_{k}" for k in range(num_layers)]),
    }
    return load(model, arrays, names, dtype=dtype)


def load_ngcf_conv(arrays: Mapping[str, np.ndarray], *, dtype=jnp.float32) -> NGCFConv:
    """One layer of NGCF from `ngcf_w1`, `ngcf_b1`, `ngcf_w2`, `ngcf_b2`; other arrays are passed over.

    Raises:
        ValueError: as `load_sheaf_rec`.
    """
    names: dict[tuple, str | Source] = {}
    for layer, number in (("neighbour", 1), ("product", 2)):
        names |= {(layer, "kernel"): transposed(f"ngcf_w{number}"), (layer, "bias"): f"ngcf_b{number}"}
    own = {name: x for name, x in arrays.items() if re.fullmatch(r"ngcf_[wb]\d+", name)}
    if not np.size(own.get("ngcf_b1", ())):
        raise ValueError(f"arrays has {sorted(arrays)}; it needs ngcf_w1, ngcf_b1, ngcf_w2 and ngcf_b2")
    return load(nnx.eval_shape(lambda: NGCFConv(len(own["ngcf_b1"]), rngs=nnx.Rngs(0))), own, names, dtype=dtype)
