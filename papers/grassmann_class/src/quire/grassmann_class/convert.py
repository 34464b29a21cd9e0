"""The authors' checkpoints: the head's rows become bases, the encoder keeps its names."""

from collections.abc import Mapping

import numpy as np
from flax import nnx

from quire.common.checkpoints import Source, load
from quire.common.checks import check_at_least
from quire.common.layers.resnet import ResNet, resnet50, torch_names
from quire.grassmann_class.head import GrassmannHead

StateDict = Mapping[str, np.ndarray]
WEIGHT = "head.fc.weight"


def load_head(state: StateDict, k: int, *, gamma: float = 25.0, dtype=np.float32) -> GrassmannHead:
    """A head from `head.fc.weight` `[C k, d]`, whose rows `c k .. (c + 1) k - 1` are the basis of class c.

    Args:
        state: that array alone, by name.
        k: dimension of the subspaces, which the shape does not tell.
        gamma: the largest logit.
        dtype: of the bases.

    Raises:
        ValueError: for missing, unexpected or mis-shaped arrays, rows that k does not divide, or columns that are not orthonormal
            to 1e-3.

    >>> head = load_head({"head.fc.weight": np.eye(6, dtype=np.float32)[:4]}, k=2)
    >>> head.subspaces[...].shape
    (2, 6, 2)
    """
    check_at_least("k", k)
    rows = np.asarray(state[WEIGHT]) if WEIGHT in state else np.zeros((k, k))
    if rows.ndim != 2 or len(rows) == 0 or len(rows) % k:
        raise ValueError(f"{WEIGHT} has shape {rows.shape}; it needs [C k, d], with k = {k} rows for every class")
    bases = rows.reshape(-1, k, rows.shape[1])
    head = nnx.eval_shape(lambda: GrassmannHead(rows.shape[1], len(bases), k, gamma, rngs=nnx.Rngs(0)))
    load(head, state, {("subspaces",): Source((WEIGHT,), lambda w: w.reshape(bases.shape).transpose(0, 2, 1))}, dtype=dtype)
    off = np.abs(bases @ bases.transpose(0, 2, 1) - np.eye(k)).max()
    if not off < 1e-3:
        raise ValueError(f"{WEIGHT} is off the manifold by {off:.2g}; the rows of a class must be orthonormal (is k {k}?)")
    return head


def load_checkpoint(state: StateDict, k: int, *, gamma: float = 25.0) -> tuple[ResNet, GrassmannHead]:
    """A plain ResNet-50 from `backbone.*`, mmpretrain's names, and the head from `head.fc.weight`.

    Counters `num_batches_tracked` are left out. The authors' ResNet-50-D has another stem, and is refused as unexpected.

    Raises:
        ValueError: naming missing, unexpected or mis-shaped arrays.
    """
    prefix = "backbone."
    own = {name: x for name, x in state.items() if not name.endswith("num_batches_tracked")}
    encoder = nnx.eval_shape(lambda: resnet50(rngs=nnx.Rngs(0)))
    load(encoder, {n[len(prefix) :]: x for n, x in own.items() if n.startswith(prefix)}, torch_names(encoder))
    return encoder, load_head({n: x for n, x in own.items() if not n.startswith(prefix)}, k, gamma=gamma)
