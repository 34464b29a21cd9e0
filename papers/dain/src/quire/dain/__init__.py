"""DAIN: data augmentation for neural tensor completion, guided by the influence of the observed cells.

Oh, Kim, Rossi and Kumar, *Influence-guided Data Augmentation for Neural Tensor Completion*, CIKM 2021, arXiv 2108.10248. Authors'
code: srijankr/DAIN.
"""

from quire.dain import benchmark, claims
from quire.dain.augmentation import DRAWS, NewCells, draw_cells, unseen
from quire.dain.augmented_training import DAIN, Augmented
from quire.dain.baselines import bias_predictions, cp_predictions
from quire.dain.cell_importance import cell_gradients, cell_importance, epoch_influence, relative_importance, streamed_importance
from quire.dain.completion import Completion, fit_completion, predict
from quire.dain.config import PRESETS, Corruption, Preset, Scaling, Setting, Training
from quire.dain.convolution import ModeConvolution
from quire.dain.entity_importance import entity_importance
from quire.dain.entity_mlp import EntityMLP, load_entity_mlp
from quire.dain.errors import mae, mse, rmse
from quire.dain.paper import paper
from quire.dain.sources import (
    TensorData,
    dain_synthetic,
    generated_tensor,
    movielens_1m,
    movielens_100k,
    open_tensor,
    parts,
    read_tensor,
)

__all__ = [
    "DAIN",
    "DRAWS",
    "PRESETS",
    "Augmented",
    "Completion",
    "Corruption",
    "EntityMLP",
    "ModeConvolution",
    "NewCells",
    "Preset",
    "Scaling",
    "Setting",
    "TensorData",
    "Training",
    "benchmark",
    "bias_predictions",
    "cell_gradients",
    "cell_importance",
    "claims",
    "cp_predictions",
    "dain_synthetic",
    "draw_cells",
    "entity_importance",
    "epoch_influence",
    "fit_completion",
    "generated_tensor",
    "load_entity_mlp",
    "mae",
    "movielens_1m",
    "movielens_100k",
    "mse",
    "open_tensor",
    "paper",
    "parts",
    "predict",
    "read_tensor",
    "relative_importance",
    "rmse",
    "streamed_importance",
    "unseen",
]
