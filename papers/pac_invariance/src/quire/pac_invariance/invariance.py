"""Invariance of a representation: the predictor that is best in one environment is best, or nearly so, in all."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32
from quire.common.roots import length
from quire.pac_invariance.moments import Moments, check_environments, mix

Kind = Literal["gradient", "coefficient", "risk"]
KINDS = ("gradient", "coefficient", "risk")


@jax.jit
def optimal_predictor(moments: Moments, phi: Real[AnyArray, "k d"] | None = None) -> Float[Array, "*batch k"]:
    """`w = (phi Sxx phi^T)^+ phi Sxy`: the best linear predictor of y from `phi x`, of smallest norm where several are.

    Args:
        moments: of x and y, with any leading axes.
        phi: representation; all covariates by default.

    Raises:
        ValueError: if the sizes do not fit.

    >>> moments = Moments(jnp.array([[[4.0]]]), jnp.array([[2.0]]), jnp.array([3.0]))
    >>> optimal_predictor(moments).tolist()
    [[0.5]]
    """
    moments = moments if phi is None else mix(moments, phi)
    return (jnp.linalg.pinv(moments.xx, hermitian=True) @ moments.xy[..., None])[..., 0]


@jax.jit
def risk(moments: Moments, w: Real[AnyArray, "... d"]) -> Float[Array, "..."]:
    """Mean squared error of `w^T x` in every environment, `yy - 2 w^T Sxy + w^T Sxx w`.

    Args:
        moments: of what w is applied to; see `quire.pac_invariance.moments.mix` for representations.
        w: one predictor, or one for each environment.

    >>> import numpy as np
    >>> moments = Moments(jnp.array([[[4.0]]]), jnp.array([[2.0]]), jnp.array([3.0]))
    >>> risk(moments, np.array([0.5])).tolist()
    [2.0]
    """
    w, xx = at_least_float32(w, moments.xx)
    w = jnp.broadcast_to(w, moments.xy.shape)
    return moments.yy - 2 * (w * moments.xy).sum(-1) + (w * (xx @ w[..., None])[..., 0]).sum(-1)


@jax.jit
def worst_risk(moments: Moments, w: Real[AnyArray, " d"]) -> Float[Array, ""]:
    """The largest risk over the environments.

    Raises:
        ValueError: without an environment.
    """
    check_environments(moments)
    return risk(moments, w).max(-1)


@partial(jax.jit, static_argnames="kind")
def environment_gaps(
    moments: Moments, phi: Real[AnyArray, "k d"], w: Real[AnyArray, " k"], kind: Kind = "gradient"
) -> Float[Array, " e"]:
    """How far w is from the best predictor from `phi x` in every environment.

    - `gradient`: `|phi Sxx phi^T w - phi Sxy|`, half the gradient of the risk; a polynomial in what an intervention changes;
    - `coefficient`: `|w_e - w|`;
    - `risk`: `R_e(w) - R_e(w_e) = (w - w_e)^T phi Sxx phi^T (w - w_e)`.

    The first two depend on the scale of the rows of phi: compare orthonormal ones, see `orthonormal_rows`.

    Args:
        moments: of x and y, an axis of environments.
        phi: representation.
        w: predictor from it.
        kind: which distance.

    Raises:
        ValueError: for another kind or sizes that do not fit.

    >>> import numpy as np
    >>> moments = Moments(jnp.array([[[4.0]], [[1.0]]]), jnp.array([[2.0], [1.0]]), jnp.array([3.0, 3.0]))
    >>> [environment_gaps(moments, np.eye(1), np.array([0.5]), kind).tolist() for kind in KINDS]
    [[0.0, 0.5], [0.0, 0.5], [0.0, 0.25]]
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; it must be one of {', '.join(KINDS)}")
    seen = mix(moments, phi)
    w, xx = at_least_float32(w, seen.xx)
    if w.shape != seen.xy.shape[-1:]:
        raise ValueError(f"w has shape {w.shape}; phi makes {seen.xy.shape[-1]} numbers")
    if kind == "gradient":
        return length((xx @ w[:, None])[..., 0] - seen.xy)
    off = jnp.broadcast_to(w, seen.xy.shape) - optimal_predictor(seen)
    return length(off) if kind == "coefficient" else (off * (xx @ off[..., None])[..., 0]).sum(-1)


@partial(jax.jit, static_argnames="kind")
def gap(
    moments: Moments, phi: Real[AnyArray, "k d"], w: Real[AnyArray, " k"] | None = None, kind: Kind = "gradient"
) -> Float[Array, ""]:
    """The largest gap over environments: phi is eps-approximately invariant, with w, if it is at most eps.

    Args:
        moments: of x and y, an axis of environments.
        phi: representation.
        w: predictor; the best one for all environments together by default.
        kind: as for `environment_gaps`; `coefficient` compares the best predictors of all pairs of environments, and no w.

    Raises:
        ValueError: without an environment, or as for `environment_gaps`.

    >>> import numpy as np
    >>> moments = Moments(jnp.array([[[4.0]], [[1.0]]]), jnp.array([[2.0], [1.0]]), jnp.array([3.0, 3.0]))
    >>> float(gap(moments, np.eye(1), kind="coefficient"))
    0.5
    """
    check_environments(moments)
    if kind == "coefficient":
        return largest_distance(optimal_predictor(moments, phi))
    if w is None:
        w = optimal_predictor(Moments(moments.xx.mean(0), moments.xy.mean(0), moments.yy.mean(0)), phi)
    return environment_gaps(moments, phi, w, kind).max()


def largest_distance(w: Float[Array, "e k"]) -> Float[Array, ""]:
    """The largest distance of two of several vectors."""
    return length(w[:, None] - w[None]).max()


@partial(jax.jit, static_argnames="kind")
def violation_rate(
    moments: Moments, phi: Real[AnyArray, "k d"], w: Real[AnyArray, " k"], eps: float | Array, kind: Kind = "gradient"
) -> Float[Array, ""]:
    """Share of the environments in which the gap of (phi, w) is not at most eps: of unseen ones, the loss that PAC bounds.

    Raises:
        ValueError: without an environment, or as for `environment_gaps`.
    """
    check_environments(moments)
    return 1 - jnp.mean(environment_gaps(moments, phi, w, kind) <= eps)  # a gap that is no number is a violation


@jax.jit
def orthonormal_rows(phi: Real[AnyArray, "k d"]) -> Float[Array, "k d"]:
    """Orthonormal rows with the span of phi's: the same representation in a scale of its own.

    Raises:
        ValueError: if there are more rows than covariates.

    >>> import numpy as np
    >>> abs(orthonormal_rows(np.array([[3.0, 0.0]]))).round(6).tolist()
    [[1.0, 0.0]]
    """
    (phi,) = at_least_float32(phi)
    if phi.ndim != 2 or phi.shape[0] > phi.shape[1]:
        raise ValueError(f"phi has shape {phi.shape}; it needs [k, d] with k at most d")
    q, r = jnp.linalg.qr(phi.T)
    return (q * jnp.where(jnp.diag(r) < 0, -1, 1)[None].astype(q.dtype)).T
