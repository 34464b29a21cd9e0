"""The authors' PPGN checkpoints: their parameter names, into `PPGN`.

The authors' names are `reg_blocks.i.{mlp1,mlp2}.convs.{0,1}`, `reg_blocks.i.skip.conv` and `fc_layers.{0,1}.fc`; convolution
weights are `[out, in, 1, 1]`.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from flax import nnx

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
    plus = left[1] == 2 * right[1]
    model = PPGN(right[1] - plus, right[0], depth, out[0], head[0], plus=plus, rngs=nnx.Rngs(0))
    layers = _layers(model)
    expected = {f"{name}.{part}" for name in layers for part in ("weight", "bias")}
    if missing := sorted(expected - set(state)):
        raise ValueError(f"state dictionary does not fit the model; missing: {', '.join(missing)}")
    if unexpected := sorted(set(state) - expected):
        raise ValueError(f"state dictionary does not fit the model; unexpected: {', '.join(unexpected)}")
    for name, layer in layers.items():
        weight, bias = np.asarray(state[f"{name}.weight"]), np.asarray(state[f"{name}.bias"])
        shape = layer.kernel[...].shape[::-1]
        if weight.shape not in (shape, (*shape, 1, 1)) or bias.shape != shape[:1]:
            raise ValueError(f"state dictionary does not fit the model; mis-shaped: {name} is {weight.shape}, not {shape}")
        layer.kernel.set_value(jnp.asarray(weight.reshape(shape).T, dtype))
        layer.bias.set_value(jnp.asarray(bias, dtype))
    return model


def _layers(model: PPGN) -> dict[str, nnx.Linear]:
    """The linear maps of the network by the authors' names."""
    named = {"fc_layers.0.fc": model.hidden, "fc_layers.1.fc": model.out}
    for i, block in enumerate(model.blocks):
        named[f"reg_blocks.{i}.skip.conv"] = block.skip
        for mlp in ("mlp1", "mlp2"):
            for j, conv in enumerate(getattr(block, mlp).convs):
                named[f"reg_blocks.{i}.{mlp}.convs.{j}"] = conv
    return named
