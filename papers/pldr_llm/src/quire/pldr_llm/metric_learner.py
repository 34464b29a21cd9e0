"""The metric learner: a residual network on the Gram matrix of the queries, the deep net that the cache replaces."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from quire.common.layers.transformer import SwiGLU
from quire.pldr_llm.config import PLDRConfig
from quire.pldr_llm.stack import stacked, through

EPS = 1e-6


def layer_norm(dim: int, rngs: nnx.Rngs) -> nnx.LayerNorm:
    """The layer norm of the paper."""
    return nnx.LayerNorm(dim, epsilon=EPS, use_fast_variance=False, rngs=rngs)


def density_matrix(
    q: Float[Array, "batch heads n d"], counted: Bool[Array, " n"] | None = None
) -> Float[Array, "batch heads d d"]:
    """`q^T q`, summed over all positions.

    Every position counts, those of padding and those that are yet to be read too: through this matrix, and only through it, an
    earlier token can learn of later ones. So it is in the paper.

    Args:
        q: queries, turned by their positions.
        counted: which positions count, where some only hold room for tokens to come; all by default.
    """
    if counted is not None:
        q = jnp.where(counted[None, None, :, None], q, 0)
    return jnp.swapaxes(q, -1, -2) @ q


class ResidualUnit(nnx.Module):
    """`LN(GLU_n(... GLU_1(A)) + A)`, along the last axis."""

    def __init__(self, cfg: PLDRConfig, *, rngs: nnx.Rngs):
        self.glus = stacked(lambda rngs: SwiGLU(cfg.head_dim, cfg.metric_dim, use_bias=True, rngs=rngs), cfg.glus, rngs)
        self.norm = layer_norm(cfg.head_dim, rngs)

    def __call__(self, A: Float[Array, "*batch d d"]) -> Float[Array, "*batch d d"]:
        return self.norm(through(self.glus, A) + A)


class MetricLearner(nnx.Module):
    """A layer norm and residual units, from the density matrix to `A`; all heads share the weights."""

    def __init__(self, cfg: PLDRConfig, *, rngs: nnx.Rngs):
        self.norm = layer_norm(cfg.head_dim, rngs)
        self.units = stacked(lambda rngs: ResidualUnit(cfg, rngs=rngs), cfg.residual_units, rngs)

    def __call__(self, density: Float[Array, "batch heads d d"]) -> Float[Array, "batch heads d d"]:
        return through(self.units, self.norm(density))
