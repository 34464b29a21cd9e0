"""Regression on graphs: the synthetic K4 task, and the paper's recipe (LAMB, plateau schedule, early stop)."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from quire.common.checks import check_at_least, check_positive
from quire.common.graphs.dense import random_graphs
from quire.common.graphs.evaluate import evaluate
from quire.common.graphs.multigraph import MultiGraph
from quire.common.train.finite import TrainingDiverged, check_losses, check_state

Batch = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
"""Channels `[B, C, n, n]`, mask, sizes, targets `[B, out]`."""


def clique_task(key: jax.Array, count: int, n: int) -> tuple[jax.Array, jax.Array]:
    """Random graphs and standardised targets: `log(1 + #K4)` with edges, triangles and edges^2 regressed out.

    Args:
        key: of the graphs.
        count: number of graphs.
        n: nodes of each.

    Returns:
        `[count, n, n]` and `[count, 1]`.

    Raises:
        ValueError: for sizes below 1, or if nothing of the target is left: graphs too small for cliques, or too few of them.
    """
    A = random_graphs(key, count, n)
    edges = A.sum((1, 2)) / 2
    triangles = evaluate(MultiGraph.from_spec("ab,bc,ca->"), A) / 6
    cliques = evaluate(MultiGraph.from_spec("ab,ac,ad,bc,bd,cd->"), A) / 24
    known = np.stack([np.ones(count), edges, triangles, np.asarray(edges) ** 2], 1).astype(float)
    known /= np.maximum(np.abs(known).max(0), 1)
    target = np.log1p(np.asarray(cliques, float))
    rest = target - known @ np.linalg.lstsq(known, target, rcond=None)[0]
    if not rest.std() > 1e-9 * max(1, np.abs(target).max()):
        raise ValueError(f"count is {count} and n {n}; edges and triangles explain all 4-cliques of so few or so small graphs")
    return A, jnp.asarray((rest / rest.std())[:, None], jnp.float32)


def l1_loss(model: nnx.Module, batch: Batch, key: jax.Array | None = None) -> jax.Array:
    """Mean absolute error.

    Raises:
        ValueError: unless there is a target for every output.
    """
    *inputs, target = batch
    return _apart(model(*inputs), target)


def _apart(out: jax.Array, target: jax.Array) -> jax.Array:
    if out.shape != target.shape:
        raise ValueError(f"targets have shape {target.shape} and outputs {out.shape}; they need the same one")
    return jnp.abs(out - target).mean()


@nnx.jit(static_argnums=2)
def predict(model: nnx.Module, inputs: Sequence[jax.Array], batch_size: int) -> jax.Array:
    """Outputs `[B, out]` for channels, mask and sizes of many graphs, `batch_size` at a time."""
    graph, state = nnx.split(model)
    return jax.lax.map(lambda row: nnx.merge(graph, state)(*(a[None] for a in row))[0], tuple(inputs), batch_size=batch_size)


@dataclass(frozen=True)
class TrainingConfig:
    """The paper's recipe.

    Attributes:
        learning_rate: LAMB's, at the start.
        patience: epochs without a better validation error before the rate is halved.
        min_learning_rate: the run stops below it.
        epochs, batch_size: length.

    Raises:
        ValueError: for a rate that is not positive, a size below 1 or a negative patience.
    """

    learning_rate: float = 2e-3
    patience: int = 10
    min_learning_rate: float = 1e-5
    epochs: int = 1000
    batch_size: int = 128

    def __post_init__(self):
        for name in ("learning_rate", "min_learning_rate"):
            check_positive(name, getattr(self, name))
        for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 0)):
            check_at_least(name, getattr(self, name), least)


def train_regression(
    model: nnx.Module, train: Batch, validation: Batch, config: TrainingConfig, key: jax.Array
) -> list[dict[str, float]]:
    """Train in place on the L1 loss with LAMB; halve the rate on a plateau of the validation error, stop when it is tiny.

    Args:
        model: called with channels, mask and sizes.
        train, validation: arrays with leading graph axes.
        config: recipe.
        key: for the shuffles.

    Returns:
        Training and validation error and learning rate of every epoch.

    Raises:
        ValueError: if there are fewer training graphs than a batch holds, or none to validate on; if arrays differ in their
            numbers of graphs, or targets in shape from outputs.
        TrainingDiverged: if a loss, a parameter or a validation error is not finite.
    """
    for name, batch in (("train", train), ("validation", validation)):
        if len(counts := {len(part) for part in batch}) > 1:
            raise ValueError(f"{name} has arrays of {sorted(counts)} graphs; they need the same number")
    count = len(train[-1])
    steps = count // config.batch_size
    if steps < 1:
        raise ValueError(f"train holds {count} graphs; a batch needs {config.batch_size}")
    if not len(validation[-1]):
        raise ValueError("validation holds no graph; it needs at least one")
    graph, params = nnx.split(model)
    tx = optax.inject_hyperparams(optax.lamb)(learning_rate=config.learning_rate)
    opt_state, epoch = tx.init(params), _epoch(graph, tx)

    rate, best, waited, history = config.learning_rate, np.inf, 0, []
    for number in range(config.epochs):
        order = jax.random.permutation(jax.random.fold_in(key, number), count)[: steps * config.batch_size]
        opt_state = optax.tree.set(opt_state, learning_rate=jnp.asarray(rate, jnp.float32))
        params, opt_state, losses = epoch(params, opt_state, train, order.reshape(steps, -1))
        check_losses(np.asarray(losses), number * steps)
        check_state(params, number * steps, (number + 1) * steps)
        nnx.update(model, params)
        value = float(_apart(predict(model, validation[:-1], config.batch_size), validation[-1]))
        if not np.isfinite(value):
            raise TrainingDiverged(f"the validation error became {value} in epoch {number}", number * steps)
        history.append({"train": float(losses.mean()), "validation": value, "learning rate": rate})
        best, waited = (value, 0) if value < best else (best, waited + 1)
        if waited > config.patience:
            rate, waited = rate / 2, 0
        if rate < config.min_learning_rate:
            break
    return history


def _epoch(graph: nnx.GraphDef, tx: optax.GradientTransformation):
    """One pass over the training graphs: `params, opt_state, train, order [steps, B] -> params, opt_state, losses [steps]`."""

    @jax.jit
    def epoch(params, opt_state, train, order):
        def step(state, rows):
            params, opt_state = state
            batch = jax.tree.map(lambda a: a[rows], train)
            value, grads = jax.value_and_grad(lambda p: l1_loss(nnx.merge(graph, p), batch))(params)
            updates, opt_state = tx.update(grads, opt_state, params)
            return (optax.apply_updates(params, updates), opt_state), value

        (params, opt_state), losses = jax.lax.scan(step, (params, opt_state), order)
        return params, opt_state, losses

    return epoch
