"""The authors' checkpoints and those of timm: PyTorch parameters, under their names, into the modules of this package.

A state dictionary is a mapping from names to arrays. That of timm is read from its safetensors file by
`quire.common.checkpoints.read_safetensors`; save the authors' without pickle where PyTorch is installed::

    numpy.savez("nextvit.npz", **{name: x.numpy() for name, x in torch.load("nextvit_small.pth")["model"].items()})
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.checkpoints import Source, load, same, transposed
from quire.next_vit.blocks import NCB, NTB
from quire.next_vit.config import NextViTConfig
from quire.next_vit.model import NextViT

StateDict = Mapping[str, Any]
M = TypeVar("M", bound=nnx.Module)

LINEAR_MAPS = ("q", "k", "v", "proj", "proj_head")
"""Layers that are linear maps in PyTorch; every other one is a convolution there."""


def load_next_vit(config: NextViTConfig, state: StateDict, *, merged: bool = False, dtype: Any = jnp.float32) -> NextViT:
    """A network from the authors' state dictionary.

    Args:
        config: sizes; must be those of the checkpoint.
        state: `stem.{i}`, `features.{i}`, `norm`, `proj_head.0`, for dense tasks `extra_norm_list.{i}`; counters of batches are
            passed over, and so is the last extra norm, which the authors' forward pass leaves out.
        merged: the checkpoint was saved after the authors' `merge_bn`, which folds the norms before linear maps and leaves
            their entries in the file. The network then has none of them.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected and mis-shaped parameters.
    """
    model = nnx.eval_shape(lambda: NextViT(config, nnx.Rngs(0)))
    return load_state(model, state, merged=merged, dtype=dtype)


def load_state(model: M, state: StateDict, *, merged: bool = False, dtype: Any = jnp.float32) -> M:
    """The same for any module of the package, whose names in the dictionary begin at the module; it is changed in place."""
    unused = {f"{name}.num_batches_tracked" for name in _norms(model)}
    if merged:
        unused |= {f"{name}.{entry}" for name in _drop_merged(model) for entry in (*NORM_ENTRIES.values(), "num_batches_tracked")}
    if isinstance(model, NextViT) and model.extra_norms is not None:
        last = f"extra_norm_list.{len(model.extra_norms)}"
        unused |= {f"{last}.{entry}" for entry in (*NORM_ENTRIES.values(), "num_batches_tracked")}
    return load(model, {name: x for name, x in state.items() if name not in unused}, torch_names(model), dtype=dtype)


NORM_ENTRIES = {"scale": "weight", "shift": "bias", "mean": "running_mean", "var": "running_var"}


def torch_names(model: nnx.Module) -> dict[tuple, Source]:
    """For every variable of a module of this package, the PyTorch array that it comes from."""
    return {path: _source(path) for path in dict(nnx.to_flat_state(nnx.state(model)))}


def torch_state(model: nnx.Module) -> dict[str, np.ndarray]:
    """The state dictionary of a module, under the authors' names and in PyTorch's layouts: what `load_state` reads.

    >>> from quire.next_vit.mhca import MHCA
    >>> {name: x.shape for name, x in torch_state(MHCA(64, rngs=nnx.Rngs(0))).items() if "weight" in name}
    {'group_conv3x3.weight': (64, 32, 3, 3), 'norm.weight': (64,), 'projection.weight': (64, 64, 1, 1)}
    """
    found = {}
    for path, variable in nnx.to_flat_state(nnx.state(model)):
        x, layer = np.asarray(variable.get_value()), path[-2] if len(path) > 1 else ""
        if path[-1] == "kernel":
            x = x.T if layer in LINEAR_MAPS else x.reshape(*(1,) * (4 - x.ndim), *x.shape).transpose(3, 2, 0, 1)
        found[_name(path)] = x
    return found


def from_timm(config: NextViTConfig, state: StateDict) -> dict[str, Any]:
    """The authors' names for a state dictionary of timm's `nextvit_*`: stages become one list of blocks.

    Args:
        config: of the network; says how many blocks a stage has.
        state: `stages.{s}.blocks.{j}`, `mlp.fc1`, `mlp.fc2`, `head.fc`; other names stay as they are.

    Raises:
        ValueError: if the dictionary has a stage or a block that the network lacks.
    """
    lengths = [len(pattern) for pattern in config.patterns]
    first = np.cumsum([0, *lengths])

    def flat(match: re.Match) -> str:
        stage, block = int(match[1]), int(match[2])
        if stage >= len(lengths) or block >= lengths[stage]:
            raise ValueError(f"state has {match[0]!r}; the stages of config have {', '.join(map(str, lengths))} blocks")
        return f"features.{first[stage] + block}."

    renames = ((r"^head\.fc\.", "proj_head.0."), (r"\.mlp\.fc([12])\.", r".mlp.conv\1."))
    found = {}
    for name, x in state.items():
        for pattern, new in renames:
            name = re.sub(pattern, new, name)
        found[re.sub(r"^stages\.(\d+)\.blocks\.(\d+)\.", flat, name)] = x
    return found


def _norms(model: nnx.Module) -> list[str]:
    """Names of the batch norms."""
    return [_name(path).removesuffix(".running_mean") for path, _ in nnx.to_flat_state(nnx.state(model)) if path[-1] == "mean"]


def _drop_merged(model: nnx.Module) -> list[str]:
    """Take the norms before linear maps out of a module; returns their names."""
    names = []
    for path, part in list(nnx.iter_modules(model)):
        if isinstance(part, NCB | NTB):
            before = set(_norms(part))
            if isinstance(part, NCB):
                part.norm = None
            else:
                part.norm1 = part.norm2 = part.e_mhsa.norm = None
            prefix = "".join(f"{_part(step)}." for step in path)
            names += [prefix + name for name in sorted(before - set(_norms(part)))]
    return names


def _source(path: tuple) -> Source:
    name, layer = _name(path), path[-2] if len(path) > 1 else ""
    if path[-1] != "kernel":
        return same(name)
    if layer in LINEAR_MAPS:
        return transposed(name)
    return Source((name,), _from_conv, lambda shape: (shape[-1], shape[-2], *(shape[:-2] or (1, 1))))


def _from_conv(weight: np.ndarray) -> np.ndarray:
    """`[out, in, kh, kw]` to `[kh, kw, in, out]`, or to `[in, out]` for one tap."""
    return weight[:, :, 0, 0].T if weight.shape[2:] == (1, 1) else weight.transpose(2, 3, 1, 0)


def _name(path: tuple) -> str:
    """The authors' name of a variable."""
    entry = {"kernel": "weight", **NORM_ENTRIES}.get(path[-1], path[-1])
    return ".".join([*map(_part, path[:-1]), entry])


def _part(step: Any) -> str:
    return {"blocks": "features", "extra_norms": "extra_norm_list", "proj_head": "proj_head.0"}.get(step, str(step))
