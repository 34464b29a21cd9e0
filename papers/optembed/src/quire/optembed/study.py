"""The experiments of C3 to C5: thresholds on clicks with known noise; supernet, search and retraining on a log of clicks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import shared
from quire.common.data.click_logs import ClickLog
from quire.common.random import generator
from quire.common.train.seeds import fold_keys
from quire.optembed.baselines import candidates_within, most_frequent, uniform_dim, value_counts
from quire.optembed.compact import table_params
from quire.optembed.config import Clicks, Preset, Search
from quire.optembed.evolution import Evolved, evolve, random_search
from quire.optembed.ranking import roc_auc
from quire.optembed.sources import merge_rare, open_log, planted_clicks
from quire.optembed.supernet import Mode
from quire.optembed.training import Parts, Trained, retrain, split_log, train_supernet

OPT, FULL, ONE_DIM, FREQUENT = "OptEmbed", "full table", "one dimension for all", "frequent rows"
ROWS, DIMS, RANDOM = "rows only", "dimensions only", "random candidates"

# --- Thresholds where it is known which rows are useless ---


@shared
def planted_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Supernets on clicks that half of the values say nothing about, and the rows that each prunes; a world for each seed.

    Returns:
        `pruned`, `signal`, `counts`, `norms`, `full_norms` `[seeds, values]`: what `all` prunes, which values say something, how
        often they occur, norms of the rows in `all` and in the full table. `threshold` `[seeds, fields]`. `auc`: test AUC
        `[seeds]`, retrained with the rows that are left, and full. `rows_pruned` `[seeds, values]` by `rows`. `name`: of the
        data.
    """
    config = preset.planted
    worlds = [
        planted_clicks(generator(key), config.fields, config.values, config.examples, config.useless)
        for key in fold_keys(keys, 7)
    ]
    log = _side_by_side([world.log for world in worlds])
    parts = [split_log(log, key, i * config.examples, config.examples) for i, key in enumerate(fold_keys(keys, 2))]
    seeds, modes = len(keys), ("all", "rows", "none")
    found = train_supernet(log, config.training, parts, list(keys), modes)
    by_mode = {mode: list(range(i * seeds, (i + 1) * seeds)) for i, mode in enumerate(modes)}
    masks = {mode: _row_masks(found, mode, by_mode[mode]) for mode in modes[:2]}
    whole = np.full(config.fields, config.training.dim - 1)
    again = retrain(log, config.training, parts, list(keys), [(mask, whole) for mask in masks["all"]])
    weights = np.abs(np.asarray(found.state["table"]["rows"]["weights"][...])).sum(-1)
    return {
        "pruned": masks["all"] == 0,
        "rows_pruned": masks["rows"] == 0,
        "signal": np.stack([world.signal for world in worlds]),
        "counts": np.stack([value_counts(log.values[part.train], sum(log.sizes)) for part in parts]),
        "norms": weights[by_mode["all"]],
        "full_norms": weights[by_mode["none"]],
        "threshold": np.asarray(found.state["table"]["threshold"][...])[by_mode["all"]],
        "auc": {"retrained": again.test, "full": found.test[by_mode["none"]], "supernet": found.test[by_mode["all"]]},
        "name": worlds[0].log.name,
    }


def _side_by_side(logs: Sequence[ClickLog]) -> ClickLog:
    """One log of the examples of several, which share their fields and sizes."""
    first = logs[0]
    tokens, labels = np.concatenate([log.tokens for log in logs]), np.concatenate([log.label for log in logs])
    return ClickLog(first.name, first.features, first.sizes, tokens, labels)


def pruned_precision(pruned: np.ndarray, signal: np.ndarray) -> float:
    """The share of pruned rows that say nothing; NaN where nothing is pruned."""
    return float((~signal[pruned]).mean()) if pruned.any() else float("nan")


def smallest(numbers: np.ndarray, count: int) -> np.ndarray:
    """Booleans: which are the `count` smallest, the first of equals."""
    found = np.zeros(len(numbers), bool)
    found[np.argsort(numbers, kind="stable")[:count]] = True
    return found


# --- Supernet, search, retraining ---


class Searches(NamedTuple):
    """An evolution and a random search of as many candidates, for every supernet."""

    evolved: Evolved
    random: Evolved


def search_dims(
    found: Trained, runs: Sequence[int], log: ClickLog, parts: Sequence[Parts], keep: np.ndarray, config: Search, keys: Any
) -> Searches:
    """Search the dimensions of several supernets, one after the other by one program.

    Args:
        found: supernets.
        runs: which of them.
        log, parts: candidates are judged by AUC on validation examples, with the weights of the supernet as they are.
        keep: rows that are read, `[runs, values]`.
        config: of the search.
        keys: of every run.
    """
    held = np.stack([part.validation[: config.examples] for part in parts])
    fields, dim = len(log.sizes), found.net(0).table.dim
    sizes = {"mutation": config.mutation, "crossover": config.crossover, "keep": config.keep}

    def of_run(run):
        state, keep, ids, labels, key = run
        net = nnx.merge(found.graph, state)
        net.eval()

        def fitness(candidates):
            return jax.vmap(lambda cand: roc_auc(labels, net(ids, cand, keep=keep, learn=False)))(candidates)

        evolving, drawing = jax.random.split(key)
        return Searches(
            evolve(fitness, fields, dim, evolving, generations=config.generations, probability=config.probability, **sizes),
            random_search(fitness, fields, dim, drawing, generations=config.generations, population=config.population),
        )

    state = jax.tree.map(lambda x: x[np.asarray(runs)], found.state)
    args = state, keep, log.values[held], log.label[held], jnp.stack(list(keys))
    return jax.tree.map(np.asarray, jax.jit(lambda *runs: jax.lax.map(of_run, runs))(*args))


@shared
def click_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """The three stages on a log of clicks, the ablations, and other tables of as many parameters; all seeds together.

    Returns:
        `auc`, `log_loss`, `params`: `[seeds]` by table, of the test part. `rivals`, `rival_params`: `[seeds, rivals]`, candidates
        of no more parameters that were not searched for. `keep` `[seeds, values]` and `cand` `[seeds, fields]` of OptEmbed.
        `history` and `random_history` `[seeds, generations, population]`, validation AUC in the supernet; `best` and
        `random_best` `[seeds]`. `supernet`: test AUC of the supernets `[seeds]` by mode. `name`, `stand_in_for`,
        `features`, `sizes`: of the data.
    """
    config, seeds = preset.clicks, len(keys)
    source = open_log(config.data)
    log = merge_rare(source.value, config.least)
    parts = [split_log(log, key) for key in fold_keys(keys, 2)]
    modes: tuple[Mode, ...] = ("all", "rows", "dims")
    found = train_supernet(log, config.training, parts, list(keys), modes)
    masks = {mode: _row_masks(found, mode, range(i * seeds, (i + 1) * seeds)) for i, mode in enumerate(modes)}
    searched = [*range(seeds), *range(2 * seeds, 3 * seeds)]  # all, dims
    keep = np.concatenate([masks["all"], masks["dims"]])
    searches = search_dims(found, searched, log, [*parts] * 2, keep, config.search, fold_keys(keys, 3) * 2)
    best = searches.evolved.best.reshape(2, seeds, -1)
    tables = [
        _tables(log, config, part, {mode: mask[s] for mode, mask in masks.items()}, *best[:, s], key)
        for s, (part, key) in enumerate(zip(parts, fold_keys(keys, 4), strict=True))
    ]
    names = list(tables[0])
    runs = [(s, name) for name in names for s in range(seeds)]
    again = retrain(
        log, config.training, [parts[s] for s, _ in runs], [keys[s] for s, _ in runs], [tables[s][name] for s, name in runs]
    )
    params = np.array([table_params(*tables[s][name], log.sizes) for s, name in runs])
    return {
        **_by_table(names, seeds, again, params),
        "keep": masks["all"],
        "cand": best[0],
        "history": searches.evolved.history[:seeds],
        "random_history": searches.random.history[:seeds],
        "best": searches.evolved.fitness[:seeds],
        "random_best": searches.random.fitness[:seeds],
        "supernet": {mode: found.test[i * seeds : (i + 1) * seeds] for i, mode in enumerate(modes)},
        "name": source.name,
        "stand_in_for": source.stand_in_for,
        "features": log.features,
        "sizes": log.sizes,
    }


def _row_masks(found: Trained, mode: Mode, runs: Sequence[int]) -> np.ndarray:
    """Rows that are left in each run, `[runs, values]`; all of them where no thresholds were learned."""
    masks = np.stack([np.asarray(found.net(run).table.row_mask()) for run in runs])
    return np.ones_like(masks) if mode == "dims" else masks


def _tables(
    log: ClickLog, config: Clicks, part: Parts, masks: dict[str, np.ndarray], best: np.ndarray, best_dims: np.ndarray, key
) -> dict[Any, tuple[np.ndarray, np.ndarray]]:
    """Rows and dimensions of every table of one seed; those without a search are named by numbers."""
    dim, values = config.training.dim, sum(log.sizes)
    everything, whole = np.ones(values, np.float32), np.full(len(log.sizes), dim - 1)
    budget = table_params(masks["all"], best, log.sizes)
    counts = value_counts(log.values[part.train], values)
    rivals = candidates_within(masks["all"], log.sizes, dim, budget, config.search.rivals, generator(key))
    return {
        FULL: (everything, whole),
        OPT: (masks["all"], best),
        ROWS: (masks["rows"], whole),
        DIMS: (everything, best_dims),
        ONE_DIM: (everything, uniform_dim(log.sizes, dim, budget)),
        FREQUENT: (most_frequent(counts, budget // dim), whole),
    } | {number: (masks["all"], rival) for number, rival in enumerate(rivals)}


def _by_table(names: Sequence[Any], seeds: int, again: Trained, params: np.ndarray) -> dict[str, Any]:
    """Numbers `[seeds]` of named tables, `[seeds, rivals]` of numbered ones."""

    def sorted_out(numbers):
        by_name = dict(zip(names, numbers.reshape(len(names), seeds), strict=True))
        rivals = np.stack([x for name, x in by_name.items() if isinstance(name, int)], axis=1)
        return {name: x for name, x in by_name.items() if isinstance(name, str)}, rivals

    auc, rivals = sorted_out(again.test)
    sizes, rival_sizes = sorted_out(params)
    return {
        "auc": auc,
        "rivals": rivals,
        "params": sizes,
        "rival_params": rival_sizes,
        "log_loss": sorted_out(again.log_loss)[0],
    }
