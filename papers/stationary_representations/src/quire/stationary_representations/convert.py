"""The authors' checkpoints: PyTorch parameters, under their names, into a `Network`."""

import re
from collections.abc import Mapping

import numpy as np
from flax import nnx

from quire.common.checkpoints import Source, load, transposed
from quire.common.layers.resnet import ResNet, torch_names
from quire.stationary_representations.expanding_head import ExpandingHead
from quire.stationary_representations.network import Network
from quire.stationary_representations.simplex import SimplexHead, simplex

StateDict = Mapping[str, np.ndarray]


def load_checkpoint(state: StateDict, *, dtype: type = np.float32) -> Network:
    """A network from `backbone.*` (a torchvision ResNet), `fc1.weight` and `fc2.weight`.

    Depths and widths are read from the arrays. `fc1.weight` `[d, width]` is absent where the widths agree; rows of
    `fc2.weight` `[K, d]` that are those of the simplex become a `SimplexHead`, others an `ExpandingHead`.

    Args:
        state: arrays by name; counters of batches (`num_batches_tracked`) are passed over.
        dtype: of the loaded values.

    Returns:
        The network, in evaluation mode; its images are those that the authors normalise beforehand, channels last.

    Raises:
        ValueError: naming missing, unexpected or mis-shaped arrays.
    """
    state = {name: np.asarray(x) for name, x in state.items() if not name.endswith("num_batches_tracked")}
    for name, axes in (("backbone.conv1.weight", 4), ("fc2.weight", 2)):
        if name not in state:
            raise ValueError(f"state lacks {name}; it must hold backbone.*, fc2.weight and, unless the widths agree, fc1.weight")
        if state[name].ndim != axes:
            raise ValueError(f"{name} is {state[name].shape}; it must have {axes} axes")
    rows = state["fc2.weight"]
    network = nnx.eval_shape(lambda: _empty(state, rows))
    assert isinstance(network.backbone, ResNet)
    names: dict[tuple, Source | str]
    names = {("backbone", *path): _prefixed(source) for path, source in torch_names(network.backbone).items()}
    if network.projection is not None:
        names["projection", "kernel"] = transposed("fc1.weight")
    names["head", "weights" if isinstance(network.head, SimplexHead) else "kernel"] = "fc2.weight"
    loaded = load(network, state, names, dtype=dtype)
    loaded.eval()
    return loaded


def is_simplex(rows: np.ndarray, tolerance: float = 1e-5) -> bool:
    """Whether the rows of a classifier are those of `simplex`, in its order.

    >>> is_simplex(simplex(5).astype("float32")), is_simplex(simplex(5)[::-1])
    (True, False)
    """
    count, dim = rows.shape
    return count == dim + 1 and count > 1 and bool(np.abs(rows - simplex(count)).max() <= tolerance)


def _empty(state: StateDict, rows: np.ndarray) -> Network:
    """The network that the arrays fit into."""
    rngs, (count, dim) = nnx.Rngs(0), rows.shape
    blocks = [re.fullmatch(r"backbone\.layer(\d+)\.(\d+)\.conv1\.weight", name) for name in state]
    places = {(int(found[1]), int(found[2])) for found in blocks if found}
    depths = [sum(stage == i for stage, _ in places) for i in range(1, 1 + max((stage for stage, _ in places), default=0))]
    width, in_channels = state["backbone.conv1.weight"].shape[:2]
    expansion = 4 if "backbone.layer1.0.conv3.weight" in state else 1
    backbone = ResNet(depths, width=width, expansion=expansion, in_channels=in_channels, rngs=rngs)
    features = width * 2 ** (len(depths) - 1) * expansion
    head = SimplexHead(count) if is_simplex(rows) else ExpandingHead(dim, count, rngs=rngs)
    return Network(backbone, features, dim, head, rngs=rngs)


def _prefixed(source: Source) -> Source:
    return Source(tuple(f"backbone.{name}" for name in source.names), source.convert, source.shape)
