"""Training of supernets and of settled tables, many runs at once: one program, since runs differ in their plans alone."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Float, Int

from quire.common.data.click_logs import ClickLog
from quire.common.data.splits import random_parts
from quire.common.layers.ctr import log_loss
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import fit_seeds, fold_keys
from quire.common.train.seeds import stack as stacked
from quire.common.train.selection import early_stopping
from quire.optembed.base_models import CTRModel
from quire.optembed.config import Training
from quire.optembed.embedding_table import OptEmbedTable
from quire.optembed.ranking import roc_auc
from quire.optembed.supernet import Mode, Plan, Supernet, fixed_plan, plan_loss, settled_loss, supernet_plan

FRACTIONS = (0.8, 0.1, 0.1)
"""Training, validation and test, as the authors split."""


class Parts(NamedTuple):
    """Rows of a log."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_log(log: ClickLog, key: jax.Array, first: int = 0, count: int | None = None) -> Parts:
    """A random split of the examples `first .. first + count - 1`, of all by default."""
    found = random_parts(len(log.label) - first if count is None else count, FRACTIONS, generator(key))
    return Parts(*((first + rows).astype(np.int32) for rows in found))


def build_supernet(log: ClickLog, config: Training, rngs: nnx.Rngs, **options: Any) -> Supernet:
    """A supernet for the fields of a log; options are those of `OptEmbedTable`."""
    table = OptEmbedTable(log.sizes, config.dim, **options, rngs=rngs)
    base = CTRModel(config.kind, log.sizes, config.dim, hidden=config.hidden, cross_layers=config.cross_layers, rngs=rngs)
    return Supernet(table, base)


def optimiser(config: Training) -> optax.GradientTransformation:
    """Adam for the network, L2 added to the gradient of embeddings, and another Adam for thresholds.

    Moments are kept as one vector: an update is then one kernel to compile.
    """
    network = optax.chain(
        optax.add_decayed_weights(config.decay, mask=_are_embeddings), optax.flatten(optax.adam(config.learning_rate))
    )
    thresholds = optax.adam(config.threshold_rate)
    return optax.partition({"network": network, "threshold": thresholds}, _groups)


def _groups(params: Any) -> Any:
    return jax.tree.map_with_path(lambda path, _: "threshold" if "threshold" in jax.tree_util.keystr(path) else "network", params)


def _are_embeddings(params: Any) -> Any:
    return jax.tree.map_with_path(lambda path, _: "table" in jax.tree_util.keystr(path), params)


class Trained(NamedTuple):
    """Runs of one program, each as early stopping leaves it.

    Attributes:
        graph: of the supernet.
        state: with a leading axis of runs.
        validation, test: AUC `[runs]`.
        log_loss: on the test part, `[runs]`.
        epoch: which one was kept, from 0, `[runs]`.
        losses: `[runs, steps]`.
    """

    graph: nnx.GraphDef[Supernet]
    state: Any
    validation: np.ndarray
    test: np.ndarray
    log_loss: np.ndarray
    epoch: np.ndarray
    losses: np.ndarray

    def net(self, run: int | np.integer) -> Supernet:
        """The supernet of a run, ready to be evaluated."""
        net = nnx.merge(self.graph, jax.tree.map(lambda x: jnp.asarray(x[run]), self.state))
        net.eval()
        return net


def train(
    log: ClickLog, config: Training, plans: Sequence[Plan], parts: Sequence[Parts], keys: Sequence[jax.Array], **options: Any
) -> Trained:
    """Train as many runs as there are plans; runs with equal keys start alike and see the same batches.

    Args:
        log: of clicks.
        config: base model and training.
        plans: of the runs.
        parts: of the log, of every run. Parts of all runs must have equal sizes.
        keys: of the runs.
        options: of `OptEmbedTable`, for all runs.

    Returns:
        Each run at the epoch that early stopping on validation AUC keeps.

    Raises:
        ValueError: if there is not one part and one key for each plan, or parts differ in size.
        TrainingDiverged: as `fit_seeds`.
    """
    if not len(plans) == len(parts) == len(keys):
        raise ValueError(f"there are {len(plans)} plans, {len(parts)} parts and {len(keys)} keys; every run needs one of each")
    if len(lengths := {tuple(map(len, part)) for part in parts}) > 1:
        raise ValueError(f"parts has sizes {sorted(lengths)}; those of all runs must be equal")
    per_epoch = config.epoch_steps(len(parts[0].train))
    steps = config.epochs * per_epoch
    order = np.stack(
        [
            part.train[epoch_indices(key, len(part.train), config.batch_size, steps)]
            for part, key in zip(parts, fold_keys(jnp.stack(keys), 1), strict=True)
        ]
    )
    values, labels, plan = jnp.asarray(log.values), jnp.asarray(log.label), stacked(plans)

    def batch_at(data, step):
        rows = data[0][step]
        return values[rows], labels[rows], data[1]

    graph, state, losses = fit_seeds(
        lambda rngs: build_supernet(log, config, rngs, **options),
        optimiser(config),
        plan_loss if np.any(plan.learn | plan.sample) else settled_loss,
        batch_at,
        (order, plan),
        steps=steps,
        keys=jnp.stack(keys),
        snapshots=config.epochs,
    )
    if config.epochs == 1:
        state = jax.tree.map(lambda x: x[:, None], state)
    scores = _scores(graph, state, plan, values, labels, parts)
    return _early_stopped(graph, state, scores, np.asarray(losses))


def _scores(graph, state, plan: Plan, values, labels, parts: Sequence[Parts]) -> np.ndarray:
    """Validation AUC, test AUC and test log loss of every run and epoch, `[runs, epochs, 3]`; no dimension is drawn."""

    def of_state(state, plan, validation, test):
        net = nnx.merge(graph, state)
        net.eval()

        def logits(rows):
            return net(values[rows], plan.dim_index, keep=plan.keep, learn=plan.learn)

        found, held = logits(test), logits(validation)
        return jnp.stack([roc_auc(labels[validation], held), roc_auc(labels[test], found), log_loss(found, labels[test])])

    def of_run(run):
        state, *rest = run
        return jax.lax.map(lambda one: of_state(one, *rest), state)

    held, tested = (np.stack([part[i] for part in parts]) for i in (1, 2))
    return np.asarray(jax.jit(lambda *runs: jax.lax.map(of_run, runs))(state, plan, held, tested))


def _early_stopped(graph, state, scores: np.ndarray, losses: np.ndarray) -> Trained:
    kept = np.array([early_stopping(-curve, patience=1) for curve in scores[..., 0]])
    runs = np.arange(len(kept))
    chosen = jax.tree.map(lambda x: np.asarray(x)[runs, kept], state)
    return Trained(graph, chosen, *scores[runs, kept].T, kept, losses)


def train_supernet(
    log: ClickLog,
    config: Training,
    parts: Sequence[Parts],
    keys: Sequence[jax.Array],
    modes: Sequence[Mode] = ("all",),
    **options: Any,
) -> Trained:
    """Supernets of all modes and seeds, ordered by mode, then by seed.

    Args:
        log: of clicks.
        config: base model and training.
        parts, keys: of every seed.
        modes: what is masked.
        options: of `OptEmbedTable`.
    """
    plans = [supernet_plan(log.sizes, config.dim, config.alpha, mode) for mode in modes for _ in keys]
    return train(log, config, plans, [*parts] * len(modes), [*keys] * len(modes), **options)


def retrain(
    log: ClickLog,
    config: Training,
    parts: Sequence[Parts],
    keys: Sequence[jax.Array],
    tables: Sequence[tuple[Float[np.ndarray, " values"], Int[np.ndarray, " fields"]]],
) -> Trained:
    """Train tables whose rows and dimensions are settled, from the weights that the supernet of the key started from.

    Args:
        log: of clicks.
        config: base model and training.
        parts, keys: of every run.
        tables: rows that are kept and c of every field, of every run.
    """
    return train(log, config, [fixed_plan(*table) for table in tables], parts, keys)
