"""Normalisers folded into the linear maps beside them, as for deployment: the same network with fewer operations."""

from typing import TypeVar

from flax import nnx

from quire.common.layers.convolution import Conv
from quire.common.layers.norms import BatchNorm, fold_batchnorm
from quire.next_vit.blocks import MLP, NCB, NTB
from quire.next_vit.e_mhsa import EMHSA
from quire.next_vit.mhca import MHCA
from quire.next_vit.model import NextViT, StemConv
from quire.next_vit.patch_embed import PatchEmbed

Block = StemConv | PatchEmbed | MHCA | NCB | NTB
Network = TypeVar("Network", bound=NextViT | Block)


def fuse_batchnorm(model: Network) -> Network:
    """A copy without the normalisers that can be folded; in evaluation it gives what the model gives.

    With `s = scale / sqrt(var + eps)` and `t = shift - mean s`, a norm behind a convolution makes `W diag(s)` and `t` of its
    kernel and bias, and a norm before a linear map makes `diag(s) W` and `b + t W`. Keys and values of reduced attention have two
    norms before them with a mean between; means commute with both, so the one beside the linear map is folded first. The norm
    before the mean over space goes into the classifier. The extra norms of dense tasks stay: their outputs are asked for.

    Args:
        model: a network or one of its blocks; its running statistics count.

    Returns:
        A new module; the model stays as it is. Training it goes on without normalisers.

    Raises:
        ValueError: if the normalisers are not those of batches, or the model is none of these modules.

    >>> import jax.numpy as jnp
    >>> block = NCB(32, 32, rngs=nnx.Rngs(0))
    >>> fused = fuse_batchnorm(block)
    >>> fused.norm is None, bool(jnp.allclose(fused(jnp.ones((1, 4, 4, 32))), block(jnp.ones((1, 4, 4, 32))), rtol=1e-4))
    (True, True)
    """
    if not isinstance(model, NextViT | Block):
        raise ValueError(f"model is {type(model).__name__}; it must be a NextViT or one of its blocks")
    if any(isinstance(part, nnx.LayerNorm) for _, part in nnx.iter_modules(model)):
        raise ValueError("model has layer normalisation, which depends on its input and cannot be folded; it needs batch norms")
    fused = nnx.clone(model)
    for _, part in list(nnx.iter_modules(fused)):
        _fold_into_parts(part)
    return fused


def _fold_into_parts(part: nnx.Module) -> None:
    """Fold the norms that a module itself holds."""
    match part:
        case StemConv() | PatchEmbed() if isinstance(part.norm, BatchNorm) and part.conv is not None:
            _fold(part.norm, part.conv)
            part.norm = None
        case MHCA() if isinstance(part.norm, BatchNorm):
            _fold(part.norm, part.group_conv3x3)
            part.norm = None
        case NCB() if isinstance(part.norm, BatchNorm):
            _fold_before(part.norm, part.mlp)
            part.norm = None
        case NTB() if isinstance(part.norm1, BatchNorm) and isinstance(part.norm2, BatchNorm):
            _fold_before(part.norm1, part.e_mhsa)
            _fold_before(part.norm2, part.mlp)
            part.norm1 = part.norm2 = None
        case NextViT() if isinstance(part.norm, BatchNorm) and part.extra_norms is None:
            _fold(part.norm, part.proj_head, before=True)
            part.norm = None


def _fold_before(norm: BatchNorm, reader: MLP | EMHSA) -> None:
    """Fold a norm into the linear maps that read its output."""
    if isinstance(reader, MLP):
        _fold(norm, reader.conv1, before=True)
        return
    for layer in (reader.k, reader.v):
        if isinstance(reader.norm, BatchNorm):
            _fold(reader.norm, layer, before=True)
    reader.norm = None
    for layer in (reader.q, reader.k, reader.v):
        _fold(norm, layer, before=True)


def _fold(norm: BatchNorm, layer: nnx.Linear | Conv, *, before: bool = False) -> None:
    bias = None if layer.bias is None else layer.bias[...]
    kernel, bias = fold_batchnorm(layer.kernel[...], bias, norm, before=before)
    layer.kernel, layer.bias = nnx.Param(kernel), nnx.data(nnx.Param(bias))
    if isinstance(layer, nnx.Linear):
        layer.use_bias = True
