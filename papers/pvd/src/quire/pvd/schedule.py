"""Three stages, from shallow to deep: features, then densities and colours, then pixels."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from quire.common.checks import check_at_least
from quire.pvd.config import DistillWeights, check_stages, check_weight
from quire.pvd.losses import TERMS

Course = Literal["staged", "no stage 1", "all at once", "image only", "raw density"]
COURSES: tuple[Course, ...] = get_args(Course)


def stage_weights(
    steps: int,
    stages: tuple[int, int],
    weights: DistillWeights | None = None,
    *,
    course: Course = "staged",
    has_features: bool = True,
) -> Float[np.ndarray, "steps terms"]:
    """Weights of every term at every step.

    Stage 1, before `stages[0]`: features. Stage 2, before `stages[1]`: densities and colours, and features with a weight that
    has almost vanished by then. Stage 3: pixels as well.

    Args:
        steps: how many.
        stages: where the second and the third begin.
        weights: of the terms; the paper's by default.
        course: `staged`, or an ablation: `no stage 1`, `all at once` (the third from the start), `image only` (nothing but
            pixels), `raw density` (staged, with the density in place of its clipped logarithm).
        has_features: False where teacher or student has none (voxels): no term for them, and stage 1 is left out.

    Returns:
        float32 `[steps, terms]`, the terms in the order of `TERMS`.

    Raises:
        ValueError: for an unknown course, no step, or stages that do not ascend from 0.

    >>> names = list(TERMS)
    >>> w = stage_weights(3, (1, 2))
    >>> w[:, names.index("log_sigma")].round(4).tolist(), w[:, names.index("image")].tolist()
    ([0.0, 0.0020000000949949026, 0.0020000000949949026], [0.0, 0.0, 1.0])
    """
    check_at_least("steps", steps)
    check_stages(stages)
    if course not in COURSES:
        raise ValueError(f"course is {course!r}; it must be one of {', '.join(COURSES)}")
    weights = weights or DistillWeights()
    number = np.arange(steps)
    first, second = stages if course not in ("all at once", "image only") else (0, 0)
    if not has_features or course == "no stage 1":
        first = 0
    volume = (number >= first) * float(course != "image only")
    density = ("sigma", "log_sigma") if course == "raw density" else ("log_sigma", "sigma")
    columns = {
        "feat": weights.feat * weights.feat_decay ** (number + 1) * float(has_features and course != "image only"),
        "rgb": weights.rgb * volume,
        density[0]: weights.log_sigma * volume,
        density[1]: weights.sigma * volume,
        "image": weights.image * (number >= second),
        "mse": np.zeros(steps),
        "density_l1": weights.density_l1 * (number >= second),
    }
    return np.stack([columns[name] for name in TERMS], axis=1).astype(np.float32)


def photograph_weights(steps: int, density_l1: float) -> Float[np.ndarray, "steps terms"]:
    """Weights for training on photographs: the mean squared error, and the penalty on planes and lines.

    Raises:
        ValueError: without a step, or for a weight that is negative or not finite.
    """
    check_at_least("steps", steps)
    check_weight("density_l1", density_l1)
    columns = {"mse": 1.0, "density_l1": density_l1}
    return np.tile(np.array([[columns.get(name, 0.0) for name in TERMS]], np.float32), (steps, 1))
