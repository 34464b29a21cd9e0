"""Half-white boxes: one of the two steps of a CRATE layer exchanged for its transformer counterpart, and other step sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from flax import nnx
from jaxtyping import Array, Float

from quire.common.layers.attention import MultiHeadAttention
from quire.common.layers.crate import ISTA, MSSA
from quire.common.layers.transformer import MLP, TokenClassifier
from quire.crate.classifier import CRATEConfig, classifier

Attention = Literal["mssa", "mhsa"]
Sparsifier = Literal["ista", "mlp"]


class AblationBlock(nnx.Module):
    """`h = x + attention(LN(x))`, then `ISTA(LN(h))` or `h + MLP(LN(h))`.

    Args:
        dim: channels.
        num_heads: heads of the attention.
        head_dim: channels of a head, `dim // num_heads` by default.
        attention: `"mssa"`, one map for query, key and value, or `"mhsa"`, three.
        sparsifier: `"ista"` or `"mlp"`.
        eta, lam: of ISTA.
        rngs: for the initial weights.

    Raises:
        ValueError: for another `attention` or `sparsifier`, or if `num_heads` does not divide `dim`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        head_dim: int | None = None,
        *,
        attention: str = "mssa",
        sparsifier: str = "ista",
        eta: float = 0.1,
        lam: float = 0.1,
        rngs: nnx.Rngs,
    ):
        if attention not in ("mssa", "mhsa"):
            raise ValueError(f"attention is {attention!r}; it must be 'mssa' or 'mhsa'")
        if sparsifier not in ("ista", "mlp"):
            raise ValueError(f"sparsifier is {sparsifier!r}; it must be 'ista' or 'mlp'")
        self.skip = sparsifier == "mlp"
        self.attention_norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        attend = MSSA if attention == "mssa" else MultiHeadAttention
        self.attention = attend(dim, num_heads, head_dim=head_dim, rngs=rngs)
        self.sparsifier_norm = nnx.LayerNorm(dim, epsilon=1e-5, rngs=rngs)
        self.sparsifier = MLP(dim, 4 * dim, rngs=rngs) if self.skip else ISTA(dim, eta=eta, lam=lam, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n dim"]) -> Float[Array, "*batch n dim"]:
        h = x + self.attention(self.attention_norm(x))
        step = self.sparsifier(self.sparsifier_norm(h))
        return h + step if self.skip else step


def ablated(
    cfg: CRATEConfig, *, attention: Attention = "mssa", sparsifier: Sparsifier = "ista", rngs: nnx.Rngs
) -> TokenClassifier:
    """The classifier of `cfg` with `AblationBlock`s; `mssa` with `ista` is `CRATE`, `mhsa` with `mlp` is `ViT`."""

    def block(r: nnx.Rngs) -> AblationBlock:
        steps = {"attention": attention, "sparsifier": sparsifier}
        return AblationBlock(cfg.dim, cfg.num_heads, cfg.head_dim, eta=cfg.eta, lam=cfg.lam, rngs=r, **steps)

    return classifier(cfg, block, rngs=rngs)


def sweep(
    cfg: CRATEConfig, etas: Sequence[float] = (0.01, 0.1, 0.5), lams: Sequence[float] = (0.0, 0.1, 0.5)
) -> Iterator[CRATEConfig]:
    """`cfg` with every pair of an ISTA step size and a sparsity weight."""
    return (replace(cfg, eta=eta, lam=lam) for eta in etas for lam in lams)
