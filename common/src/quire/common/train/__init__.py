"""Training: one scan-compiled loop, checkpoints, several seeds at once, several devices."""

from quire.common.train.checkpoint import CheckpointError, Checkpoints
from quire.common.train.loop import (
    History,
    HostBatches,
    TrainingDiverged,
    epoch_indices,
    fit,
    fit_seeds,
    stacked_batch,
    take_batch,
    warmup_cosine,
)
from quire.common.train.selection import early_stopping

__all__ = [
    "CheckpointError",
    "Checkpoints",
    "History",
    "HostBatches",
    "TrainingDiverged",
    "early_stopping",
    "epoch_indices",
    "fit",
    "fit_seeds",
    "stacked_batch",
    "take_batch",
    "warmup_cosine",
]
