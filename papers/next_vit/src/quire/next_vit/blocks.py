"""Next convolution block and next transformer block."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least
from quire.common.layers.dropout import drop_path
from quire.next_vit.config import BN_RELU, Mixer, Style, make_divisible
from quire.next_vit.e_mhsa import EMHSA
from quire.next_vit.mhca import MHCA, PoolMixer
from quire.next_vit.patch_embed import Maps, PatchEmbed, normalise

Key = jax.Array | None
Outputs = Float[Array, "batch h_out w_out after"]


class MLP(nnx.Module):
    """`conv2(act(conv1(x)))`, both 1 x 1, that is linear, with biases."""

    def __init__(self, channels: int, hidden_dim: int, *, style: Style = BN_RELU, rngs: nnx.Rngs):
        check_at_least("hidden_dim", hidden_dim)
        self.conv1 = style.linear(channels, hidden_dim, rngs=rngs)
        self.conv2 = style.linear(hidden_dim, channels, rngs=rngs)
        self.style = style

    def __call__(self, x: Maps) -> Maps:
        return self.conv2(self.style.activate(self.conv1(x)))


class NCB(nnx.Module):
    """Next convolution block (equation 2): `z = embed(x)`, `h = z + mixer(z)`, `y = h + MLP(norm(h))`.

    Args:
        before, after: channels.
        stride: 1 or 2.
        head_dim: channels of a head; must divide `after`.
        hidden_dim: of the MLP, `make_divisible(3 after)` by default.
        drop_path_rate: probability to drop each of the two branches of a sample while training.
        dilation: of the convolution.
        mixer: `mhca`; or `mhsa` or `pool` for comparison.
        style: normaliser and activation.
        rngs: for the initial weights.

    Raises:
        ValueError: if a size is out of its range or the mixer is unknown; while training, if `drop_path_rate` > 0 and the key is
            missing.

    >>> NCB(32, 64, stride=2, rngs=nnx.Rngs(0))(jnp.ones((1, 8, 8, 32))).shape
    (1, 4, 4, 64)
    """

    def __init__(
        self,
        before: int,
        after: int,
        *,
        stride: int = 1,
        head_dim: int = 32,
        hidden_dim: int | None = None,
        drop_path_rate: float = 0.0,
        dilation: int = 1,
        mixer: Mixer = "mhca",
        style: Style = BN_RELU,
        rngs: nnx.Rngs,
    ):
        makers = {
            "mhca": lambda: MHCA(after, head_dim, dilation=dilation, style=style, rngs=rngs),
            "mhsa": lambda: EMHSA(after, head_dim, style=style, rngs=rngs),
            "pool": PoolMixer,
        }
        if mixer not in makers:
            raise ValueError(f"mixer is {mixer!r}; it must be one of {', '.join(makers)}")
        self.patch_embed = PatchEmbed(before, after, stride, style=style, rngs=rngs)
        self.mhca = makers[mixer]()
        self.norm: nnx.Module | None = style.make_norm(after, rngs)
        self.mlp = MLP(after, hidden_dim or make_divisible(3 * after), style=style, rngs=rngs)
        self.drop_path_rate = _check_rate(drop_path_rate)

    def __call__(self, x: Maps, *, train: bool = False, key: Key = None) -> Outputs:
        """`key` is for the dropped branches, while training."""
        keys = _branch_keys(key, 2, train, self.drop_path_rate)
        x = self.patch_embed(x, train=train)
        mix = self.mhca.on_maps if isinstance(self.mhca, EMHSA) else self.mhca
        x = x + drop_path(mix(x, train=train), self.drop_path_rate, keys[0])
        return x + drop_path(self.mlp(normalise(self.norm, x, train)), self.drop_path_rate, keys[1])


class NTB(nnx.Module):
    """Next transformer block (equation 7): attention and convolution side by side, on channels of their own.

    `z = embed(x)`, `a = z + E-MHSA(norm1(z))`, `b = project(a) + MHCA(project(a))`, `y = [a, b] + MLP(norm2([a, b]))`.

    Args:
        before, after: channels; a has `attention_dim` of them and b the others.
        stride: 1 or 2.
        sr_ratio: of the attention.
        head_dim: channels of a head; must divide those of a and of b.
        mix_ratio: share of a. Its branch is dropped with `mix_ratio drop_path_rate`, that of b with
            `(1 - mix_ratio) drop_path_rate`. With 1 there is no b.
        attention_dim: channels of a, `make_divisible(int(mix_ratio after))` by default.
        hidden_dim: of the MLP, `make_divisible(2 after)` by default.
        drop_path_rate, dilation, style, rngs: as for `NCB`.

    Raises:
        ValueError: if a size is out of its range; when called, as `EMHSA` and `NCB`.

    >>> NTB(96, 128, sr_ratio=2, rngs=nnx.Rngs(0))(jnp.ones((1, 4, 4, 96))).shape
    (1, 4, 4, 128)
    """

    def __init__(
        self,
        before: int,
        after: int,
        *,
        stride: int = 1,
        sr_ratio: int = 1,
        head_dim: int = 32,
        mix_ratio: float = 0.75,
        attention_dim: int | None = None,
        hidden_dim: int | None = None,
        drop_path_rate: float = 0.0,
        dilation: int = 1,
        style: Style = BN_RELU,
        rngs: nnx.Rngs,
    ):
        attention_dim = attention_dim or make_divisible(int(mix_ratio * after))
        conv_dim = after - attention_dim
        if conv_dim < 0 or not 0 < mix_ratio <= 1:
            raise ValueError(
                f"mix_ratio is {mix_ratio}, and {attention_dim} of {after} channels would be those of attention; the ratio must "
                "lie in (0, 1], and there must be so many"
            )
        self.patch_embed = PatchEmbed(before, attention_dim, stride, style=style, rngs=rngs)
        self.norm1: nnx.Module | None = style.make_norm(attention_dim, rngs)
        self.e_mhsa = EMHSA(attention_dim, head_dim, sr_ratio, style=style, rngs=rngs)
        self.projection = PatchEmbed(attention_dim, conv_dim, style=style, rngs=rngs) if conv_dim else None
        self.mhca = MHCA(conv_dim, head_dim, dilation=dilation, style=style, rngs=rngs) if conv_dim else None
        self.norm2: nnx.Module | None = style.make_norm(after, rngs)
        self.mlp = MLP(after, hidden_dim or make_divisible(2 * after), style=style, rngs=rngs)
        self.drop_path_rate, self.mix_ratio = _check_rate(drop_path_rate), mix_ratio

    def __call__(self, x: Maps, *, train: bool = False, key: Key = None) -> Outputs:
        """`key` is for the dropped branches, while training."""
        rate = self.drop_path_rate
        keys = _branch_keys(key, 3, train, rate)
        a = self.patch_embed(x, train=train)
        attended = self.e_mhsa.on_maps(normalise(self.norm1, a, train), train=train)
        y = a = a + drop_path(attended, rate * self.mix_ratio, keys[0])
        if self.mhca is not None and self.projection is not None:
            b = self.projection(a, train=train)
            b = b + drop_path(self.mhca(b, train=train), rate * (1 - self.mix_ratio), keys[1])
            y = jnp.concatenate([a, b], axis=-1)
        return y + drop_path(self.mlp(normalise(self.norm2, y, train)), rate, keys[2])


def _branch_keys(key: Key, count: int, train: bool, rate: float) -> list[Key]:
    if not train or rate == 0:
        return [None] * count
    if key is None:
        raise ValueError(f"key is None; training with drop_path {rate:.3g} needs one for the branches to drop")
    return list(jax.random.split(key, count))


def _check_rate(rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError(f"drop_path_rate is {rate}; a probability to drop lies in [0, 1)")
    return rate
