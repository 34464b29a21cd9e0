"""The authors' weights: from the names and layouts of their state dictionaries to these modules.

Works with checkpoints of thuml/Time-Series-Library (read at 4e938a1), whose convolutions are `[out, in, height, width]` and whose
linear maps are `[out, in]`.
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.layers.timesnet import Inception
from quire.timesnet.models import Classifier, Forecaster, Imputer, Reconstructor, TimesNet, TimesNetConfig

Head = TypeVar("Head", Forecaster, Imputer, Reconstructor, Classifier)
Arrays = Mapping[str, np.ndarray]


def load_timesnet(kind: type[Head], arrays: Arrays, *, top_k: int, dtype: jnp.dtype | type = jnp.float32) -> Head:
    """A model with the authors' weights. All sizes are read from the arrays, except k, which weights do not tell.

    Args:
        kind: `Forecaster`, `Imputer`, `Reconstructor` or `Classifier`.
        arrays: state dictionary as NumPy arrays; `*.pe`, a table that follows from the sizes, is ignored.
        top_k: k.
        dtype: of the weights.

    Returns:
        The model, without dropout.

    Raises:
        ValueError: if an array is missing or does not have the shape that the others ask for.
    """
    model = kind(config_of(kind, arrays, top_k=top_k), rngs=nnx.Rngs(0))
    _set_backbone(model.backbone, arrays, dtype)
    _set_linear(model.project, arrays, "projection", dtype)
    if kind is Forecaster:
        _set_linear(model.extend, arrays, "predict_linear", dtype)
    return model


def config_of(kind: type, arrays: Arrays, *, top_k: int) -> TimesNetConfig:
    """Sizes of the model that a state dictionary belongs to.

    Raises:
        ValueError: if it lacks what they are read from.
    """
    dim, channels, _ = _find(arrays, "enc_embedding.value_embedding.tokenConv.weight").shape
    kernels = _inception_names(arrays, "model.0.conv.0")
    sizes = [arrays[f"{name}.weight"].shape[2:] for name in kernels]
    factorised = any(rows != cols for rows, cols in sizes)
    classes, features = _find(arrays, "projection.weight").shape
    seq_len, pred_len = 2 * top_k, 0  # of no consequence where no weight depends on the length
    if kind is Forecaster:
        total, seq_len = _find(arrays, "predict_linear.weight").shape
        pred_len = total - seq_len
    elif kind is Classifier:
        seq_len = features // dim
    mark = arrays.get("enc_embedding.temporal_embedding.embed.weight")
    return TimesNetConfig(
        seq_len=seq_len,
        channels=channels,
        pred_len=pred_len,
        dim=dim,
        hidden_dim=arrays[f"{kernels[0]}.weight"].shape[0],
        num_layers=len({match[1] for name in arrays if (match := re.match(r"model\.(\d+)\.", name))}),
        top_k=top_k,
        num_kernels=len(kernels) - 1 if factorised else len(kernels),
        form="factorised" if factorised else "square",
        mark_dim=0 if mark is None else mark.shape[1],
        num_classes=classes if kind is Classifier else 0,
        dropout=0.0,
    )


def _set_backbone(backbone: TimesNet, arrays: Arrays, dtype) -> None:
    value = _find(arrays, "enc_embedding.value_embedding.tokenConv.weight")
    _put(backbone.embedding.value, value.transpose(2, 1, 0), "enc_embedding.value_embedding.tokenConv.weight", dtype)
    if backbone.embedding.mark is not None:
        _set_linear(backbone.embedding.mark, arrays, "enc_embedding.temporal_embedding.embed", dtype)
    for layer, block in enumerate(backbone.blocks):
        set_inception(block.up, arrays, f"model.{layer}.conv.0", dtype)
        set_inception(block.down, arrays, f"model.{layer}.conv.2", dtype)
    _put(backbone.norm.scale, _find(arrays, "layer_norm.weight"), "layer_norm.weight", dtype)
    _put(backbone.norm.bias, _find(arrays, "layer_norm.bias"), "layer_norm.bias", dtype)


def set_inception(layer: Inception, arrays: Arrays, prefix: str, dtype: jnp.dtype | type = jnp.float32) -> None:
    """Weights of one inception, `<prefix>.kernels.<i>.weight` and `.bias`.

    Raises:
        ValueError: as for `load_timesnet`.
    """
    names = _inception_names(arrays, prefix)
    if len(names) != len(layer.kernels):
        raise ValueError(f"arrays has {len(names)} kernels for {prefix}; it needs {len(layer.kernels)}")
    for name, kernel, bias in zip(names, layer.kernels, layer.biases, strict=True):
        _put(kernel, _find(arrays, f"{name}.weight").transpose(2, 3, 1, 0), f"{name}.weight", dtype)
        _put(bias, _find(arrays, f"{name}.bias"), f"{name}.bias", dtype)


def _inception_names(arrays: Arrays, prefix: str) -> list[str]:
    pattern = re.compile(re.escape(f"{prefix}." if prefix else "") + r"kernels\.(\d+)\.weight")
    numbers = sorted(int(match[1]) for name in arrays if (match := pattern.fullmatch(name)))
    if not numbers:
        raise ValueError(f"arrays has nothing for {prefix}.kernels.0.weight; is it a TimesNet?")
    return [f"{prefix}.kernels.{i}" if prefix else f"kernels.{i}" for i in numbers]


def _set_linear(module: nnx.Linear, arrays: Arrays, name: str, dtype) -> None:
    _put(module.kernel, _find(arrays, f"{name}.weight").T, f"{name}.weight", dtype)
    if module.bias is not None:
        _put(module.bias, _find(arrays, f"{name}.bias"), f"{name}.bias", dtype)


def _put(param: nnx.Param, value: np.ndarray, name: str, dtype) -> None:
    if value.shape != param.shape:
        raise ValueError(f"{name} becomes {value.shape}; the other arrays ask for {param.shape}")
    param.set_value(jnp.asarray(value, dtype))


def _find(arrays: Arrays, name: str) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"arrays has nothing for {name}; it has {len(arrays)} others")
    return arrays[name]
