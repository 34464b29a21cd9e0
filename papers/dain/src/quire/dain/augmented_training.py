"""DAIN from a tensor to a completed one: train, weigh cells and entities, draw new cells, train again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import get_args

import jax
import numpy as np
from flax import nnx

from quire.common.tensors.sparse import SparseTensor
from quire.dain.augmentation import NewCells, by_importance, count_new, enlarged, unseen
from quire.dain.completion import Completion, Record, fit_completion, predict
from quire.dain.config import Training
from quire.dain.entity_importance import Sign
from quire.dain.entity_mlp import EntityMLP
from quire.dain.errors import mae, mse, rmse
from quire.dain.sources import parts

Build = Callable[[Sequence[int], nnx.Rngs], nnx.Module]
"""`build(dims, rngs)`, a model: indices to values and last hidden activations."""


@dataclass(frozen=True)
class Augmented:
    """What DAIN made of a tensor.

    Attributes:
        first, model: the networks before and after augmentation, each at its best epoch.
        first_run, run: their training.
        train, validation, test: the split; `train` holds the observed cells alone.
        new: cells that were added, with values.
    """

    first: nnx.Module
    model: nnx.Module
    first_run: Completion
    run: Completion
    train: SparseTensor
    validation: SparseTensor
    test: SparseTensor
    new: SparseTensor

    def predict(self, indices: np.ndarray) -> np.ndarray:
        """Values of any cells, by the network after augmentation."""
        return predict(self.model, indices)

    def test_errors(self) -> dict[str, dict[str, float]]:
        """RMSE, MSE and MAE on the test cells, before and after."""
        found = {}
        for name, model in (("before", self.first), ("after", self.model)):
            guess = predict(model, self.test.indices)
            found[name] = {kind.__name__: float(kind(guess, self.test.values)) for kind in (rmse, mse, mae)}
        return found


@dataclass(frozen=True)
class DAIN:
    """Influence-guided data augmentation.

    Attributes:
        ratio: new cells for each training cell; 0.5 in the authors' code.
        layers: of the entity-embedding network.
        training: of both networks.
        mode: what becomes of negative importances; the authors drop the sign.
        record: when gradients are recorded, see `fit_completion`.
        dedup: drop new cells that are observed already, or come twice; the authors keep them.
        clip: keep predicted values within the range of the observed ones; the authors do not.
        build: another network than the entity-embedding one.

    Raises:
        ValueError: for a negative ratio, or an unknown mode or record.

    >>> from quire.dain.sources import generated_tensor
    >>> tensor = generated_tensor(jax.random.key(0), (8, 6, 4), 100).tensor
    >>> found = DAIN(layers=(6, 5), training=Training(epochs=2, batch_size=32)).fit(tensor, jax.random.key(1))
    >>> len(found.train), len(found.new), found.predict(np.array([[0, 1, 2]])).shape
    (72, 36, (1,))
    """

    ratio: float = 0.5
    layers: tuple[int, ...] = (150, 1024, 1024, 128)
    training: Training = field(default_factory=Training)
    mode: Sign = "abs"
    record: Record = "epoch"
    dedup: bool = False
    clip: bool = False
    build: Build | None = None

    def __post_init__(self):
        if not 0 <= self.ratio < float("inf"):
            raise ValueError(f"ratio is {self.ratio}; it must be at least 0, and finite")
        for name, known in (("mode", Sign), ("record", Record)):
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(get_args(known))}")

    def fit(self, tensor: SparseTensor | tuple[SparseTensor, SparseTensor, SparseTensor], key: jax.Array) -> Augmented:
        """Train on a tensor, or on its training, validation and test cells.

        Args:
            tensor: observed cells; split by 72, 18 and 10 % where it is one tensor.
            key: of the split, the weights, the order of cells and the new cells.

        Raises:
            ValueError: if a part would be empty, or no entity has any importance.
            TrainingDiverged: if a loss or weight ceases to be finite.
        """
        split, weights, order, draws = jax.random.split(key, 4)
        train, validation, test = parts(tensor, split) if isinstance(tensor, SparseTensor) else tensor
        first, first_run = self._trained(train, validation, weights, order)
        drawn = by_importance(train, first_run.importance, count_new(train, self.ratio), draws, self.mode)
        if self.dedup:
            drawn = NewCells(drawn.indices[unseen(drawn.indices, train.indices, train.dims)])
        both = enlarged(train, drawn, lambda indices: self._clipped(predict(first, indices), train.values))
        model, run = self._trained(both, validation, *jax.random.split(jax.random.fold_in(key, 1)))
        new = both[np.arange(len(train), len(both))]
        return Augmented(first, model, first_run, run, train, validation, test, new)

    def _trained(self, train, validation, weights, order):
        build = self.build or (lambda dims, rngs: EntityMLP(dims, self.layers, rngs=rngs))
        model = build(train.dims, nnx.Rngs(weights))
        return model, fit_completion(model, train, validation, self.training, key=order, record=self.record)

    def _clipped(self, predicted, values):
        return np.clip(predicted, values.min(), values.max()) if self.clip else predicted
