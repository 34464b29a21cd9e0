"""The authors' checkpoints: PyTorch parameters, under their names, into the modules of this package.

A state dictionary is a mapping from names to arrays. Save one without pickle where PyTorch is installed::

    numpy.savez("crate.npz", **{name: p.numpy() for name, p in torch.load("crate.pth")["state_dict"].items()})

and read it with `read_state_dict`. Linear maps are transposed (PyTorch keeps `[out, in]`); `ISTA` keeps the orientation.
The number of heads cannot be read from the square weights, so it is an argument; all other sizes come from the shapes.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import singledispatch
from pathlib import Path
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.checkpoints import load, transposed
from quire.common.layers.crate import ISTA, MSSA, CRATEBlock, CRATEDecoderBlock
from quire.common.layers.transformer import TokenClassifier
from quire.crate.classifier import CRATE, CRATEConfig
from quire.crate.masked_autoencoder import CRATEMAE, CRATEMAEConfig
from quire.crate.stacks import CRATEDecoder, CRATEEncoder

StateDict = Mapping[str, np.ndarray]
Names = dict[tuple, str]
"""From the path of a parameter in our module to its name in theirs."""

M = TypeVar("M", bound=nnx.Module)


def read_state_dict(file: str | Path) -> dict[str, np.ndarray]:
    """A state dictionary from an `.npz` file, read without pickle; a leading `module.` of every name is dropped."""
    with np.load(file, allow_pickle=False) as arrays:
        return {name.removeprefix("module."): arrays[name] for name in arrays.files}


def load_mssa(state: StateDict, num_heads: int, *, softmax: bool = True, dtype=jnp.float32) -> MSSA:
    """Attention from `qkv.weight`, `to_out.0.weight` and `to_out.0.bias`.

    Args:
        state: state dictionary.
        num_heads: number of subspaces.
        softmax: False for the linear attention of the decoder.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected and mis-shaped parameters.
    """
    inner, dim = _shape(state, "qkv.weight", 2)
    head_dim = _head_dim(inner, num_heads)
    return _load(lambda rngs: MSSA(dim, num_heads, head_dim, softmax=softmax, rngs=rngs), state, dtype)


def load_ista(state: StateDict, *, eta: float = 0.1, lam: float = 0.1, dtype=jnp.float32) -> ISTA:
    """Sparsification step from `weight`. Raises as `load_mssa`."""
    dim = _shape(state, "weight", 2)[0]
    return _load(lambda rngs: ISTA(dim, eta=eta, lam=lam, rngs=rngs), state, dtype)


def load_encoder(state: StateDict, num_heads: int, *, eta: float = 0.1, lam: float = 0.1, dtype=jnp.float32) -> CRATEEncoder:
    """Encoder from `layers.i.0.norm.weight`, `layers.i.0.fn.qkv.weight`, ..., `layers.i.1.fn.weight`.

    Args:
        state: state dictionary; the depth is the number of its layers.
        num_heads: subspaces of every layer.
        eta, lam: of ISTA; `lam` is 0.1 in the authors' classifiers and 0.5 in their autoencoders.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected and mis-shaped parameters.
    """
    inner, dim = _shape(state, "layers.0.0.fn.qkv.weight", 2)
    depth, head_dim = _depth(state, "layers."), _head_dim(inner, num_heads)
    return _load(lambda rngs: CRATEEncoder(dim, depth, num_heads, head_dim, eta=eta, lam=lam, rngs=rngs), state, dtype)


def load_decoder(state: StateDict, num_heads: int, *, softmax: bool = True, dtype=jnp.float32) -> CRATEDecoder:
    """Decoder from `layers.i.0.fn.weight`, ..., `layers.i.1.fn.to_out.0.bias`. Arguments and errors as `load_mssa`."""
    inner, dim = _shape(state, "layers.0.1.fn.qkv.weight", 2)
    depth, head_dim = _depth(state, "layers."), _head_dim(inner, num_heads)
    return _load(lambda rngs: CRATEDecoder(dim, depth, num_heads, head_dim, softmax=softmax, rngs=rngs), state, dtype)


def load_classifier(
    state: StateDict,
    num_heads: int,
    *,
    image_size: tuple[int, int] | None = None,
    channels: int = 3,
    pool: str = "cls",
    eta: float = 0.1,
    lam: float = 0.1,
    dtype=jnp.float32,
) -> TokenClassifier:
    """Classifier from a whole checkpoint, its sizes derived from the shapes by `classifier_config`.

    Args:
        state: state dictionary.
        num_heads: subspaces of every layer.
        image_size: `(height, width)`, a square by default.
        channels: image channels; `patch_size = sqrt(patch_dim / channels)`.
        pool: `"cls"` or `"mean"`.
        eta, lam: of ISTA.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected and mis-shaped parameters, or if the shapes fit no square patch or image.
    """
    cfg = replace(classifier_config(state, num_heads, image_size=image_size, channels=channels), pool=pool, eta=eta, lam=lam)
    return _load(lambda rngs: CRATE(cfg, rngs=rngs), state, dtype)


def classifier_config(
    state: StateDict, num_heads: int, *, image_size: tuple[int, int] | None = None, channels: int = 3
) -> CRATEConfig:
    """Sizes of the classifier of a checkpoint. Arguments and errors as `load_classifier`."""
    dim, patch_dim = _shape(state, "to_patch_embedding.2.weight", 2)
    patch = _root("patch pixels", patch_dim / channels)
    if image_size is None:
        side = patch * _root("patches", _shape(state, "pos_embedding", 3)[1] - 1)
        image_size = (side, side)
    inner = _shape(state, "transformer.layers.0.0.fn.qkv.weight", 2)[0]
    classes = _shape(state, "mlp_head.1.weight", 2)[0]
    depth, head_dim = _depth(state, "transformer.layers."), _head_dim(inner, num_heads)
    return CRATEConfig(dim, depth, num_heads, head_dim, tuple(image_size), patch, channels, classes)


def load_masked_autoencoder(
    state: StateDict, num_heads: int, *, mask_ratio: float = 0.75, lam: float = 0.5, dtype=jnp.float32
) -> CRATEMAE:
    """Autoencoder from a whole checkpoint; its fixed positions and unused `decoder_embed` are left out.

    Args:
        state: state dictionary.
        num_heads: subspaces of every layer.
        mask_ratio: fraction of the patches that are removed.
        lam: sparsity weight of the encoder.
        dtype: of the parameters.

    Raises:
        ValueError: naming missing, unexpected and mis-shaped parameters, or if the shapes fit no square image.
    """
    dim, channels, patch, _ = _shape(state, "patch_embed.proj.weight", 4)
    side = patch * _root("patches", _shape(state, "decoder_pos_embed", 3)[1] - 1)
    used = {n: x for n, x in state.items() if n not in ("pos_embed", "decoder_pos_embed") and not n.startswith("decoder_embed.")}
    kernel = used["patch_embed.proj.weight"]
    used["patch_embed.proj.weight"] = np.moveaxis(kernel, 1, 3).reshape(dim, -1)
    depth = _depth(state, "blocks.")
    cfg = CRATEMAEConfig(dim, depth, num_heads, (side, side), patch, channels, mask_ratio, lam=lam)
    return _load(lambda rngs: CRATEMAE(cfg, rngs=rngs), used, dtype)


# --- Names ---


@singledispatch
def torch_names(module: nnx.Module) -> Names:
    """Paths of the parameters of `module` with the authors' names for them.

    Raises:
        TypeError: for a module that the authors' code does not have.
    """
    raise TypeError(f"module is a {type(module).__name__}; names are known for CRATE modules only")


@torch_names.register
def _(module: nnx.Linear) -> Names:
    return {("kernel",): "weight"} | ({("bias",): "bias"} if module.use_bias else {})


@torch_names.register
def _(module: nnx.LayerNorm) -> Names:
    return {("scale",): "weight", ("bias",): "bias"}


@torch_names.register
def _(module: MSSA) -> Names:
    return _children(module, {"qkv": "qkv"} | ({"out": "to_out.0"} if module.out is not None else {}))


@torch_names.register
def _(module: ISTA) -> Names:
    return {("weight",): "weight"}


@torch_names.register
def _(module: CRATEBlock) -> Names:
    return _children(module, {"attention_norm": "0.norm", "attention": "0.fn", "ista_norm": "1.norm", "ista": "1.fn"})


@torch_names.register
def _(module: CRATEDecoderBlock) -> Names:
    children = {"dictionary_norm": "0.norm", "attention_norm": "1.norm", "attention": "1.fn"}
    return _children(module, children) | {("weight",): "0.fn.weight"}


@torch_names.register(CRATEEncoder)
@torch_names.register(CRATEDecoder)
def _(module) -> Names:
    return _blocks(module, "layers.{}")


@torch_names.register
def _(module: TokenClassifier) -> Names:
    children = {"patch_norm": "to_patch_embedding.1", "linear": "to_patch_embedding.2", "token_norm": "to_patch_embedding.3"}
    embed = {("embed", *path): name for path, name in _children(module.embed, children).items()}
    tokens = {("tokens", "cls"): "cls_token", ("tokens", "positions"): "pos_embedding"}
    head = _children(module, {"head_norm": "mlp_head.0", "head": "mlp_head.1"})
    return embed | tokens | _blocks(module, "transformer.layers.{}") | head


@torch_names.register
def _(module: CRATEMAE) -> Names:
    children = {"embed": "patch_embed.proj", "encoder_norm": "norm", "decoder_norm": "decoder_norm", "to_pixels": "decoder_pred"}
    stacks = {("encoder", *p): n for p, n in _blocks(module.encoder, "blocks.{}.layers.0").items()}
    stacks |= {("decoder", *p): n for p, n in _blocks(module.decoder, "decoder_blocks.{}.layers.0").items()}
    return _children(module, children) | stacks | {("cls",): "cls_token", ("mask_token",): "mask_token"}


def _children(module: nnx.Module, prefixes: Mapping[str, str]) -> Names:
    return {
        (child, *path): f"{prefix}.{name}"
        for child, prefix in prefixes.items()
        for path, name in torch_names(getattr(module, child)).items()
    }


def _blocks(module: CRATEEncoder | CRATEDecoder | TokenClassifier, prefix: str) -> Names:
    return {
        ("blocks", i, *path): f"{prefix.format(i)}.{name}"
        for i, block in enumerate(module.blocks)
        for path, name in torch_names(block).items()
    }


# --- Loading ---


def _load(build: Callable[[nnx.Rngs], M], state: StateDict, dtype) -> M:
    model = nnx.eval_shape(lambda: build(nnx.Rngs(0)))
    names = {path: transposed(name) if path[-1] == "kernel" else name for path, name in torch_names(model).items()}
    return load(model, state, names, dtype=dtype)


def _shape(state: StateDict, name: str, ndim: int) -> tuple[int, ...]:
    if name not in state:
        raise ValueError(f"state dictionary does not fit the model; missing: {name}")
    shape = tuple(np.shape(state[name]))
    if len(shape) != ndim:
        raise ValueError(f"state dictionary does not fit the model; {name} has shape {shape}, it needs {ndim} axes")
    return shape


def _depth(state: StateDict, prefix: str) -> int:
    layers = {int(m[1]) for name in state if (m := re.match(re.escape(prefix) + r"(\d+)\.", name))}
    return max(layers, default=-1) + 1


def _head_dim(inner: int, num_heads: int) -> int:
    if num_heads < 1 or inner % num_heads:
        raise ValueError(f"num_heads is {num_heads}; it must divide the {inner} rows of qkv.weight")
    return inner // num_heads


def _root(what: str, square: int | float) -> int:
    root = round(square**0.5) if square > 0 else 0
    if root < 1 or root**2 != square:
        raise ValueError(f"{what} number {square:g}; that is no square, so give image_size or channels")
    return root
