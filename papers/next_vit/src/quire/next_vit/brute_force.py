"""The paper's blocks by loops in NumPy and float64, channels first, from PyTorch's parameters: to compare the fast forms with.

Every function takes the state dictionary and the prefix of its module. With `train` the norms use the batch, and write the moved
running statistics into the dictionary.
"""

import itertools
from collections.abc import MutableMapping

import numpy as np
from jaxtyping import Float

from quire.next_vit.config import BlockPlan, NextViTConfig

State = MutableMapping[str, np.ndarray]
Maps = Float[np.ndarray, "batch c h w"]
Outputs = Float[np.ndarray, "batch c_out h_out w_out"]


def batch_norm(state: State, name: str, x: np.ndarray, train: bool) -> np.ndarray:
    """Over all axes but the second; momentum 0.1, the running variance unbiased."""
    axes = (0, *range(2, x.ndim))
    shape = (1, -1) + (1,) * (x.ndim - 2)
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    if train:
        mean, var, n = x.mean(axes), x.var(axes), x.size // x.shape[1]
        for entry, value in (("running_mean", mean), ("running_var", var * n / max(n - 1, 1))):
            state[f"{name}.{entry}"] = 0.9 * state[f"{name}.{entry}"] + 0.1 * value
    normed = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + 1e-5)
    return normed * state[f"{name}.weight"].reshape(shape) + state[f"{name}.bias"].reshape(shape)


def conv(
    x: Maps, weight: Float[np.ndarray, "out in kh kw"], bias: np.ndarray | None = None, stride: int = 1, groups: int = 1
) -> Outputs:
    """Tap by tap, padded by half the kernel."""
    out, per_group, kh, kw = weight.shape
    pad = kh // 2
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    h, w = (x.shape[2] - kh) // stride + 1, (x.shape[3] - kw) // stride + 1
    y = np.zeros((len(x), out, h, w))
    for o, i, j, k in itertools.product(range(out), range(h), range(w), range(per_group)):
        channel = o // (out // groups) * per_group + k
        window = x[:, channel, i * stride : i * stride + kh, j * stride : j * stride + kw]
        y[:, o, i, j] += (window * weight[o, k]).sum((1, 2))
    return y if bias is None else y + bias[None, :, None, None]


def patch_embed(state: State, name: str, x: Maps, stride: int, train: bool) -> Outputs:
    """Means of 2 x 2 pixels that are there, 1 x 1 convolution, norm; x itself where the dictionary has no convolution."""
    if stride == 2:
        rows, columns = (range(0, size, 2) for size in x.shape[2:])
        x = np.stack([np.stack([x[:, :, i : i + 2, j : j + 2].mean((2, 3)) for j in columns], -1) for i in rows], -2)
    if f"{name}.conv.weight" not in state:
        return x
    return batch_norm(state, f"{name}.norm", conv(x, state[f"{name}.conv.weight"]), train)


def mhca(state: State, name: str, x: Maps, train: bool) -> Outputs:
    """Grouped convolution, norm, ReLU, projection."""
    weight = state[f"{name}.group_conv3x3.weight"]
    y = batch_norm(state, f"{name}.norm", conv(x, weight, groups=x.shape[1] // weight.shape[1]), train)
    return conv(np.maximum(y, 0), state[f"{name}.projection.weight"])


def e_mhsa(
    state: State, name: str, x: Float[np.ndarray, "batch n c"], head_dim: int, sr_ratio: int, train: bool
) -> Float[np.ndarray, "batch n c"]:
    """Query by query and head by head."""

    def linear(layer: str, x: np.ndarray) -> np.ndarray:
        return x @ state[f"{name}.{layer}.weight"].T + state[f"{name}.{layer}.bias"]

    source, window = x, sr_ratio**2
    if sr_ratio > 1:
        source = np.stack([x[:, i * window : (i + 1) * window].mean(1) for i in range(x.shape[1] // window)], 1)
        source = batch_norm(state, f"{name}.norm", source.transpose(0, 2, 1), train).transpose(0, 2, 1)
    q, k, v, y = linear("q", x), linear("k", source), linear("v", source), np.zeros_like(x)
    for b, i, start in itertools.product(range(len(x)), range(x.shape[1]), range(0, x.shape[2], head_dim)):
        head = slice(start, start + head_dim)
        scores = np.array([q[b, i, head] @ key for key in k[b, :, head]]) / np.sqrt(head_dim)
        weights = np.exp(scores - scores.max())
        y[b, i, head] = weights / weights.sum() @ v[b, :, head]
    return linear("proj", y)


def mlp(state: State, name: str, x: Maps) -> Outputs:
    """Two 1 x 1 convolutions with a ReLU between."""
    hidden = conv(x, state[f"{name}.conv1.weight"], state[f"{name}.conv1.bias"])
    return conv(np.maximum(hidden, 0), state[f"{name}.conv2.weight"], state[f"{name}.conv2.bias"])


def ncb(state: State, name: str, x: Maps, plan: BlockPlan, train: bool) -> Outputs:
    """Next convolution block."""
    x = patch_embed(state, f"{name}.patch_embed", x, plan.stride, train)
    x = x + mhca(state, f"{name}.mhca", x, train)
    return x + mlp(state, f"{name}.mlp", batch_norm(state, f"{name}.norm", x, train))


def ntb(state: State, name: str, x: Maps, plan: BlockPlan, head_dim: int, train: bool) -> Outputs:
    """Next transformer block."""
    x = patch_embed(state, f"{name}.patch_embed", x, plan.stride, train)
    normed = batch_norm(state, f"{name}.norm1", x, train)
    tokens = np.stack([row for image_row in normed.transpose(2, 3, 0, 1) for row in image_row], 1)
    attended = e_mhsa(state, f"{name}.e_mhsa", tokens, head_dim, plan.sr_ratio, train)
    x = x + attended.transpose(0, 2, 1).reshape(x.shape)
    y = patch_embed(state, f"{name}.projection", x, 1, train)
    y = np.concatenate([x, y + mhca(state, f"{name}.mhca", y, train)], 1)
    return y + mlp(state, f"{name}.mlp", batch_norm(state, f"{name}.norm2", y, train))


def next_vit(state: State, config: NextViTConfig, x: Maps, train: bool = False) -> tuple[np.ndarray, list[np.ndarray]]:
    """Class scores and the maps of the stages."""
    for number, (_, stride) in enumerate(config.stem):
        y = conv(x, state[f"stem.{number}.conv.weight"], stride=stride)
        x = np.maximum(batch_norm(state, f"stem.{number}.norm", y, train), 0)
    maps = []
    for number, plan in enumerate(config.blocks):
        name = f"features.{number}"
        x = ncb(state, name, x, plan, train) if plan.kind == "NCB" else ntb(state, name, x, plan, config.head_dim, train)
        if number in config.stage_ends:
            if config.extra_norms:
                last = number == config.stage_ends[-1]
                x = batch_norm(state, "norm" if last else f"extra_norm_list.{len(maps)}", x, train)
            maps.append(x)
    pooled = (x if config.extra_norms else batch_norm(state, "norm", x, train)).mean((2, 3))
    return pooled @ state["proj_head.0.weight"].T + state["proj_head.0.bias"], maps
