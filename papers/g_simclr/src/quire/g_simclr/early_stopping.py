"""Epochs until the validation loss has not improved for a while, the best state restored."""

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from quire.common.checks import check_at_least
from quire.common.train.finite import TrainingDiverged

State = TypeVar("State")


def train_until_worse(
    epoch: Callable[[State, int], State], validate: Callable[[State], float], state: State, *, epochs: int, patience: int = 2
) -> tuple[State, list[float]]:
    """The state with the least validation loss, and all losses; the run ends `patience` epochs behind the best one.

    Args:
        epoch: `(state, number) -> state`.
        validate: the loss that decides.
        state: before the first epoch; it is not a candidate.
        epochs: at most so many.
        patience: epochs without improvement that end the run.

    Raises:
        ValueError: for epochs or a patience below 1.
        TrainingDiverged: for a loss that is not finite.

    >>> losses = iter([3.0, 1.0, 2.0, 2.0, 0.5])
    >>> train_until_worse(lambda state, number: number, lambda state: next(losses), -1, epochs=5)
    (1, [3.0, 1.0, 2.0, 2.0])
    """
    check_at_least("epochs", epochs)
    check_at_least("patience", patience)
    best, losses = state, []
    for number in range(epochs):
        state = epoch(state, number)
        losses.append(float(validate(state)))
        if not np.isfinite(losses[-1]):
            raise TrainingDiverged(f"the validation loss of epoch {number} is {losses[-1]}", number)
        least = int(np.argmin(losses))
        if least == number:
            best = state
        elif number - least >= patience:
            break
    return best, losses
