"""Checkpoints of the authors' code: sizes read from the arrays, weights loaded under their names."""

import re
from collections.abc import Mapping
from itertools import product
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.checkpoints import Names, Source, load, stacked, transposed
from quire.pldr_llm.config import PLDRConfig
from quire.pldr_llm.model import PLDRModel

_LAYER = "decoder.dec_layers.{}."
_UNIT = "mha1.reslayerAs.{}."
_LINEARS = {"query": "wq", "key": "wk", "value": "wv", "out": "dense"}
_GLU = {"gate": "gluw1", "up": "gluw2", "down": "gluw3"}
_POWER_LAW = {"W": "Wlst", "b": "blst", "pw": "pwlst", "a": "alst", "ba": "balst"}


def config_of(state: Mapping[str, Any]) -> PLDRConfig:
    """Sizes of a checkpoint, read from the names and shapes of its arrays.

    Raises:
        ValueError: if an array that tells a size is missing, or a tensor of the power laws does not hold `d x d` matrices.
    """
    try:
        vocab_size = state["final_layer.weight"].shape[0]
        heads, d, other = state["decoder.dec_layers.0.mha1.plgatt_layer.Wlst"].shape
        ffn_dim = state["decoder.dec_layers.0.ffn.gluw1.weight"].shape[0]
        metric_dim = state["decoder.dec_layers.0.mha1.reslayerAs.0.denseAs.0.gluw1.weight"].shape[0]
    except KeyError as error:
        raise ValueError(f"state lacks {error.args[0]}; it is no checkpoint of a PLDR-LLM") from error
    if d != other:
        raise ValueError(f"Wlst has matrices {d} x {other}; they must be square")
    return PLDRConfig(
        vocab_size=vocab_size,
        depth=_count(state, r"decoder\.dec_layers\.(\d+)\."),
        num_heads=heads,
        head_dim=d,
        ffn_dim=ffn_dim,
        metric_dim=metric_dim,
        residual_units=_count(state, r"decoder\.dec_layers\.0\.mha1\.reslayerAs\.(\d+)\."),
        glus=_count(state, r"decoder\.dec_layers\.0\.mha1\.reslayerAs\.0\.denseAs\.(\d+)\."),
    )


def load_pldr(state: Mapping[str, Any], dtype: Any = jnp.float32) -> PLDRModel:
    """A model with the weights of a checkpoint, as the authors name them (`decoder.dec_layers.0.mha1.wq.weight`, ...).

    Args:
        state: arrays by name; linear maps are `[out, in]`.
        dtype: of the weights.

    Raises:
        ValueError: listing what is missing, unexpected or mis-shaped.
    """
    cfg = config_of(state)
    model = nnx.eval_shape(lambda: PLDRModel(cfg, rngs=nnx.Rngs(0)))
    return load(model, state, checkpoint_names(cfg), dtype=dtype)


def checkpoint_names(cfg: PLDRConfig) -> Names:
    """From the paths of a model's parameters to the authors' names."""
    names: dict = {
        ("embedding",): "decoder.embedding.weight",
        ("norm", "scale"): "decoder.layernorm1.weight",
        ("norm", "bias"): "decoder.layernorm1.bias",
        ("head", "kernel"): transposed("final_layer.weight"),
        ("head", "bias"): "final_layer.bias",
    }
    prefixes = [_LAYER.format(i) for i in range(cfg.depth)]
    for path, name in _layer_names().items():
        names["layers", *path] = stacked([prefix + name for prefix in prefixes], _kernels(path))
    for path, (name, counts) in _unit_names(cfg).items():
        names["layers", "attention", "metric_learner", "units", *path] = _nested(name, (cfg.depth, *counts), _kernels(path))
    return {("decoder", *path): source for path, source in names.items()}


def _layer_names() -> dict[tuple, str]:
    names = _map(("attention",), _LINEARS, "mha1.") | _map(("ffn",), _GLU, "ffn.")
    norms: dict[tuple, str] = {("attention_norm",): "layernorm1", ("ffn_norm",): "layernorm2"}
    norms |= {("attention", "metric_learner", "norm"): "mha1.layernorm1"}
    for path, name in norms.items():
        names |= {(*path, "scale"): f"{name}.weight", (*path, "bias"): f"{name}.bias"}
    return names | {("attention", "power_law", ours): f"mha1.plgatt_layer.{name}" for ours, name in _POWER_LAW.items()}


def _unit_names(cfg: PLDRConfig) -> dict[tuple, tuple[str, tuple[int, ...]]]:
    """Names with a place for each number, and how far the numbers behind that of the layer run."""
    units, both = (cfg.residual_units,), (cfg.residual_units, cfg.glus)
    norm = {("norm", "scale"): "layernormA.weight", ("norm", "bias"): "layernormA.bias"}
    names = {path: (_LAYER + _UNIT + name, units) for path, name in norm.items()}
    glus = _map(("glus",), _GLU, "denseAs.{}.")
    return names | {path: (_LAYER + _UNIT + name, both) for path, name in glus.items()}


def _map(path: tuple, linears: Mapping[str, str], prefix: str) -> dict[tuple, str]:
    kinds = {"kernel": "weight", "bias": "bias"}
    return {(*path, ours, o): f"{prefix}{name}.{n}" for ours, name in linears.items() for o, n in kinds.items()}


def _kernels(path: tuple) -> Any:
    return (lambda x: x.T) if path[-1] == "kernel" else (lambda x: x)


def _nested(name: str, counts: tuple[int, ...], convert: Any) -> Source:
    """Arrays of stacks within stacks, `[layers, units, ...]`."""

    def join(*arrays):
        each = np.stack([convert(np.asarray(x)) for x in arrays])
        return each.reshape(*counts, *each.shape[1:])

    return Source(tuple(name.format(*numbers) for numbers in product(*map(range, counts))), join)


def _count(state: Mapping[str, Any], pattern: str) -> int:
    return 1 + max((int(found[1]) for name in state if (found := re.match(pattern, name))), default=-1)
