"""Transformer blocks whose activations are stored as a `Precision` says: one code path from float32 to eight bits."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.coat.activations import Activation, store
from quire.coat.linear import linear
from quire.coat.nonlinear import gelu, layer_norm, product, residual_add, rms_norm, silu
from quire.coat.precision import COAT, Precision
from quire.common.checks import check_at_least
from quire.common.layers.attention import attention, merge_heads, split_heads
from quire.common.layers.rotary import rotary
from quire.common.layers.transformer import MLP, SwiGLU

Style = Literal["llama", "gpt"]


class Fp8RMSNorm(nnx.Module):
    """RMS normalisation from a stored stream to the stored input of linear maps.

    The scale is the largest number of each row, before rounding; the codes are those of the rounded numbers.

    Raises:
        ValueError: if dim is below 1.
    """

    def __init__(self, dim: int, precision: Precision = COAT):
        check_at_least("dim", dim)
        self.precision = precision
        self.weight = nnx.Param(jnp.ones(dim))

    def __call__(self, x: Activation) -> Activation:
        y = rms_norm(x, self.weight[...])
        return store(y, self.precision.linear, group=y.shape[-1], rounded=True)


class Fp8LayerNorm(nnx.Module):
    """Layer normalisation, as `Fp8RMSNorm`.

    Raises:
        ValueError: if dim is below 1.
    """

    def __init__(self, dim: int, precision: Precision = COAT):
        check_at_least("dim", dim)
        self.precision = precision
        self.weight, self.bias = nnx.Param(jnp.ones(dim)), nnx.Param(jnp.zeros(dim))

    def __call__(self, x: Activation) -> Activation:
        y = layer_norm(x, self.weight[...], self.bias[...])
        return store(y, self.precision.linear, group=y.shape[-1], rounded=True)


class Fp8SwiGLU(nnx.Module):
    """`down(silu(gate x) * up x)` between stored activations; the parameters are those of `SwiGLU`.

    Gate, up and SiLU are stored for operations that work number by number, the product for a linear map.

    Raises:
        ValueError: if a size is not a multiple of 16, or below 1.
    """

    def __init__(self, dim: int, hidden_dim: int, precision: Precision = COAT, *, rngs: nnx.Rngs):
        wide = SwiGLU(dim, hidden_dim, rngs=rngs)
        self.gate, self.up, self.down, self.precision = wide.gate, wide.up, wide.down, precision

    def __call__(self, x: Activation) -> Float[Array, "*batch dim"]:
        gate = store(linear(x, self.gate.kernel[...]), self.precision.nonlinear)
        up = store(linear(x, self.up.kernel[...]), self.precision.nonlinear)
        activated = store(silu(gate), self.precision.nonlinear)
        return linear(store(product(activated, up), self.precision.linear), self.down.kernel[...])


class Fp8MLP(nnx.Module):
    """`down(gelu(up x))` between stored activations, without biases in the products' eight bits; parameters of `MLP`."""

    def __init__(self, dim: int, hidden_dim: int, precision: Precision = COAT, *, rngs: nnx.Rngs):
        wide = MLP(dim, hidden_dim, rngs=rngs)
        self.up, self.down, self.precision = wide.up, wide.down, precision

    def __call__(self, x: Activation) -> Float[Array, "*batch dim"]:
        up = store(_with_bias(linear(x, self.up.kernel[...]), self.up.bias), self.precision.nonlinear)
        return _with_bias(linear(store(gelu(up), self.precision.linear), self.down.kernel[...]), self.down.bias)


class Fp8Attention(nnx.Module):
    """Causal self-attention from a stored input; the core runs on wide numbers and keeps only queries, keys and values.

    Args:
        dim: channels.
        num_heads: heads; must divide dim.
        precision: how activations are stored.
        rotary_base: of rotary positions; None for none.
        rngs: for the initial weights.

    Raises:
        ValueError: if the heads do not divide dim.
    """

    def __init__(self, dim: int, num_heads: int, precision: Precision = COAT, *, rotary_base: float | None = 1e4, rngs: nnx.Rngs):
        if num_heads < 1 or dim < 1 or dim % num_heads:
            raise ValueError(f"dim is {dim} and num_heads {num_heads}; the heads must divide it, both at least 1")
        self.num_heads, self.precision, self.rotary_base = num_heads, precision, rotary_base
        self.query, self.key, self.value, self.out = (nnx.Linear(dim, dim, use_bias=False, rngs=rngs) for _ in range(4))

    def __call__(self, x: Activation) -> Float[Array, "*batch n dim"]:
        q, k, v = (linear(x, part.kernel[...]).astype(self.precision.stream) for part in (self.query, self.key, self.value))
        mixed = jax.checkpoint(self._core)(q, k, v)
        return linear(store(mixed, self.precision.linear), self.out.kernel[...])

    def _core(self, q, k, v):
        q, k, v = (split_heads(x, self.num_heads) for x in (q, k, v))
        if self.rotary_base is not None:
            positions = jnp.arange(q.shape[-2])
            q, k = (rotary(x, positions, base=self.rotary_base) for x in (q, k))
        return merge_heads(attention(q, k, v, causal=True))


class CoatBlock(nnx.Module):
    """Pre-norm block: `h = x + Attention(Norm(x))`, `h + MLP(Norm(h))`, every operation on stored activations.

    Args:
        dim: channels, a multiple of 16.
        num_heads: heads.
        hidden_dim: width of the MLP, a multiple of 16.
        precision: how activations are stored; `FLOAT32` and `BF16` are the baselines.
        style: `"llama"`: RMSNorm, SwiGLU, rotary positions; `"gpt"`: LayerNorm, GELU.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is not such a multiple, the heads do not divide dim, or the style is unknown.

    References:
        Figure 4.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        hidden_dim: int,
        precision: Precision = COAT,
        *,
        style: Style = "llama",
        rngs: nnx.Rngs,
    ):
        if style not in ("llama", "gpt"):
            raise ValueError(f"style is {style!r}; it must be 'llama' or 'gpt'")
        for name, size in (("dim", dim), ("hidden_dim", hidden_dim)):
            if size < 1 or size % 16:
                raise ValueError(f"{name} is {size}; it must be a multiple of 16")
        norm, mlp = {"llama": (Fp8RMSNorm, Fp8SwiGLU), "gpt": (Fp8LayerNorm, Fp8MLP)}[style]
        self.precision = precision
        self.attention_norm, self.mlp_norm = norm(dim, precision), norm(dim, precision)
        base = 1e4 if style == "llama" else None
        self.attention = Fp8Attention(dim, num_heads, precision, rotary_base=base, rngs=rngs)
        self.mlp = mlp(dim, hidden_dim, precision, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n dim"]) -> Float[Array, "*batch n dim"]:
        x = x.astype(self.precision.stream)
        stored = store(x, self.precision.nonlinear)
        x, stored = residual_add(x, self.attention(self.attention_norm(stored)), self.precision.nonlinear)
        return x + self.mlp(self.mlp_norm(stored)).astype(x.dtype)


def _with_bias(x: Array, bias: nnx.Param | None) -> Array:
    return x if bias is None else x + jnp.broadcast_to(bias[...].astype(x.dtype), x.shape)
