"""What a student is held to: features, colours and densities of shared samples, and composited pixels."""

from collections.abc import Callable
from functools import cache, reduce
from operator import add
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from quire.common.arrays import AnyArray
from quire.common.checks import at_least_float32, check_at_least
from quire.common.fields.radiance import FieldOut, RadianceField, VMField
from quire.common.fields.ray_batches import render_rays
from quire.common.roots import root
from quire.pvd.config import LossType, check_loss_type

TERMS = ("feat", "rgb", "log_sigma", "sigma", "image", "mse", "density_l1")
"""Terms of the loss, in the order of their weights."""


class RayTargets(NamedTuple):
    """Rays of one step, what is to be seen along them, and the weights of the terms.

    Attributes:
        origins, directions: `[n, 3]`.
        offset: of the samples within their parts `[n]`.
        background: `[n, 3]`.
        image: colours over it `[n, 3]`: of photographs, or of the teacher.
        feat, log_sigma, rgb: of the teacher at the samples, `[n * samples, 16]`, `[n * samples]`, `[n * samples, 3]`; zeros where
            there is none.
        weights: `[terms]`.
    """

    origins: Array | np.ndarray
    directions: Array | np.ndarray
    offset: Array | np.ndarray
    background: Array | np.ndarray
    image: Array | np.ndarray
    feat: Array | np.ndarray
    log_sigma: Array | np.ndarray
    rgb: Array | np.ndarray
    weights: Array | np.ndarray


def distance(a: Real[AnyArray, "*shape"], b: Real[AnyArray, "*shape"], kind: LossType = "normL2") -> Float[Array, ""]:
    """How far apart two arrays are.

    `normL2` is the root of the *sum* of squares over everything, so it grows with the root of the batch; `normL1` the sum of
    magnitudes; `L2` the mean of squares; `smoothL1` the mean of `d^2 / 2` below 1 and `|d| - 1/2` above.

    Raises:
        ValueError: for another kind, or different shapes.

    >>> float(distance(jnp.array([3.0, 0.0]), jnp.array([0.0, 4.0])))
    5.0
    """
    if np.shape(a) != np.shape(b):
        raise ValueError(f"a has shape {np.shape(a)} and b {np.shape(b)}; they need the same one")
    check_loss_type("kind", kind)
    a, b = at_least_float32(a, b)  # differences of uint8 wrap around, and sums of squares overflow float16
    d = a - b
    if kind == "normL2":
        return root(jnp.sum(d**2))
    if kind == "normL1":
        return jnp.sum(jnp.abs(d))
    if kind == "L2":
        return jnp.sum(d**2) / max(d.size, 1)
    return jnp.sum(jnp.where(jnp.abs(d) < 1, d**2 / 2, jnp.abs(d) - 0.5)) / max(d.size, 1)


def volume_terms(student: FieldOut, teacher: FieldOut, kind: LossType = "normL2") -> dict[str, Array]:
    """Differences of two fields at the same samples: `feat` where both have one, `rgb`, `log_sigma` (clipped), `sigma`.

    The paper distils the clipped log-density, whose differences stay bounded where densities grow like exponentials.
    """
    names = ["rgb", "log_sigma", "sigma"]
    if student.feat is not None and teacher.feat is not None:
        names.insert(0, "feat")
    return {name: distance(getattr(student, name), getattr(teacher, name), kind) for name in names}


def distillation_loss(samples: int, kind: LossType = "normL2") -> Callable[[RadianceField, RayTargets, Array], Array]:
    """`loss(field, targets, clip)`: the weighted sum of all terms.

    One function object for each pair of arguments, so that runs share their compiled program.

    Args:
        samples: along a ray.
        kind: of the differences.

    Raises:
        ValueError: for less than one sample, or another kind.
    """
    check_at_least("samples", samples)
    check_loss_type("kind", kind)
    return _distillation_loss(samples, kind)


@cache
def _distillation_loss(samples: int, kind: LossType) -> Callable[[RadianceField, RayTargets, Array], Array]:
    # the cache tells a default from the same value written out, so the arguments are always written out here
    def loss(field: RadianceField, targets: RayTargets, clip: Float[Array, "2"]) -> Float[Array, ""]:
        seen = render_rays(
            field,
            targets.origins,
            targets.directions,
            samples=samples,
            offset=targets.offset,
            background=targets.background,
            clip=clip,
        )
        feat, log_sigma, rgb = map(jnp.asarray, (targets.feat, targets.log_sigma, targets.rgb))
        teacher = FieldOut(feat, log_sigma, jnp.exp(log_sigma), rgb)
        terms = volume_terms(seen.out, teacher, kind)
        terms["image"] = distance(seen.rgb, targets.image, kind)
        terms["mse"] = distance(seen.rgb, targets.image, "L2")
        if isinstance(field, VMField):
            terms["density_l1"] = field.density_l1()
        return reduce(add, [targets.weights[TERMS.index(name)] * value for name, value in terms.items()])

    return loss
