"""Whether a run is still sound: no loss, parameter, statistic or moment of the optimiser may cease to be finite."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.errors import QuireError


class TrainingDiverged(QuireError):
    """A run stopped being finite.

    Args:
        what: what did, of which seed, and when.
        step: the first step (from 0) whose loss was not finite; for a state, the first of the steps after which it was looked at.
    """

    def __init__(self, what: str, step: int):
        super().__init__(f"{what}; lower the learning rate, clip gradients or check the inputs")
        self.step = step


def check_losses(losses: np.ndarray, first_step: int = 0) -> None:
    """Look for a loss that is not finite.

    Args:
        losses: `[steps]`, or `[seeds, steps]`.
        first_step: number of the first one.

    Raises:
        TrainingDiverged: naming the seed and the step.
    """
    wrong = np.argwhere(~np.isfinite(losses))
    if len(wrong):
        *seed, step = wrong[0].tolist()
        of_seed = f" of seed {seed[0]}" if seed else ""
        value = float(losses[tuple(wrong[0])])
        raise TrainingDiverged(f"the loss{of_seed} became {value} at step {first_step + step}", first_step + step)


def check_state(state: Any, start: int, stop: int, *, infinite: frozenset[str] = frozenset(), of_seeds: bool = False) -> None:
    """Look for a number in a state that is not finite. On a CPU this compiles nothing.

    Args:
        state: pytree of arrays; those that are neither real nor complex are passed over.
        start, stop: the state is that after the steps `start` to `stop - 1`.
        infinite: leaves that may hold infinities, though no NaN; from `infinite_leaves`.
        of_seeds: whether leaves have a leading seed axis.

    Raises:
        TrainingDiverged: naming the leaf, the seed and the steps.
    """
    sound = {name: _sound(x, name in infinite, of_seeds) for name, x in _floating_leaves(state)}
    for name, flags in sound.items():
        if not np.all(flags):
            of_seed = f" of seed {int(np.argmin(flags))}" if of_seeds else ""
            raise TrainingDiverged(f"{name}{of_seed} is not finite after steps {start} to {stop - 1}", start)


def infinite_leaves(state: Any) -> frozenset[str]:
    """Names of the leaves that hold an infinity from the start, as a mask of scores does."""
    return frozenset(name for name, x in _floating_leaves(state) if np.isinf(np.asarray(x)).any())


def leaf_name(path: tuple) -> str:
    """A leaf of a state as one writes it, `blocks.0.kernel`: without the attribute that holds the value of a variable."""
    return jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")


def _floating_leaves(state: Any) -> Iterator[tuple[str, Any]]:
    for path, x in jax.tree.leaves_with_path(state):
        if jnp.issubdtype(x.dtype, jnp.inexact):
            yield leaf_name(path), x


def _sound(x: Any, may_be_infinite: bool, of_seeds: bool) -> Any:
    on_host = not isinstance(x, jax.Array) or (x.is_fully_addressable and all(d.platform == "cpu" for d in x.devices()))
    library = np if on_host else jnp
    x = np.asarray(x) if on_host else x
    good = ~library.isnan(x) if may_be_infinite else library.isfinite(x)
    return good.all(axis=tuple(range(1, x.ndim)) if of_seeds else None)
