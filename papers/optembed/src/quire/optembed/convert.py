"""The authors' checkpoints: PyTorch parameters, under their names, into the models of this package.

A state dictionary is a mapping from names to arrays; `quire.common.checkpoints.read_safetensors` reads one from a file. Save the
authors' so where PyTorch is installed, with `safetensors.torch.save_file(state, "supernet.safetensors")`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from flax import nnx

from quire.common.checkpoints import Source, load, same, transposed
from quire.optembed.base_models import CTRModel, Kind
from quire.optembed.embedding_table import OptEmbedTable
from quire.optembed.masks import Norm
from quire.optembed.supernet import Supernet

StateDict = Mapping[str, Any]


def load_supernet(
    state: StateDict, kind: Kind, field_dims: Sequence[int], *, norm: Norm = 1, dtype: Any = np.float32
) -> Supernet:
    """A supernet from the authors' parameters. Depths and widths are read from the arrays.

    Args:
        state: `embedding`, `threshold`, and those of the base model. Running statistics are loaded where they are there, counters
            of batches passed over, and `oov_embedding` decides what pruned rows read.
        kind: of the base model.
        field_dims: number of values of every field.
        norm: of the thresholds, which is not in the file.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected or mis-shaped parameters.

    References:
        fuyuanlyu/OptEmbed at 0feda5f, `models/modules_super.py`.
    """
    state = {name: x for name, x in state.items() if not name.endswith(".num_batches_tracked")}
    for name in ("embedding", "threshold"):
        if len(shape := np.shape(state.get(name, ()))) != 2:
            raise ValueError(f"state has {name} of shape {shape}; it needs an array of two axes")
    sizes = [int(x) for x in field_dims]
    table = OptEmbedTable(
        sizes,
        state["embedding"].shape[1],
        threshold="field" if len(state["threshold"]) == len(sizes) else "feature",
        norm=norm,
        pruned="oov" if "oov_embedding" in state else "zero",
        rngs=nnx.Rngs(0),
    )
    hidden = [len(state[f"mlp.mlp.{4 * i}.weight"]) for i in range(_hidden_layers(state))]
    crosses = sum(name.startswith("cross.b.") for name in state)
    base = CTRModel(kind, sizes, table.dim, hidden=hidden, cross_layers=max(crosses, 1), rngs=nnx.Rngs(0))
    net = Supernet(table, base)
    return load(net, state, supernet_names(net, state), dtype=dtype)


def _hidden_layers(state: StateDict) -> int:
    """Each has four entries: a linear map, batch normalisation, ReLU, dropout; only a normalisation has one number a channel."""
    count = 0
    while np.ndim(state.get(f"mlp.mlp.{4 * count + 1}.weight", np.zeros((1, 1)))) == 1:
        count += 1
    return count


def supernet_names(net: Supernet, state: StateDict) -> dict[tuple, Source]:
    """Sources of every variable of a supernet in the authors' state dictionary."""
    names = {
        ("table", "rows", "weights"): same("embedding"),
        ("table", "threshold"): Source(("threshold",), lambda t: t.reshape(-1)),
    }
    if net.table.oov is not None:
        names["table", "oov", "weights"] = same("oov_embedding")
    base = net.base
    if base.first_order is not None:
        names["base", "first_order", "weights", "weights"] = same("linear.fc.weight")
        names["base", "first_order", "bias"] = same("linear.bias")
    if base.mlp is not None:
        names |= _mlp_names(base.mlp, state)
    if base.cross is not None:
        for layer in range(len(base.cross.weights)):
            names["base", "cross", "weights", layer] = Source((f"cross.w.{layer}.weight",), lambda w: w.reshape(-1))
            names["base", "cross", "biases", layer] = same(f"cross.b.{layer}")
        names |= _linear_names(("base", "combine"), "combine")
    return names


def _mlp_names(mlp, state: StateDict) -> dict[tuple, Source]:
    names, path = {}, ("base", "mlp")
    for i in range(len(mlp.layers)):
        norm = f"mlp.mlp.{4 * i + 1}"
        names |= _linear_names((*path, "layers", i), f"mlp.mlp.{4 * i}")
        names[*path, "norms", i, "scale"] = same(f"{norm}.weight")
        names[*path, "norms", i, "shift"] = same(f"{norm}.bias")
        for ours, theirs in (("mean", "running_mean"), ("var", "running_var")):
            if f"{norm}.{theirs}" in state:
                names[*path, "norms", i, ours] = same(f"{norm}.{theirs}")
    if mlp.output is not None:
        names |= _linear_names((*path, "output"), f"mlp.mlp.{4 * len(mlp.layers)}")
    return names


def _linear_names(path: tuple, name: str) -> dict[tuple, Source]:
    return {(*path, "kernel"): transposed(f"{name}.weight"), (*path, "bias"): same(f"{name}.bias")}
