"""The authors' heads: PyTorch parameters, under their names, into `MatryoshkaHead`."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from flax import nnx

from quire.common.checkpoints import load, transposed
from quire.common.layers.nested import check_sizes
from quire.matryoshka.head import MatryoshkaHead

StateDict = Mapping[str, np.ndarray]


def load_head(state: StateDict, nesting: Sequence[int] | None = None, *, dtype=np.float32) -> MatryoshkaHead:
    """A head from `nesting_classifier_0.weight`, `nesting_classifier_0.bias`, `nesting_classifier_1.weight`, ...

    Args:
        state: arrays by name: weights `[classes, m]`; biases or none.
        nesting: the sizes of MRL-E, which has one classifier; those of MRL are read from the shapes.
        dtype: of the parameters.

    Returns:
        MRL-E where a nesting list is given for a single classifier, else MRL.

    Raises:
        ValueError: naming missing, unexpected or mis-shaped parameters, or if the nesting list does not fit them.

    >>> load_head({"nesting_classifier_0.weight": np.ones((5, 8))}, nesting=(2, 8)).efficient
    True
    """
    count = sum(bool(re.fullmatch(r"nesting_classifier_\d+\.weight", name)) for name in state)
    names = [f"nesting_classifier_{i}" for i in range(max(count, 1))]
    classes, *sizes = _shapes(state, [f"{name}.weight" for name in names])
    efficient = nesting is not None and len(names) == 1
    nesting = check_sizes(sizes if nesting is None else nesting, sizes[-1])
    if nesting != tuple(sizes) and (not efficient or nesting[-1] != sizes[0]):
        raise ValueError(f"nesting is {nesting}; the classifiers have {tuple(sizes)} inputs")
    return _load(state, names, nesting, classes, efficient, dtype)


def load_fixed_feature_head(state: StateDict, *, dtype=np.float32) -> MatryoshkaHead:
    """FF-m from `weight` `[classes, m]` and `bias`: a head of the one size m, whose logits are `[1, batch, classes]`.

    Raises:
        ValueError: naming missing, unexpected or mis-shaped parameters.

    >>> load_fixed_feature_head({"weight": np.ones((5, 4)), "bias": np.zeros(5)}).nesting
    (4,)
    """
    classes, size = _shapes(state, ["weight"])
    return _load(state, [""], (size,), classes, False, dtype)


def _shapes(state: StateDict, names: Sequence[str]) -> list[int]:
    """Number of classes, and inputs of every classifier."""
    for name in names:
        if name not in state or np.ndim(state[name]) != 2:
            found = "missing" if name not in state else f"of shape {np.shape(state[name])}"
            raise ValueError(f"{name} is {found}; it needs [classes, size]")
    return [len(state[names[0]]), *(state[name].shape[1] for name in names)]


def _load(state, names, nesting, classes, efficient, dtype) -> MatryoshkaHead:
    dotted = [f"{name}." if name else "" for name in names]
    use_bias = any(f"{name}bias" in state for name in dotted)
    head = nnx.eval_shape(lambda: MatryoshkaHead(nesting, classes, efficient=efficient, use_bias=use_bias, rngs=nnx.Rngs(0)))
    sources = {("kernels", i): transposed(f"{name}weight") for i, name in enumerate(dotted)}
    return load(head, state, sources | {("biases", i): f"{name}bias" for i, name in enumerate(dotted) if use_bias}, dtype=dtype)
