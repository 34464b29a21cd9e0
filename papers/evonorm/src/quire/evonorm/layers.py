"""EvoNorm-B and EvoNorm-S: one layer in place of a normaliser and the activation behind it."""

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Num

from quire.common.checks import check_at_least
from quire.common.layers.norms import BatchNorm, at_least_float32, group_norm, moments, result_dtype

Kind = Literal["B0", "B1", "B2", "S0", "S1", "S2"]
Maps = Float[Array, "batch *space channels"]
Channels = Float[Array, " channels"]

WITH_V = ("B0", "S0")
"""The layers whose formula has a trained v."""


def batch_variance(x: Maps, *, axis_name: str | None = None) -> Channels:
    """`s^2_(b,w,h)`: the population variance of every channel over batch and space.

    Args:
        x: channels last.
        axis_name: axis of `vmap` or `shard_map` whose members form one batch.

    Raises:
        ValueError: if there is nothing to take a variance of.

    >>> print(batch_variance(jnp.array([1.0, 3.0]).reshape(2, 1, 1)))
    [1.]
    """
    if x.size == 0:
        raise ValueError(f"x is {x.shape}; statistics of a batch need at least one value for each channel")
    return moments(x, tuple(range(x.ndim - 1)), axis_name=axis_name)[2].ravel()


def evonorm_b(
    x: Maps,
    variance: Channels,
    scale: Channels,
    shift: Channels,
    v: Channels | None = None,
    *,
    kind: Kind = "B0",
    eps: float = 1e-5,
) -> Maps:
    """`x / max(sqrt(s^2_(b,w,h) + eps), instance term) scale + shift`.

    The instance term is `v x + sqrt(s^2_(w,h) + eps)` for B0, `(x + 1) rms_(w,h)` for B1 and `rms_(w,h) - x` for B2, with
    `rms = sqrt(mean(x^2) + eps)`. It may be negative; the other argument of the maximum never is.

    Args:
        x: channels last, floating.
        variance: of the batch while training, the running one in evaluation. The instance term comes from x in both.
        scale, shift: for each channel.
        v: for each channel, of B0 alone.
        kind: `"B0"`, `"B1"` or `"B2"`.
        eps: 0 is exact but for constant inputs.

    >>> ones = jnp.ones(1)
    >>> x = jnp.array([-1.0, 3.0]).reshape(1, 2, 1)
    >>> print(evonorm_b(x, batch_variance(x), ones, 0 * ones, ones, eps=0.0)[0, :, 0])
    [-0.5  0.6]
    """
    space = tuple(range(1, x.ndim - 1))
    if kind == "B0":
        instance = _over(v, x) * x + jnp.sqrt(moments(x, space)[2] + eps)
    else:
        rms = jnp.sqrt(jnp.mean(x**2, space, keepdims=True) + eps)
        instance = (x + 1) * rms if kind == "B1" else rms - x
    return x / jnp.maximum(_over(jnp.sqrt(variance + eps), x), instance) * _over(scale, x) + _over(shift, x)


def evonorm_s(
    x: Maps,
    scale: Channels,
    shift: Channels,
    v: Channels | None = None,
    *,
    kind: Kind = "S0",
    groups: int = 32,
    eps: float = 1e-5,
) -> Maps:
    """`x sigmoid(v x) / sqrt(s^2_(w,h,c/g) + eps) scale + shift`; v = 1 for S1, and S2 has `mean(x^2)` for the variance.

    Args:
        x: channels last, floating.
        scale, shift: for each channel.
        v: for each channel, of S0 alone.
        kind: `"S0"`, `"S1"` or `"S2"`.
        groups: consecutive parts of the channels; must divide them.
        eps: as for `evonorm_b`.

    Raises:
        ValueError: if groups do not divide the channels.

    >>> ones = jnp.ones(1)
    >>> print(evonorm_s(jnp.array([-1.0, 3.0]).reshape(1, 2, 1), ones, 0 * ones, ones, groups=1)[0, :, 0].round(3))
    [-0.134  1.429]
    """
    grouped = split_groups(x, groups)
    axes = (*range(1, x.ndim - 1), x.ndim)
    square = jnp.mean(grouped**2, axes, keepdims=True) if kind == "S2" else moments(grouped, axes)[2]
    gate = jax.nn.sigmoid(x if kind != "S0" else _over(v, x) * x)
    normed = (x * gate).reshape(grouped.shape) * lax.rsqrt(square + eps)
    return normed.reshape(x.shape) * _over(scale, x) + _over(shift, x)


def split_groups(x: Num[Array, "*lead channels"], groups: int) -> Num[Array, "*lead groups part"]:
    """The channels as consecutive groups.

    Raises:
        ValueError: if groups do not divide the channels.
    """
    if groups < 1 or x.shape[-1] % groups:
        raise ValueError(f"groups is {groups} for {x.shape[-1]} channels; it must be positive and divide them")
    return x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)


class EvoNorm(nnx.Module):
    """One of the six discovered layers, for `[batch, *space, channels]` of any dimension of space.

    While training, the B layers use the variance of the batch, and the running one moves towards it by
    `running + momentum (n / (n - 1) variance - running)`: PyTorch's rule, as in `BatchNorm`. Evaluation uses the running one.
    The S layers keep nothing and do the same in both.

    Args:
        features: channels.
        kind: `"B0"`, `"B1"`, `"B2"` or `"S0"`, `"S1"`, `"S2"`.
        groups: of the S layers; must divide the channels.
        apply_act: without it the layer is `scale x + shift`, as behind the last map of a residual branch.
        eps: positive.
        momentum: share of the batch in the running variance, in `[0, 1]`.
        axis_name: axis of `vmap` or `shard_map` whose members form one batch.

    Raises:
        ValueError: for an unknown kind or a number out of its range; when called, if x has other channels, fewer than three axes
            or complex numbers, or no values while training a B layer.

    Differs from the code in google-research: its running variance takes the biased variance, with a momentum of 0.01 here.

    >>> layer = EvoNorm(4, "S0", groups=2)
    >>> x = jnp.arange(24.0).reshape(1, 3, 2, 4)
    >>> layer(x).shape, f"{layer(x)[0, 0, 0, 1]:.3f}", f"{EvoNorm(4, 'B0')(x, train=True)[0, 0, 0, 1]:.3f}"
    ((1, 3, 2, 4), '0.107', '0.128')

    References:
        The paper's table of the best layers; B1, B2, S1 and S2 are in its appendix.
    """

    def __init__(
        self,
        features: int,
        kind: Kind = "B0",
        *,
        groups: int = 32,
        apply_act: bool = True,
        eps: float = 1e-5,
        momentum: float = 0.1,
        axis_name: str | None = None,
    ):
        check_at_least("features", features)
        if kind not in get_args(Kind):
            raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(get_args(Kind))}")
        if eps <= 0 or not 0 <= momentum <= 1:
            raise ValueError(f"eps is {eps} and momentum {momentum}; they must be positive and in [0, 1]")
        if kind[0] == "S" and apply_act and (groups < 1 or features % groups):
            raise ValueError(f"groups is {groups} for {features} channels; it must be positive and divide them")
        self.scale, self.shift = nnx.Param(jnp.ones(features)), nnx.Param(jnp.zeros(features))
        self.v = nnx.Param(jnp.ones(features)) if kind in WITH_V and apply_act else None
        self.var = nnx.BatchStat(jnp.ones(features)) if kind[0] == "B" and apply_act else None
        self.kind, self.groups, self.apply_act = kind, groups, apply_act
        self.eps, self.momentum, self.axis_name = eps, momentum, axis_name
        self.use_running_average = False

    def __call__(
        self, x: Num[Array, "batch *space channels"], *, train: bool | None = None
    ) -> Float[Array, "batch *space channels"]:
        """The same shape; `train` overrides `model.train()` and `model.eval()`."""
        check_maps(x, self.scale.shape[0])
        wide = at_least_float32(x)
        scale, shift = (p[...].astype(wide.dtype) for p in (self.scale, self.shift))
        v = None if self.v is None else self.v[...].astype(wide.dtype)
        if not self.apply_act:
            y = wide * _over(scale, wide) + _over(shift, wide)
        elif self.var is None:
            y = evonorm_s(wide, scale, shift, v, kind=self.kind, groups=self.groups, eps=self.eps)
        else:
            of_batch = train if train is not None else not self.use_running_average
            variance = self._of_batch(wide, self.var) if of_batch else self.var[...].astype(wide.dtype)
            y = evonorm_b(wide, variance, scale, shift, v, kind=self.kind, eps=self.eps)
        return y.astype(result_dtype(x))

    def _of_batch(self, x: Array, running: nnx.BatchStat) -> Array:
        """Variance of the batch; the running one moves towards it."""
        variance = batch_variance(x, axis_name=self.axis_name)
        members = 1 if self.axis_name is None else lax.axis_size(self.axis_name)
        running[...] = moved(running[...], variance, self.momentum, x.size // x.shape[-1] * members)
        return variance


def moved(
    running: Float[Array, "*rows channels"], variance: Float[Array, "*rows channels"], momentum: float, count: int
) -> Float[Array, "*rows channels"]:
    """The running variance after a batch of `count` values for each channel: PyTorch's rule, the new variance unbiased."""
    seen = lax.stop_gradient(variance) * (count / max(count - 1, 1))
    return running + momentum * (seen.astype(running.dtype) - running)


class BatchNormAct(nnx.Module):
    """The baseline BN-ReLU: `act(BN(x))`, or `BN(x)` where no activation belongs."""

    def __init__(self, features: int, *, apply_act: bool = True, act=jax.nn.relu, axis_name: str | None = None):
        self.norm = BatchNorm(features, axis_name=axis_name)
        self.act = act if apply_act else None

    def __call__(
        self, x: Num[Array, "batch *space channels"], *, train: bool | None = None
    ) -> Float[Array, "batch *space channels"]:
        """The same shape."""
        check_maps(x, self.norm.mean.shape[0])
        y = self.norm(x, train=train)
        return y if self.act is None else self.act(y)


class GroupNormAct(nnx.Module):
    """The baselines GN-ReLU and GN-SiLU: `act(GN(x))`, or `GN(x)` where no activation belongs."""

    def __init__(self, features: int, *, groups: int = 32, apply_act: bool = True, act=jax.nn.relu):
        check_at_least("features", features)
        if groups < 1 or features % groups:
            raise ValueError(f"groups is {groups} for {features} channels; it must be positive and divide them")
        self.scale, self.shift = nnx.Param(jnp.ones(features)), nnx.Param(jnp.zeros(features))
        self.groups, self.act = groups, act if apply_act else None

    def __call__(
        self, x: Num[Array, "batch *space channels"], *, train: bool | None = None
    ) -> Float[Array, "batch *space channels"]:
        """The same shape; training and evaluation are one."""
        check_maps(x, self.scale.shape[0])
        y = group_norm(x, self.groups, self.scale[...], self.shift[...])
        return y if self.act is None else self.act(y)


def check_maps(x: Num[Array, "..."], features: int) -> None:
    """A `ValueError` unless x is `[batch, *space, features]` of real numbers, with one dimension of space or more."""
    if x.ndim < 3 or x.shape[-1] != features:
        raise ValueError(f"x is {x.shape}; it must be [batch, *space, {features}] with at least one dimension of space")
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise ValueError(f"x is {x.dtype}; it must hold real numbers")


def _over(values, x):
    """Values of the channels, beside x."""
    return values.reshape((1,) * (x.ndim - 1) + (-1,))
