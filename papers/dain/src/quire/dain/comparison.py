"""The comparison: one network on the observed cells, and on the same cells with those of every way to draw new ones."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import shared
from quire.common.tensors.sparse import SparseTensor
from quire.common.train.seeds import fold_keys
from quire.dain.augmentation import draw_cells, enlarged
from quire.dain.baselines import bias_predictions, cp_predictions
from quire.dain.config import Preset, Setting
from quire.dain.entity_mlp import EntityMLP
from quire.dain.errors import mae, rmse
from quire.dain.side_by_side import Runs, Split, importances, predict_all, train_side_by_side
from quire.dain.sources import TensorData, open_tensor, parts

MAIN = ("DAIN", "duplicates", "uniform cells", "frequency", "random values")
"""Kinds of new cells that claims are about."""

FURTHER = ("positive influence", "weighted duplicates", "entity replacement")
"""Kinds of new cells that are shown for one seed."""

CP = ("biases + CP", "biases + CP, DAIN's cells")
"""Models without a network that are shown for one seed."""

NO_AUGMENTATION, SAME_START, TWO_NETWORKS = "no augmentation", "DAIN, same start", "mean of two networks"


class Arm(NamedTuple):
    """A network that is trained on enlarged cells.

    Attributes:
        name: as tables show it.
        kind: of the new cells, a name in `DRAWS`.
        seed: number of the seed.
        fresh: whether it starts from weights of its own, rather than from those that the first network started from.
    """

    name: str
    kind: str
    seed: int
    fresh: bool = True


def drawn_tensors(
    arms: Sequence[Arm], runs: Runs, splits: Sequence[Split], scores: np.ndarray, ratio: float, keys: Any
) -> list[SparseTensor]:
    """Training cells of every arm with its new ones, whose values are predictions of the seed's first network."""
    draws = fold_keys(keys, 3)
    new = [draw_cells(arm.kind, splits[arm.seed][0], scores[arm.seed], ratio, draws[arm.seed]) for arm in arms]
    teachers = jax.tree.map(lambda x: x[np.array([arm.seed for arm in arms])], runs.best_states())
    predicted = np.asarray(predict_all(runs.graph, teachers, np.stack([cells.indices for cells in new])))[:, 0]
    return [
        enlarged(splits[arm.seed][0], cells, lambda _, values=values: values)
        for arm, cells, values in zip(arms, new, predicted, strict=True)
    ]


class Compared(NamedTuple):
    """Networks without and with new cells, on the same splits.

    Attributes:
        splits: of every seed.
        base: networks of the observed cells, one for each seed.
        scores: importances of the training cells, `[seeds, cells]`.
        arms, runs, trains: what was trained besides, and on which cells.
    """

    splits: list[Split]
    base: Runs
    scores: np.ndarray
    arms: list[Arm]
    runs: Runs
    trains: list[SparseTensor]

    def of(self, name: str, numbers: Callable[[Runs], np.ndarray]) -> np.ndarray:
        """Numbers of one arm, or of "no augmentation", with a leading seed axis."""
        if name == NO_AUGMENTATION:
            return numbers(self.base)
        return numbers(self.runs)[np.array([arm.name == name for arm in self.arms])]


def compare(
    setting: Setting,
    data: TensorData,
    keys: jax.Array,
    kinds: Sequence[str],
    further: Sequence[str] = (),
) -> Compared:
    """Train networks without new cells, and with those of every kind.

    Within a seed the split is the same, and all arms start from the same weights: others than those of the first network, whose
    predictions they learn from. One more arm, DAIN again, starts from those of the first network.

    Args:
        setting: network and recipe.
        data: all cells.
        keys: of the seeds.
        kinds: names in `DRAWS`, for every seed.
        further: names in `DRAWS`, for the first seed alone.
    """
    splits = [parts(data.tensor, key, data.share) for key in fold_keys(keys, 2)]

    def build(rngs: nnx.Rngs) -> EntityMLP:
        return EntityMLP(data.tensor.dims, setting.layers, rngs=rngs)

    base = train_side_by_side(build, [train for train, _, _ in splits], splits, setting.training, keys)
    scores = importances(build, base, splits, keys)
    seeds = range(len(keys))
    arms = [Arm(kind, kind, seed) for kind in kinds for seed in seeds] + [Arm(kind, kind, 0) for kind in further]
    arms += [Arm(SAME_START, "DAIN", seed, fresh=False) for seed in seeds]
    trains = drawn_tensors(arms, base, splits, scores, setting.ratio, keys)
    fresh = fold_keys(keys, 4)
    starts = jnp.stack([fresh[arm.seed] if arm.fresh else keys[arm.seed] for arm in arms])
    runs = train_side_by_side(build, trains, [splits[arm.seed] for arm in arms], setting.training, starts)
    return Compared(splits, base, scores, arms, runs, trains)


def run_comparison(setting: Setting, keys: jax.Array) -> dict[str, Any]:
    """The numbers of C4 and C5.

    Returns:
        `rmse` and `mae` of the test cells `[seeds]` by arm, models without a network included; `further`, RMSE of the first seed;
        `curves` `[seeds, epochs]`, validation RMSE; `scores` `[seeds, cells]` and `indices` of the training cells, `dims`; the
        names of the data.
    """
    source = open_tensor(setting, keys[0])
    found = compare(setting, source.value, keys, MAIN, FURTHER)
    names = (NO_AUGMENTATION, *MAIN)
    guesses = {name: found.of(name, lambda runs: runs.test) for name in (*names, *FURTHER, SAME_START)}
    guesses[TWO_NETWORKS] = (guesses[NO_AUGMENTATION] + guesses["duplicates"]) / 2
    guesses |= without_network(setting, found, keys[0])
    test = np.stack([test.values for _, _, test in found.splits])
    errors = {name: rmse(guess, test[: len(guess)]) for name, guess in guesses.items()}
    further = (*FURTHER, *CP)
    return {
        "rmse": {name: error for name, error in errors.items() if name not in further},
        "mae": {name: mae(guess, test) for name, guess in guesses.items() if name not in further},
        "further": {name: float(errors[name][0]) for name in (*names, *further)},
        "curves": {name: found.of(name, lambda runs: np.sqrt(runs.validation)) for name in names},
        "scores": found.scores,
        "indices": np.stack([train.indices for train, _, _ in found.splits]),
        "dims": source.value.tensor.dims,
        "data": source.name,
        "stand_in_for": source.stand_in_for,
    }


def without_network(setting: Setting, found: Compared, key: jax.Array) -> dict[str, np.ndarray]:
    """Predictions of the test cells `[seeds, cells]` by models that are not neural; by CP for the first seed."""
    enlarged = next(train for train, arm in zip(found.trains, found.arms, strict=True) if arm.name == "DAIN")
    train, validation, test = found.splits[0]
    cp = [cp_predictions(cells, validation, test.indices, setting.cp_rank, key)[None] for cells in (train, enlarged)]
    return {
        "user + item biases": np.stack([bias_predictions(train, test.indices) for train, _, test in found.splits]),
        "mean value": np.stack([np.full(len(test), train.values.mean()) for train, _, test in found.splits]),
        **dict(zip(CP, cp, strict=True)),
    }


@shared
def comparison(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`run_comparison` of the preset's setting."""
    return run_comparison(preset.setting, keys)
