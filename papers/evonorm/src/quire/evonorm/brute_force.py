"""The definitions in NumPy, one operation at a time: what the package is compared with, and what a search looks at first."""

import numpy as np

from quire.evonorm.graph import INITIAL, Graph

_POINTWISE = {
    "add": np.add,
    "mul": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "neg": lambda x, _: -x,
    "sigmoid": lambda x, _: 1 / (1 + np.exp(-x)),
    "tanh": lambda x, _: np.tanh(x),
    "exp": lambda x, _: np.exp(x),
    "log": lambda x, _: np.sign(x) * np.log(np.abs(x)),
    "abs": lambda x, _: np.abs(x),
    "square": lambda x, _: x * x,
    "sqrt": lambda x, _: np.sign(x) * np.sqrt(np.abs(x)),
}


def over(x: np.ndarray, scope: str, statistic, groups: int) -> np.ndarray:
    """`statistic` of x `[batch, *space, channels]` over a scope, at every place."""
    batch, channels = x.shape[0], x.shape[-1]
    y = np.empty_like(x)
    size = {"bwh": 1, "wh": 1, "whc": channels, "whg": channels // groups}[scope]
    for start in range(0, channels, size):
        part = slice(start, start + size)
        for samples in [slice(None)] if scope == "bwh" else [slice(b, b + 1) for b in range(batch)]:
            y[samples, ..., part] = statistic(x[samples, ..., part])
    return y


def evaluate(graph: Graph, x: np.ndarray, v0: np.ndarray, v1: np.ndarray, *, groups: int, eps: float = 1e-5) -> np.ndarray:
    """The output of a graph in the dtype of x. What is not defined becomes NaN or infinite, without a warning."""
    statistics = {
        "mean": np.mean,
        "rms": lambda part: np.sqrt(np.mean(part**2) + eps),
        "std": lambda part: np.sqrt(np.var(part) + eps),
    }
    nodes = [x, np.zeros_like(x), np.broadcast_to(v0, x.shape), np.broadcast_to(v1, x.shape)]
    with np.errstate(all="ignore"):
        for place in range(len(graph)):
            node = place + len(INITIAL)
            if node not in graph.live:
                nodes.append(x)
                continue
            name, inputs = graph.row(node)
            if name in _POINTWISE:
                nodes.append(_POINTWISE[name](nodes[inputs[0]], nodes[inputs[-1]]))
            else:
                moment, scope = name.split("_")
                nodes.append(over(nodes[inputs[0]], scope, statistics[moment], groups))
    return nodes[-1]


def layer(kind: str, x: np.ndarray, scale, shift, v, *, groups: int, eps: float, variance=None) -> np.ndarray:
    """An EvoNorm, written as in the paper; `variance` in place of the batch's in evaluation."""
    std = lambda scope: np.sqrt(over(x, scope, np.var, groups) + eps)  # noqa: E731
    rms = lambda scope: np.sqrt(over(x, scope, lambda part: np.mean(part**2), groups) + eps)  # noqa: E731
    if kind[0] == "B":
        batch = std("bwh") if variance is None else np.sqrt(np.broadcast_to(variance, x.shape) + eps)
        instance = {"B0": lambda: v * x + std("wh"), "B1": lambda: (x + 1) * rms("wh"), "B2": lambda: rms("wh") - x}[kind]()
        y = x / np.maximum(batch, instance)
    else:
        gate = 1 / (1 + np.exp(-(v * x if kind == "S0" else x)))
        y = x * gate / (rms("whg") if kind == "S2" else std("whg"))
    return y * scale + shift
