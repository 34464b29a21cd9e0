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

from quire.common.checkpoints import Source, load, same, transposed
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
        ValueError: listing arrays that are missing, unexpected or mis-shaped.
    """
    config = config_of(kind, arrays, top_k=top_k)
    model = nnx.eval_shape(lambda: kind(config, rngs=nnx.Rngs(0)))
    names = _linear_names("projection", ("project",))
    if kind is Forecaster:
        names |= _linear_names("predict_linear", ("extend",))
    used = {name: x for name, x in arrays.items() if not name.endswith(".pe")}
    return load(model, used, names | _backbone_names(model.backbone, arrays), dtype=dtype)


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


def set_inception(layer: Inception, arrays: Arrays, prefix: str, dtype: jnp.dtype | type = jnp.float32) -> None:
    """Weights of one inception, `<prefix>.kernels.<i>.weight` and `.bias`.

    Raises:
        ValueError: as for `load_timesnet`.
    """
    names = _inception_paths(arrays, prefix, ())
    own = f"{prefix}.kernels." if prefix else "kernels."
    load(layer, {name: x for name, x in arrays.items() if name.startswith(own)}, names, dtype=dtype)


# --- Names ---


def _backbone_names(backbone: TimesNet, arrays: Arrays) -> dict[tuple, Source]:
    embedding = ("backbone", "embedding")
    value = "enc_embedding.value_embedding.tokenConv.weight"
    names: dict[tuple, Source] = {
        (*embedding, "value"): Source((value,), lambda x: x.transpose(2, 1, 0), lambda shape: shape[::-1])
    }
    if backbone.embedding.mark is not None:
        names |= {(*embedding, "mark", "kernel"): transposed("enc_embedding.temporal_embedding.embed.weight")}
    for layer in range(len(backbone.blocks)):
        for place, part in ((0, "up"), (2, "down")):
            names |= _inception_paths(arrays, f"model.{layer}.conv.{place}", ("backbone", "blocks", layer, part))
    norm = ("backbone", "norm")
    return names | {(*norm, "scale"): same("layer_norm.weight"), (*norm, "bias"): same("layer_norm.bias")}


def _linear_names(name: str, path: tuple) -> dict[tuple, Source]:
    return {(*path, "kernel"): transposed(f"{name}.weight"), (*path, "bias"): same(f"{name}.bias")}


def _inception_paths(arrays: Arrays, prefix: str, path: tuple) -> dict[tuple, Source]:
    names = {}
    for i, name in enumerate(_inception_names(arrays, prefix)):
        convolution = Source((f"{name}.weight",), lambda x: x.transpose(2, 3, 1, 0), lambda s: (s[3], s[2], s[0], s[1]))
        names |= {(*path, "kernels", i): convolution, (*path, "biases", i): same(f"{name}.bias")}
    return names


def _inception_names(arrays: Arrays, prefix: str) -> list[str]:
    pattern = re.compile(re.escape(f"{prefix}." if prefix else "") + r"kernels\.(\d+)\.weight")
    numbers = sorted(int(match[1]) for name in arrays if (match := pattern.fullmatch(name)))
    if not numbers:
        raise ValueError(f"arrays has nothing for {prefix}.kernels.0.weight; is it a TimesNet?")
    return [f"{prefix}.kernels.{i}" if prefix else f"kernels.{i}" for i in numbers]


def _find(arrays: Arrays, name: str) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"arrays has nothing for {name}; it has {len(arrays)} others")
    return arrays[name]
