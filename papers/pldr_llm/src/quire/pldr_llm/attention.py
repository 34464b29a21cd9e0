"""Power-law graph attention: scores `q^T G k` through the energy-curvature tensor of the head."""

import math

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from quire.common.layers.attention import merge_heads, split_heads
from quire.common.layers.intermediates import sow
from quire.common.layers.kv_cache import KVCache
from quire.common.layers.rotary import rotary
from quire.common.layers.softmax import masked_softmax
from quire.pldr_llm.config import PLDRConfig
from quire.pldr_llm.metric_learner import MetricLearner, density_matrix
from quire.pldr_llm.power_law import Deductive, PowerLaw, power_law_tensor

Heads = Float[Array, "batch heads n d"]


def score_scale(head_dim: int) -> float:
    """`1 / c`, with c the root of the head's channels in float32, as the authors' code has it."""
    return 1 / float(np.float32(math.sqrt(head_dim)))


def plga_scores(q: Heads, k: Float[Array, "batch heads m d"], G: Float[Array, "#batch heads d d"]) -> Array:
    """`q G k^T / c`, `[batch, heads, n, m]`; rows are vectors.

    Raises:
        ValueError: if G does not hold a `d x d` matrix for every head.
    """
    batch, heads, _, d = q.shape
    if G.shape not in ((batch, heads, d, d), (1, heads, d, d)):
        raise ValueError(f"G has shape {G.shape}; queries of shape {q.shape} need {(batch, heads, d, d)}, or one for all rows")
    return (q @ G) @ jnp.swapaxes(k, -1, -2) * score_scale(d)


def plga_attention(
    q: Heads,
    k: Float[Array, "batch heads m d"],
    v: Float[Array, "batch heads m d"],
    G: Float[Array, "#batch heads d d"],
    mask: Bool[Array, "#batch #heads #n m"],
) -> Heads:
    """`softmax(q G k^T / c) v`.

    The authors add -1e9 to what is masked; here it is left out, which is the same wherever a query sees a key at all. One that
    sees none (of leading padding) gets zeros.

    Args:
        q, k, v: of the heads, positions turned in.
        G: energy-curvature tensors.
        mask: True where attention is allowed.

    Raises:
        ValueError: as `plga_scores`.
    """
    return _weighted(plga_scores(q, k, G), v, mask)


def _weighted(scores: Array, v: Array, mask: Array) -> Array:
    return masked_softmax(scores, jnp.broadcast_to(mask, scores.shape)) @ v


def plga(
    q: Heads, k: Heads, v: Heads, A: Float[Array, "batch heads d d"], params: dict[str, Array], mask: Array
) -> tuple[Heads, Deductive]:
    """One layer of power-law graph attention, given the metric learner's output.

    Args:
        q, k, v: of the heads, positions turned in.
        A: output of the metric learner.
        params: `W`, `b`, `pw`, `a`, `ba` of `power_law_tensor`.
        mask: True where attention is allowed.

    Returns:
        What attention gives, and the deductive outputs.
    """
    found = Deductive(A, *power_law_tensor(A, **params))
    return plga_attention(q, k, v, found.G, mask), found


class PLGAttention(nnx.Module):
    """Multi-head attention through a tensor that a network makes of the queries, or that is given.

    Sows `scores` `[batch, heads, n, m]` before the mask, and `keys` `[batch, heads, m, d]` after the rotation.
    """

    def __init__(self, cfg: PLDRConfig, *, rngs: nnx.Rngs):
        self.num_heads = cfg.num_heads
        self.query, self.key, self.value, self.out = (nnx.Linear(cfg.dim, cfg.dim, rngs=rngs) for _ in range(4))
        self.metric_learner = MetricLearner(cfg, rngs=rngs)
        self.power_law = PowerLaw(cfg.num_heads, cfg.head_dim)

    def project(self, x: Float[Array, "batch n dim"], positions: Int[Array, " n"]) -> tuple[Heads, Heads, Heads]:
        """Queries, keys and values of the heads; the first two turned by their positions."""
        q, k, v = (split_heads(part(x), self.num_heads) for part in (self.query, self.key, self.value))
        return rotary(q, positions, layout="interleaved"), rotary(k, positions, layout="interleaved"), v

    def deductive(
        self, q: Heads, A: Array | None = None, G: Array | None = None, counted: Bool[Array, " n"] | None = None
    ) -> Deductive:
        """The tensors: from the queries, from a given `A` (no metric learner), or as given by `G` (no network at all)."""
        if G is not None:
            return Deductive(None, None, None, G)
        return self.power_law(self.metric_learner(density_matrix(q, counted)) if A is None else A)

    def __call__(
        self,
        x: Float[Array, "batch n dim"],
        positions: Int[Array, " n"],
        mask: Bool[Array, "#batch #heads n m"] | None = None,
        *,
        kv: KVCache | None = None,
        A: Array | None = None,
        G: Array | None = None,
        counted: Bool[Array, " n"] | None = None,
    ) -> tuple[Float[Array, "batch n dim"], KVCache | None, Deductive]:
        """Attention of n tokens.

        Args:
            x: tokens.
            positions: of them.
            mask: what they may see; taken from the cache where there is one.
            kv: keys and values of the tokens before; those of `x` are added.
            A, G, counted: as for `deductive`.

        Returns:
            Output, the longer cache, the deductive outputs.

        Raises:
            ValueError: without mask and cache.
        """
        q, k, v = self.project(x, positions)
        found = self.deductive(q, A, G, counted)
        if kv is not None:
            kv = kv.append(k, v)
            k, v, mask = kv.keys, kv.values, kv.mask(x.shape[1])[None, None]
        if mask is None:
            raise ValueError("mask and kv are None; one of them must say what the tokens may see")
        scores = plga_scores(q, k, found.G)
        sow(self, "scores", scores)
        sow(self, "keys", k)
        return self.out(merge_heads(_weighted(scores, v, mask))), kv, found
