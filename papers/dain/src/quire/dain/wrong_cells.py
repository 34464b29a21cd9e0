"""Does the influence of a cell tell whether its value is wrong? A generated tensor of which it is known."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.random import generator
from quire.common.tensors.sparse import SparseTensor
from quire.common.train.seeds import fold_keys
from quire.dain.config import Corruption
from quire.dain.entity_mlp import EntityMLP
from quire.dain.errors import rmse
from quire.dain.side_by_side import Runs, importances, predict_all, train_side_by_side
from quire.dain.sources import generated_tensor, parts


def corrupted(train: SparseTensor, share: float, key: jax.Array) -> tuple[SparseTensor, np.ndarray]:
    """Cells of which a share have the value of another cell, drawn at random, and which these are, bool `[cells]`.

    Raises:
        ValueError: if the share does not lie in [0, 1], or leaves no cell of either kind.
    """
    count = round(share * len(train)) if 0 <= share <= 1 else 0
    if not 0 < count < len(train):
        raise ValueError(f"share is {share}; of {len(train)} cells some but not all must be wrong")
    draw = generator(key)
    wrong = np.zeros(len(train), bool)
    wrong[draw.permutation(len(train))[:count]] = True
    values = np.where(wrong, draw.permutation(train.values), train.values)
    return replace(train, values=values), wrong


def auc(scores: np.ndarray, wrong: np.ndarray) -> float:
    """Probability that a wrong cell has a higher score than a right one.

    Raises:
        ValueError: for scores that are NaN, or cells of one kind only.

    >>> auc(np.array([0.1, 0.9, 0.5]), np.array([False, True, True]))
    1.0
    """
    from sklearn.metrics import roc_auc_score  # a second to import

    if np.isnan(scores).any() or wrong.all() or not wrong.any():
        raise ValueError(
            f"{np.isnan(scores).sum()} scores are NaN and {wrong.sum()} of {wrong.size} cells wrong; both kinds are needed"
        )
    return float(roc_auc_score(wrong, scores))


def find_wrong_cells(config: Corruption, keys: jax.Array) -> dict[str, Any]:
    """Train on cells of which some are wrong, and look for them by their importance.

    Returns:
        `auc` `[seeds]` by score; `scores` `[seeds, cells]`, importances up to the kept epoch; `wrong` `[seeds, cells]`; `rmse`
        `[seeds]` of the test cells, and that of the mean; the name of the data.
    """
    named = [generated_tensor(key, (config.side,) * 3, config.cells, noise=0.1) for key in fold_keys(keys, 2)]
    splits, wrong = [], []
    for data, key in zip(named, fold_keys(keys, 3), strict=True):
        train, validation, test = parts(data.tensor, key)
        train, bad = corrupted(train, config.wrong, key)
        splits.append((train, validation, test))
        wrong.append(bad)
    trains = [train for train, _, _ in splits]

    def build(rngs):
        return EntityMLP(trains[0].dims, config.layers, rngs=rngs)

    runs = train_side_by_side(build, trains, splits, config.training, keys)
    at_best, at_all = (importances(build, runs, splits, keys, all_epochs=whole) for whole in (False, True))
    by_score = {
        "-I": -at_best,
        "-I, all epochs": -at_all,
        "|I|": np.abs(at_best),
        "|residual|": _residuals(runs, trains),
        "random": np.stack([generator(key).random(len(trains[0])) for key in fold_keys(keys, 4)]),
    }
    test = np.stack([test.values for _, _, test in splits])
    return {
        "auc": {name: np.array([auc(*of) for of in zip(scores, wrong, strict=True)]) for name, scores in by_score.items()},
        "scores": at_best,
        "wrong": np.stack(wrong),
        "rmse": {"network": rmse(runs.test, test), "mean value": rmse(np.full_like(test, trains[0].values.mean()), test)},
        "data": f"{named[0].name}, {config.wrong:.0%} of the training cells wrong",
    }


def _residuals(runs: Runs, trains: list[SparseTensor]) -> np.ndarray:
    predicted = predict_all(runs.graph, runs.best_states(), jnp.stack([train.indices for train in trains]))[:, 0]
    return np.abs(np.asarray(predicted) - np.stack([train.values for train in trains]))
