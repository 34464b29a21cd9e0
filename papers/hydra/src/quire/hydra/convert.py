"""The authors' checkpoints: PyTorch parameters, under their names, into the modules of this package.

A state dictionary is a mapping from names to arrays; save it without pickle where PyTorch is installed::

    numpy.savez("simlap.npz", **{name: x.numpy() for name, x in torch.load("checkpoint.pth")["model"].items()})
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx

from quire.common.checkpoints import Names, Source, load, same, transposed
from quire.common.layers.resnet import ResNet
from quire.common.layers.resnet import torch_names as resnet_names
from quire.hydra.config import Network, Objective
from quire.hydra.gates import PairGate
from quire.hydra.model import HydraModel, build_model

StateDict = Mapping[str, Any]

LABELS = "label_embedding.weight"
NORM_ENTRIES = {"scale": "weight", "shift": "bias", "mean": "running_mean", "var": "running_var"}


def load_gate(state: StateDict, *, dtype: Any = None, **form: Any) -> PairGate:
    """A gate from `label_embedding.weight` and `mlp.{1,2,4,5}.*`; its sizes are those of the arrays.

    Args:
        state: arrays by name; counters of batches are passed over.
        dtype: of the parameters; float32 if left out.
        form: `mode` and `relaxation` of `PairGate`.

    Raises:
        ValueError: naming missing, unexpected and mis-shaped arrays.
    """
    state = _without_counters(state)
    classes, width = _shape(state, LABELS)
    hidden, dim = _shape(state, "mlp.2.weight")[0], _shape(state, "mlp.5.weight")[0]
    gate = nnx.eval_shape(lambda: PairGate(classes, dim, embed_dim=width, hidden=hidden, **form, rngs=nnx.Rngs(0)))
    return load(gate, state, gate_names(), dtype=dtype)


def load_model(network: Network, state: StateDict, objective: Objective | None = None, *, dtype: Any = None) -> HydraModel:
    """A model from `backbone.*`, `projector.*`, `filter.*` and, with a learned scale, `scale_logit` and `alpha`.

    Args:
        network: sizes; those of the checkpoint, with a ResNet under the names of torchvision and timm.
        state: arrays by name; counters of batches are passed over, and so is the scale where the objective has a temperature. The
            authors keep no classifier: without `classifier.*` it is zero.
        objective: form of gate and loss.
        dtype: of the parameters; float32 if left out.

    Raises:
        ValueError: for a patch network, and naming missing, unexpected and mis-shaped arrays.
    """
    if network.backbone == "patch":
        raise ValueError(f"backbone is {network.backbone!r}; checkpoints of the authors hold ResNets")
    objective = Objective() if objective is None else objective
    state = _without_counters(state)
    classes = _shape(state, f"filter.{LABELS}")[0]
    model = nnx.eval_shape(lambda: build_model(network, objective, classes, rngs=nnx.Rngs(0)))
    if model.scale_logit is None:
        state.pop("scale_logit", None)
    features = model.classifier.kernel.shape[0]
    empty = {"classifier.weight": np.zeros((classes, features), np.float32), "classifier.bias": np.zeros(classes, np.float32)}
    return load(model, empty | state, torch_names(model), dtype=dtype)


def gate_names(path: tuple = (), prefix: str = "") -> dict[tuple, Source]:
    """Names of a gate's parameters and running statistics."""
    parts: dict[tuple, Source] = {(*path, "label_embedding"): same(f"{prefix}{LABELS}")}
    for name, layer in (("input_norm", 1), ("hidden_norm", 4)):
        parts |= _norm((*path, name), f"{prefix}mlp.{layer}")
    for name, layer in (("expand", 2), ("reduce", 5)):
        parts |= _linear((*path, name), f"{prefix}mlp.{layer}")
    return parts


def projector_names(path: tuple = (), prefix: str = "") -> dict[tuple, Source]:
    """Names of a projector's parameters and running statistics."""
    return (
        _linear((*path, "expand"), f"{prefix}0")
        | _norm((*path, "norm"), f"{prefix}1")
        | _linear((*path, "reduce"), f"{prefix}3", use_bias=False)
        | {(*path, "last_norm", ours): same(f"{prefix}4.{name}") for ours, name in (("scale", "weight"), ("bias", "bias"))}
    )


def torch_names(model: HydraModel) -> Names:
    """Names of everything in a model with a ResNet."""
    names: dict[tuple, Source] = {}
    if isinstance(model.backbone, ResNet):
        names |= {
            ("backbone", *path): Source(tuple(f"backbone.{name}" for name in source.names), source.convert, source.shape)
            for path, source in resnet_names(model.backbone).items()
        }
    learned: dict[tuple, Source] = {(name,): same(name) for name in ("scale_logit", "alpha") if getattr(model, name) is not None}
    return (
        names
        | projector_names(("projector",), "projector.")
        | gate_names(("gate",), "filter.")
        | _linear(("classifier",), "classifier")
        | learned
    )


def _linear(path: tuple, name: str, *, use_bias: bool = True) -> dict[tuple, Source]:
    kernel = {(*path, "kernel"): transposed(f"{name}.weight")}
    return kernel | {(*path, "bias"): same(f"{name}.bias")} if use_bias else kernel


def _norm(path: tuple, name: str) -> dict[tuple, Source]:
    return {(*path, ours): same(f"{name}.{theirs}") for ours, theirs in NORM_ENTRIES.items()}


def _without_counters(state: StateDict) -> dict[str, Any]:
    return {name: x for name, x in state.items() if not name.endswith("num_batches_tracked")}


def _shape(state: StateDict, name: str) -> tuple[int, int]:
    shape = np.shape(state[name]) if name in state else None
    if shape is None or len(shape) != 2:
        raise ValueError(f"state has {name} of shape {shape}; a matrix is needed, which says how large the model is")
    return shape
