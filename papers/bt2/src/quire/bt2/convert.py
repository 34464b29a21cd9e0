"""The authors' checkpoints: PyTorch parameters, under their names, into the models of this package.

A state dictionary is a mapping from names to arrays; `quire.common.checkpoints.read_safetensors` reads one from a file. Save the
authors' so where PyTorch is installed, with `safetensors.torch.save_file(state, "bt2.safetensors")`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from flax import nnx

from quire.bt2.config import RESNET50, Backbone, Preset
from quire.bt2.head import BT2Head
from quire.bt2.models import BT2Model, Classifier
from quire.bt2.orthogonal_linear import Parametrisation
from quire.common.checkpoints import Source, load
from quire.common.layers.resnet import ResNet, torch_names

StateDict = Mapping[str, Any]

BASES = {"first": "ortholinear_p", "second": "ortholinear_old2"}


def load_head(
    state: StateDict,
    *,
    extra: int = 32,
    scale: float = 3.0,
    normalize: bool = True,
    method: Parametrisation = "expm",
    dtype: Any = np.float32,
) -> BT2Head:
    """A head from `fc3`, `fc_out`, `ortholinear_p` and `ortholinear_old2`; the sizes are read from the shapes.

    The parametrisation of the orthonormal matrices is evaluated once: `base expm(A - A^T)`, A the lower triangle of `original`.

    Args:
        state: those arrays, and nothing else.
        extra: a, the authors' `to_add_dim`; their fc3 has more rows, which reach no output.
        scale, normalize: C and `norm_feature`, which are not in the file.
        method: of the bases, should training go on from there.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected or mis-shaped parameters.
    """
    d_new, d_old, classes = _sizes(state)

    def empty():
        return BT2Head(d_new, d_old, classes, extra=extra, scale=scale, normalize=normalize, method=method, rngs=nnx.Rngs(0))

    head = nnx.eval_shape(empty)
    return load(head, state, head_names(head), dtype=dtype)


def load_bt2(
    state: StateDict,
    backbone: Backbone = RESNET50,
    *,
    extra: int = 32,
    scale: float = 3.0,
    dtype: Any = np.float32,
) -> BT2Model:
    """The authors' `ResNet50_ortho`: a residual network `resnet.*` and the head.

    Args:
        state: the whole dictionary; counters of batches are passed over.
        backbone: sizes of the residual network, those of ResNet-50 by default.
        extra, scale: as for `load_head`.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected or mis-shaped parameters.
    """
    d_new, d_old, classes = _sizes(state)
    preset = Preset(old_dim=d_old, new_dim=d_new, extra=extra, scale=scale)
    model = nnx.eval_shape(lambda: BT2Model(preset, backbone, classes, rngs=nnx.Rngs(0)))
    unused = {"resnet.fc.weight"}  # of a classifier that the authors' network carries along
    names = _backbone_names(model.backbone, "resnet.") | {("head", *path): x for path, x in head_names(model.head).items()}
    return load(model, _without_counters(state, unused), names, dtype=dtype)


def load_classifier(state: StateDict, backbone: Backbone = RESNET50, *, dtype: Any = np.float32) -> Classifier:
    """The authors' old, new or BCT model: a residual network and `fc.weight`.

    Raises:
        ValueError: naming missing, unexpected or mis-shaped parameters.
    """
    classes, dim = _shape(state, "fc.weight", 2)[:2]
    model = nnx.eval_shape(lambda: Classifier(backbone, dim, classes, rngs=nnx.Rngs(0)))
    names = _backbone_names(model.backbone, "") | {("classifier", "kernel"): _linear("fc.weight")}
    return load(model, _without_counters(state, set()), names, dtype=dtype)


def head_names(head: BT2Head) -> dict[tuple, Source]:
    """Sources of every variable of a head in the authors' state dictionary."""
    d_old, width = head.d_old, head.d_new + head.d_old
    names = {
        ("projection", "kernel"): Source(("fc3.weight",), lambda w: _rows(w, (d_old, width), head.extra).T),
        ("projection", "bias"): Source(("fc3.bias",), lambda b: _rows(b, (d_old,), head.extra)),
        ("classifier", "kernel"): _linear("fc_out.weight"),
    }
    for ours, theirs in BASES.items():
        size = head.d_new if ours == "first" else head.d_old
        parts = f"{theirs}.parametrizations.weight.original", f"{theirs}.parametrizations.weight.0.base"
        names[ours, "base"] = Source(parts, _evaluated)
        names[ours, "free"] = Source((), lambda size=size: np.zeros((size, size)))
    return names


def _linear(name: str) -> Source:
    """A linear map, or a convolution of 1 x 1, as a kernel."""
    return Source((name,), lambda w: _rows(w, w.shape[:2], len(w)).T)


def _rows(array: np.ndarray, shape: tuple[int, ...], count: int) -> np.ndarray:
    """The first rows of an array of that shape, or of that shape and axes of length 1 behind."""
    return array.reshape(shape)[:count] if array.shape[: len(shape)] == shape else array


def _evaluated(original: np.ndarray, base: np.ndarray) -> np.ndarray:
    from scipy.linalg import expm

    low = np.tril(np.asarray(original, np.float64), -1)
    return np.asarray(base, np.float64) @ expm(low - low.T)


def _backbone_names(backbone: nnx.Module, prefix: str) -> dict[tuple, Source]:
    if not isinstance(backbone, ResNet):
        raise ValueError("backbone is a patch network; the authors' are residual networks")

    def renamed(source: Source) -> Source:
        return Source(tuple(prefix + name for name in source.names), source.convert, source.shape)

    return {("backbone", *path): renamed(source) for path, source in torch_names(backbone).items()}


def _without_counters(state: StateDict, unused: set[str]) -> StateDict:
    return {name: x for name, x in state.items() if name not in unused and not name.endswith(".num_batches_tracked")}


def _sizes(state: StateDict) -> tuple[int, int, int]:
    """d, d_o and the number of classes."""
    d_new, d_old = (_shape(state, f"{name}.parametrizations.weight.0.base", 2)[0] for name in BASES.values())
    return d_new, d_old, _shape(state, "fc_out.weight", 2)[0]


def _shape(state: StateDict, name: str, ndim: int) -> tuple[int, ...]:
    if name not in state or np.ndim(state[name]) < ndim:
        found = "missing" if name not in state else f"of shape {np.shape(state[name])}"
        raise ValueError(f"{name} is {found}; it needs {ndim} axes at least")
    return np.shape(state[name])
