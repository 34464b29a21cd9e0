"""Normalisation, channels last: of layers, groups and batches.

Variances are means of squares of what is left after the mean is taken off, never differences of two large moments, and before
either one of the values is subtracted from all: a difference of near numbers is exact, while a mean of large ones is rounded.
Inputs with a mean of 10^4 come out as precise as any. Half-precision inputs are normalised in float32, integers become float32.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, Num

Channels = Float[Array, " channels"]


def layer_norm(
    x: Num[Array, "*shape"],
    axes: int | Sequence[int] = -1,
    scale: Float[Array, "..."] | None = None,
    shift: Float[Array, "..."] | None = None,
    *,
    eps: float = 1e-5,
) -> Float[Array, "*shape"]:
    """`scale (x - mean) / sqrt(var + eps) + shift`, mean and population variance over `axes`.

    Args:
        x: any shape.
        axes: what is normalised together.
        scale, shift: of the shape of x on `axes`, in their order, or any that broadcasts to it.
        eps: positive; a constant input becomes `shift`.

    Raises:
        ValueError: if `eps` is not positive, an axis is out of range, or scale or shift does not fit the shape on `axes`.

    >>> print(layer_norm(jnp.array([[1.0, 2.0, 3.0]])).round(3))
    [[-1.225  0.     1.225]]
    """
    axes = _axes(x, axes)
    centred = _centred(at_least_float32(x), axes)
    return _affine(_scaled(centred, axes, eps), axes, scale, shift).astype(result_dtype(x))


def rms_norm(
    x: Num[Array, "*shape"], axes: int | Sequence[int] = -1, scale: Float[Array, "..."] | None = None, *, eps: float = 1e-6
) -> Float[Array, "*shape"]:
    """`scale x / sqrt(mean(x^2) + eps)`: `layer_norm` that leaves the mean in.

    Args, Raises: as for `layer_norm`.

    >>> print(rms_norm(jnp.array([[1.0, 7.0]])).round(1))
    [[0.2 1.4]]
    """
    axes = _axes(x, axes)
    return _affine(_scaled(at_least_float32(x), axes, eps), axes, scale, None).astype(result_dtype(x))


def group_norm(
    x: Num[Array, "batch *space channels"],
    groups: int,
    scale: Channels | None = None,
    shift: Channels | None = None,
    *,
    eps: float = 1e-5,
) -> Float[Array, "batch *space channels"]:
    """`layer_norm` of every sample over space and over the channels of a group; one group for each channel is instance norm.

    Args:
        x: `[batch, *space, channels]`.
        groups: consecutive parts of the channels; must divide them.
        scale, shift: one for each channel.
        eps: positive.

    Raises:
        ValueError: if groups do not divide the channels, and as `layer_norm`.

    >>> print(group_norm(jnp.array([[1.0, 3.0, 10.0, 30.0]]), 2).round(2))
    [[-1.  1. -1.  1.]]
    """
    if x.ndim < 2 or groups < 1 or x.shape[-1] % groups:
        raise ValueError(f"groups is {groups} for x of shape {x.shape}; it must divide the last axis, after that of the batch")
    grouped = x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
    normed = layer_norm(grouped, (*range(1, x.ndim - 1), -1), eps=eps).reshape(x.shape)
    return _affine(normed.astype(at_least_float32(x).dtype), (x.ndim - 1,), scale, shift).astype(result_dtype(x))


def moments(
    x: Float[Array, "*shape"], axes: int | Sequence[int], *, axis_name: str | None = None
) -> tuple[Float[Array, "*shape"], Float[Array, "..."], Float[Array, "..."]]:
    """What is left of x when its mean is off, the mean, and the population variance: what normalisers are made of.

    Args:
        x: any shape.
        axes: what is averaged.
        axis_name: axis of `vmap` or `shard_map` that is averaged too.

    Returns:
        Centred x; mean and variance with axes of length one where they were averaged.

    Raises:
        ValueError: if an axis is out of range or named twice.

    >>> centred, mean, var = moments(jnp.array([[1.0, 3.0]]), -1)
    >>> print(centred, mean, var)
    [[-1.  1.]] [[2.]] [[1.]]
    """
    axes = _axes(x, axes)

    def mean_of(x):
        local = x.mean(axes, keepdims=True)
        return local if axis_name is None else lax.pmean(local, axis_name)

    pivot = _pivot(x, axes)
    if axis_name is not None:
        pivot = lax.pmax(pivot, axis_name)
    off = mean_of(x - pivot)
    centred = x - pivot - off
    return centred, off + pivot, mean_of(centred**2)


class BatchNorm(nnx.Module):
    """`scale (x - mean) / sqrt(var + eps) + shift` for each channel, the statistics over everything else.

    While training, statistics are those of the batch (population variance), and the running ones move by
    `running + momentum (batch - running)`: `momentum` is PyTorch's, 0.1 there is 0.9 in flax. The running variance takes the
    unbiased one, `n / (n - 1)` times as large, again as in PyTorch; a single value for each channel counts as it is.
    Evaluation uses the running ones. `model.train()` and `model.eval()` of flax switch between the two.

    Args:
        features: channels, the last axis.
        momentum: share of the batch in the running statistics, in `[0, 1]`.
        eps: positive.
        unbiased: let the running variance be unbiased.
        affine: have a scale and a shift.
        axis_name: axis of `vmap` or `shard_map` whose members form one batch.

    Raises:
        ValueError: if features or eps are not positive or momentum is out of range; when called, if x has other channels, or no
            values while training.

    >>> norm = BatchNorm(1)
    >>> print(norm(jnp.array([[1.0], [3.0]]), train=True)[:, 0].round(3), norm.mean[...], norm.var[...].round(3))
    [-1.  1.] [0.2] [1.1]
    >>> print(norm(jnp.array([[0.2]]), train=False))
    [[0.]]
    """

    def __init__(
        self,
        features: int,
        *,
        momentum: float = 0.1,
        eps: float = 1e-5,
        unbiased: bool = True,
        affine: bool = True,
        axis_name: str | None = None,
    ):
        if features < 1 or not 0 <= momentum <= 1 or eps <= 0:
            raise ValueError(
                f"features is {features}, momentum {momentum}, eps {eps}; they must be at least 1, in [0, 1] and positive"
            )
        self.mean, self.var = nnx.BatchStat(jnp.zeros(features)), nnx.BatchStat(jnp.ones(features))
        self.scale = nnx.Param(jnp.ones(features)) if affine else None
        self.shift = nnx.Param(jnp.zeros(features)) if affine else None
        self.momentum, self.eps, self.unbiased, self.axis_name = momentum, eps, unbiased, axis_name
        self.use_running_average = False

    def __call__(self, x: Num[Array, "*batch channels"], *, train: bool | None = None) -> Float[Array, "*batch channels"]:
        """Normalise; `train` overrides `model.train()` and `model.eval()`."""
        if x.ndim < 2 or x.shape[-1] != self.mean.shape[0]:
            raise ValueError(f"x is {x.shape}; it must be [batch, ..., {self.mean.shape[0]}]")
        axes = tuple(range(x.ndim - 1))
        wide = at_least_float32(x)
        if train if train is not None else not self.use_running_average:
            centred, mean, var = self._of_batch(wide, axes)
        else:
            mean, var = (s[...].astype(wide.dtype) for s in (self.mean, self.var))
            centred = wide - _over(mean, x.ndim)
        normed = centred * _over(lax.rsqrt(var + self.eps), x.ndim)
        scale, shift = (None if p is None else p[...] for p in (self.scale, self.shift))
        return _affine(normed, (x.ndim - 1,), scale, shift).astype(result_dtype(x))

    def _of_batch(self, x, axes):
        """Centred input, mean and variance of the batch; the running statistics move towards them."""
        if x.size == 0:
            raise ValueError(f"x is {x.shape}; statistics of a batch need at least one value for each channel")
        members = 1 if self.axis_name is None else lax.axis_size(self.axis_name)
        count = x.size // x.shape[-1] * members

        centred, mean, var = moments(x, axes, axis_name=self.axis_name)
        mean, var = mean.ravel(), var.ravel()
        seen = var * (count / max(count - 1, 1)) if self.unbiased else var
        for running, value in ((self.mean, mean), (self.var, seen)):
            old = running[...]
            running[...] = old + self.momentum * (lax.stop_gradient(value).astype(old.dtype) - old)
        return centred, mean, var

    def multiplier_and_offset(self) -> tuple[Channels, Channels]:
        """`(a, b)` such that evaluation is `a x + b`."""
        scale = lax.rsqrt(self.var[...] + self.eps)
        scale = scale if self.scale is None else scale * self.scale[...]
        shift = -self.mean[...] * scale
        return scale, shift if self.shift is None else shift + self.shift[...]


def fold_batchnorm(
    kernel: Float[Array, "*size channels out"], bias: Float[Array, " out"] | None, norm: BatchNorm, *, before: bool = False
) -> tuple[Float[Array, "*size channels out"], Float[Array, " out"]]:
    """Kernel and bias of the linear map or convolution that does what it and a `BatchNorm` in evaluation do together.

    Args:
        kernel: `[*size, in, out]`, `in` the channels of one group.
        bias: `[out]`, or None for zero.
        norm: the normaliser.
        before: the norm comes first. Its offset meets every tap of the kernel but not the zeros of the padding, so that this is
            exact for linear maps and kernels of one tap only.

    Raises:
        ValueError: if the channels do not fit, or `before` is asked for a kernel of several taps.

    >>> kernel, bias = fold_batchnorm(jnp.eye(2), None, BatchNorm(2, eps=3.0))
    >>> print(kernel.tolist(), bias)
    [[0.5, 0.0], [0.0, 0.5]] [0. 0.]
    """
    scale, shift = norm.multiplier_and_offset()
    channels = kernel.shape[-2 if before else -1]
    if scale.size != channels:
        raise ValueError(f"norm has {scale.size} channels; the kernel {'reads' if before else 'makes'} {channels}")
    bias = jnp.zeros(kernel.shape[-1], kernel.dtype) if bias is None else bias
    if not before:
        return kernel * _over(scale, kernel.ndim), bias * scale + shift
    if kernel.size != kernel.shape[-2] * kernel.shape[-1]:
        raise ValueError(f"kernel is {kernel.shape} and before is True; a norm before it folds into a kernel of one tap only")
    return kernel * _over(scale[:, None], kernel.ndim), bias + shift @ kernel.reshape(kernel.shape[-2:])


# --- Shared by all ---


def result_dtype(x: Num[Array, "..."]) -> jnp.dtype:
    """What a normaliser answers to x in: its own dtype if that is floating, else float32.

    >>> result_dtype(jnp.zeros(1, jnp.bfloat16)).name, result_dtype(jnp.zeros(1, jnp.uint8)).name
    ('bfloat16', 'float32')
    """
    return x.dtype if jnp.issubdtype(x.dtype, jnp.floating) else jnp.promote_types(x.dtype, jnp.float32)


def at_least_float32(x: Num[Array, "*shape"]) -> Float[Array, "*shape"]:
    """What x is computed in: statistics of 16 bits lose too much.

    >>> at_least_float32(jnp.zeros(1, jnp.bfloat16)).dtype.name
    'float32'
    """
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _axes(x, axes):
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    if not axes or any(not -x.ndim <= axis < x.ndim for axis in axes) or len({axis % x.ndim for axis in axes}) < len(axes):
        raise ValueError(f"axes is {axes} for x of shape {x.shape}; it must name different axes of x, at least one")
    return tuple(axis % x.ndim for axis in axes)


def _pivot(x, axes):
    """One of the values that are normalised together. What is left when the mean is off does not depend on it."""
    for axis in axes:
        x = lax.slice_in_dim(x, 0, min(1, x.shape[axis]), axis=axis)
    return lax.stop_gradient(x)


def _centred(x, axes):
    x = x - _pivot(x, axes)
    return x - x.mean(axes, keepdims=True)


def _scaled(x, axes, eps):
    if eps <= 0:
        raise ValueError(f"eps is {eps}; it must be positive")
    return x * lax.rsqrt(jnp.mean(x**2, axes, keepdims=True) + eps)


def _over(values, ndim):
    """Values of the last axes, with the axes before them added."""
    return values.reshape((1,) * (ndim - values.ndim) + values.shape)


def _affine(x, axes, scale, shift):
    """`scale x + shift`, both given on `axes`."""
    wanted = tuple(x.shape[axis] for axis in axes)
    for name, operation, value in (("scale", jnp.multiply, scale), ("shift", jnp.add, shift)):
        if value is None:
            continue
        try:
            value = jnp.broadcast_to(value, wanted).astype(x.dtype)
        except ValueError:
            raise ValueError(f"{name} is {value.shape}; it must broadcast to {wanted}") from None
        order = sorted(range(len(axes)), key=axes.__getitem__)
        shape = [x.shape[axis] if axis in axes else 1 for axis in range(x.ndim)]
        x = operation(x, value.transpose(order).reshape(shape))
    return x
