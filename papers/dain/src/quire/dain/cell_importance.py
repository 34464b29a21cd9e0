"""Importance of the training cells: how far learning from each of them lowers the loss of the validation cells."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, Real

from quire.common.checks import check_at_least, is_concrete
from quire.common.metrics.influence import last_layer_gradients, tracin
from quire.dain.entity_mlp import Prediction

Model = Callable[[Array | np.ndarray], Prediction]
Cells = tuple[Int[Array | np.ndarray, "_ modes"], Real[Array | np.ndarray, " _"]]
"""Indices and values."""

BLOCK = 8192
"""Cells whose hidden activations are held at once."""


def cell_gradients(model: Model, cells: Cells) -> Float[Array, "_ width"]:
    """`g(x) = (y(x) - v) h(x)`: gradients of `(y - v)^2 / 2` of every cell by the weights of the output layer.

    Args:
        model: indices to values and last hidden activations.
        cells: indices `[n, K]` and values `[n]`.

    Raises:
        ValueError: if there is not one value for each cell.

    References:
        Section 4.1.
    """
    indices, values = cells
    predicted, hidden = model(indices)
    if values.shape != predicted.shape:
        raise ValueError(f"values have shape {values.shape}; {len(indices)} cells need {predicted.shape}")
    return last_layer_gradients(predicted - jnp.asarray(values), hidden)


def cell_importance(
    train: Real[Array, "epochs cells width"], validation: Real[Array, "epochs others width"]
) -> Float[Array, " cells"]:
    """`I(x) = sum_e <g_e(x), sum_z g_e(z)>`: from gradients that were stored at every epoch up to the checkpoint.

    Args:
        train: gradients of the training cells.
        validation: gradients of the validation cells.

    Returns:
        Importances; positive ones help.

    Raises:
        ValueError: if epochs or widths differ, or without a training cell.

    References:
        Section 4.1; the learning rate, a constant, is left out, as in the authors' code.

    >>> cell_importance(jnp.array([[[1.0, 0.0], [0.0, -2.0]]]), jnp.array([[[1.0, 1.0], [2.0, 0.0]]])).tolist()
    [3.0, -2.0]
    """
    if train.ndim != 3 or validation.ndim != 3:
        raise ValueError(f"train has shape {train.shape}, validation {validation.shape}; both are [epochs, cells, width]")
    check_at_least("number of training cells", train.shape[1])
    return tracin(train, validation.sum(1))


def validation_direction(model: Model, validation: Cells, block: int = BLOCK) -> Float[Array, " width"]:
    """`sum_z g(z)` over the validation cells, block by block."""
    blocks, real = _in_blocks(validation, block)
    width = jax.eval_shape(lambda cells: cell_gradients(model, cells), jax.tree.map(lambda x: x[0], blocks))

    def add(total, part):
        cells, kept = part
        return total + kept @ cell_gradients(model, cells), None

    return jax.lax.scan(add, jnp.zeros(width.shape[1], width.dtype), (blocks, real.astype(width.dtype)))[0]


def epoch_influence(model: Model, train: Cells, validation: Cells, block: int = BLOCK) -> Float[Array, " cells"]:
    """`<g(x), sum_z g(z)>` of every training cell for the model as it is now: one pass over all cells.

    No more than a block of gradients is held: the sum over the validation cells comes first.

    Args:
        model: indices to values and last hidden activations.
        train, validation: indices and values.
        block: cells at once.

    Raises:
        ValueError: without validation cells, for values that do not fit, or a block below 1.
    """
    check_at_least("number of validation cells", len(validation[0]))
    direction = validation_direction(model, validation, block)
    blocks, _ = _in_blocks(train, block)
    scores = jax.lax.map(lambda cells: tracin(cell_gradients(model, cells), direction), blocks)
    return scores.reshape(-1)[: len(train[0])]


def _in_blocks(cells: Cells, block: int) -> tuple[Any, np.ndarray]:
    """Cells `[blocks, block, ...]`, the last block filled up with zeros, and which of them are real, bool `[blocks, block]`."""
    indices, values = cells
    count = len(indices)
    if values.shape != (count,):
        raise ValueError(f"values have shape {values.shape}; {count} cells need {(count,)}")
    block = min(check_at_least("block", block), max(count, 1))
    padding = -count % block
    indices = jnp.pad(jnp.asarray(indices), ((0, padding), (0, 0))).reshape(-1, block, indices.shape[1])
    values = jnp.pad(jnp.asarray(values), (0, padding)).reshape(-1, block)
    return (indices, values), (np.arange(count + padding) < count).reshape(-1, block)


def streamed_importance(
    graph: nnx.GraphDef,
    states: Any,
    weights: Real[Array | np.ndarray, " epochs"],
    train: Cells,
    validation: Cells,
    block: int = BLOCK,
) -> Float[Array, " cells"]:
    """`sum_e weight_e <g_e(x), sum_z g_e(z)>` over the states of a model at several epochs, added up epoch by epoch.

    The same as `cell_importance` of the stored gradients, in memory for the cells instead of epochs x cells x width.

    Args:
        graph: of the model.
        states: its weights, with a leading epoch axis.
        weights: of the epochs: 1 up to the checkpoint and 0 after it, or learning rates.
        train, validation: indices and values.
        block: cells whose activations are held at once.

    Raises:
        ValueError: as `epoch_influence`.
    """

    def add(total, epoch):
        state, weight = epoch
        return total + weight * epoch_influence(nnx.merge(graph, state), train, validation, block), None

    dtype = jnp.result_type(*jax.tree.leaves(states))
    return jax.lax.scan(add, jnp.zeros(len(train[0]), dtype), (states, jnp.asarray(weights, dtype)))[0]


def relative_importance(scores: Real[Array, " cells"], by: Literal["magnitude", "max"] = "magnitude") -> Float[Array, " cells"]:
    """Importances divided by the largest of them.

    Args:
        scores: I.
        by: `"magnitude"` divides by `max |I|`; `"max"` by `max I` as the authors do, which would flip all signs where no cell
            helps.

    Raises:
        ValueError: for another `by`, or with `"max"` where no importance is positive.

    >>> relative_importance(jnp.array([1.0, -4.0])).tolist(), relative_importance(jnp.array([1.0, -4.0]), "max").tolist()
    ([0.25, -1.0], [1.0, -4.0])
    """
    if by not in ("magnitude", "max"):
        raise ValueError(f"by is {by!r}; it must be 'magnitude' or 'max'")
    largest = jnp.max(jnp.abs(scores) if by == "magnitude" else scores, initial=0)
    if by == "max" and is_concrete(largest) and not largest > 0:
        raise ValueError("scores hold no positive number; by='max' needs one")
    return scores / jnp.where(largest == 0, 1, largest)
