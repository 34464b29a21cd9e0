"""The authors' PPGN checkpoints: their parameter names, into `PPGN`.

The authors' names are `reg_blocks.i.{mlp1,mlp2}.convs.{0,1}`, `reg_blocks.i.skip.conv` and `fc_layers.{0,1}.fc`; convolution
weights are `[out, in, 1, 1]`.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.checkpoints import Source, load
from quire.common.graphs.ppgn import PPGN


def load_ppgn(state: Mapping[str, np.ndarray], *, dtype=jnp.float32) -> PPGN:
    """A network with the weights of a state dictionary; sizes, depth and whether it is PPGN++ come from the shapes.

    Args:
        state: names to arrays.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected and mis-shaped parameters.
    """
    depth = len({name.split(".")[1] for name in state if name.startswith("reg_blocks.")})
    needed = [
        "reg_blocks.0.mlp1.convs.0.weight",
        "reg_blocks.0.mlp2.convs.0.weight",
        "fc_layers.0.fc.weight",
        "fc_layers.1.fc.weight",
    ]
    if missing := [name for name in needed if name not in state]:
        raise ValueError(f"state dictionary does not fit the model; missing: {', '.join(missing)}")
    left, right, head, out = (state[name].shape for name in needed)
    if any(len(shape) < 2 for shape in (left, right, head, out)):
        raise ValueError(f"weights have shapes {left}, {right}, {head}, {out}; each needs [out, in], or [out, in, 1, 1]")
    plus = left[1] == 2 * right[1]
    sizes = right[1] - plus, right[0], depth, out[0], head[0]
    model = nnx.eval_shape(lambda: PPGN(*sizes, plus=plus, rngs=nnx.Rngs(0)))
    names = {}
    for name, path in _layers(depth).items():
        names |= {(*path, "kernel"): Source((f"{name}.weight",), _matrix), (*path, "bias"): f"{name}.bias"}
    return load(model, state, names, dtype=dtype)


def _matrix(weight: np.ndarray) -> np.ndarray:
    """`[in, out]` of a linear map, or of a convolution with kernels of one point."""
    return weight.reshape(weight.shape[:2]).T


def _layers(depth: int) -> dict[str, tuple]:
    """Paths of the linear maps of the network by the authors' names."""
    paths: dict[str, tuple] = {"fc_layers.0.fc": ("hidden",), "fc_layers.1.fc": ("out",)}
    for i in range(depth):
        paths[f"reg_blocks.{i}.skip.conv"] = ("blocks", i, "skip")
        for mlp in ("mlp1", "mlp2"):
            paths |= {f"reg_blocks.{i}.{mlp}.convs.{j}": ("blocks", i, mlp, "convs", j) for j in (0, 1)}
    return paths
