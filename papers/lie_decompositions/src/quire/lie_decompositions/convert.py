"""The authors' checkpoints: PyTorch parameters, under their names, into the modules of this package.

A state dictionary is a mapping from names to arrays. Save the authors' without pickle where PyTorch is installed::

    numpy.savez("gresnet.npz", **{name: x.numpy() for name, x in torch.load("gresnet.pt").items()})
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import jax.numpy as jnp
from flax import nnx

from quire.common.checkpoints import Source, load, same, transposed
from quire.lie_decompositions.layers import GroupConv, GroupProject, LiftConv
from quire.lie_decompositions.resnet import GResNet, NetworkConfig

StateDict = Mapping[str, Any]
Layer = TypeVar("Layer", LiftConv, GroupConv, GroupProject)

PER_BLOCK = 4
"""A block, its norm, pooling and activation: steps of the authors' list of blocks."""


def load_layer(layer: Layer, state: StateDict, *, dtype: Any = jnp.float32) -> Layer:
    """Weights of one layer: `inr.kernel_net.net.{k}.linear.*`, `inr.final_linear.*`, `bias`.

    Args:
        layer: changed in place; may be abstract.
        state: names begin at the layer.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected and mis-shaped parameters.
    """
    return load(layer, state, layer_names(layer), dtype=dtype)


def load_gresnet(config: NetworkConfig, state: StateDict, *, dtype: Any = jnp.float32) -> GResNet:
    """A network from the authors' state dictionary.

    Args:
        config: sizes; must be those of the checkpoint.
        state: `stem.0`, `blocks.{i}`, `fc.{i}`.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected and mis-shaped parameters.
    """
    model = nnx.eval_shape(lambda: GResNet(config, rngs=nnx.Rngs(0)))
    return load(model, state, gresnet_names(model), dtype=dtype)


def layer_names(layer: LiftConv | GroupConv | GroupProject, prefix: str = "") -> dict[tuple, Source]:
    """For every parameter of a layer, the PyTorch array that it comes from."""
    last = len(layer.network.weights) - 1
    places = [f"{prefix}inr.kernel_net.net.{k}.linear" for k in range(last)] + [f"{prefix}inr.final_linear"]
    names: dict[tuple, Source] = {("network", "weights", k): transposed(f"{place}.weight") for k, place in enumerate(places)}
    names |= {("network", "biases", k): same(f"{place}.bias") for k, place in enumerate(places)}
    return names if layer.bias is None else names | {("bias",): same(f"{prefix}bias")}


def gresnet_names(model: GResNet) -> dict[tuple, Source]:
    """For every parameter of a network, the PyTorch array that it comes from."""
    parts = {("stem",): (model.stem, "stem.0."), ("last",): (model.last, f"blocks.{PER_BLOCK * len(model.blocks)}.")}
    names: dict[tuple, Source] = {}
    for i, block in enumerate(model.blocks):
        for name in ("conv1", "conv2"):
            parts["blocks", i, name] = (getattr(block, name), f"blocks.{PER_BLOCK * i}.{name}.")
        if block.shortcut is not None:
            names["blocks", i, "shortcut", "kernel"] = transposed(f"blocks.{PER_BLOCK * i}.shortcut.weight")
    for path, (layer, prefix) in parts.items():
        names |= {(*path, *inner): source for inner, source in layer_names(layer, prefix).items()}
    return names | {
        ("classifier", "first", "kernel"): transposed("fc.0.weight"),
        ("classifier", "scale"): same("fc.1.weight"),
        ("classifier", "shift"): same("fc.1.bias"),
        ("classifier", "last", "kernel"): transposed("fc.4.weight"),
        ("classifier", "last", "bias"): same("fc.4.bias"),
    }
