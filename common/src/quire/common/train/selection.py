"""Which of several states of one training run to keep."""

import numpy as np


def early_stopping(losses: np.ndarray, patience: int) -> int:
    """Index of the state that early stopping keeps: the best one before `patience` evaluations in a row brought none better.

    Args:
        losses: validation loss after every epoch.
        patience: how many epochs without improvement end the run.

    Raises:
        ValueError: without a loss, for a loss that is NaN, or for a patience below 1.

    >>> early_stopping(np.array([3.0, 1.0, 2.0, 2.0, 0.5]), patience=2)
    1
    """
    losses = np.asarray(losses, float)
    if losses.ndim != 1 or not losses.size or np.isnan(losses).any():
        raise ValueError(f"losses is {losses}; it needs one number per epoch, and no NaN")
    if patience < 1:
        raise ValueError(f"patience is {patience}; it must be at least 1")
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        elif epoch - best >= patience:
            break
    return best
