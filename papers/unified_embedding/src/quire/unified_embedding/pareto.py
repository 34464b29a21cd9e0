"""Quality against the size of the table: one for all features or one for each, other schemes, a growing vocabulary."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import shared
from quire.common.data.click_logs import ClickLog
from quire.common.layers.ctr import CtrNet
from quire.common.random import generator
from quire.common.train.seeds import fold_keys
from quire.unified_embedding.allocation import ALLOCATIONS, multiplexed, row_index, split, water_filled
from quire.unified_embedding.click_models import Part, Trained, auc, batches, random_split, train, train_tables
from quire.unified_embedding.config import Clicks, Preset
from quire.unified_embedding.index_rules import RULES, FlatTable, Slots, slots
from quire.unified_embedding.orthogonality import mean_abs_cosine
from quire.unified_embedding.rate_tables import rate_logits, two_largest
from quire.unified_embedding.sources import open_log

UNIFIED, WHOLE = "unified", "a row for each value"
GROWING = ("unified", "water-filled", "fixed vocabulary", "a row for each value")


def share_name(share: float) -> str:
    """`1/20` for 0.05."""
    return str(Fraction(share).limit_denominator(10_000))


def budget(log: ClickLog, share: float) -> int:
    """Rows of a table that is a part of the number of values; a row for each feature at least."""
    return max(len(log.sizes), round(share * sum(log.sizes)))


def table_maps(log: ClickLog, shares: Sequence[float], seed: int) -> dict[tuple[str, float], np.ndarray]:
    """Rows of all values `[values, 1]`, by name of the table and budget; without collisions at budget 1."""
    found = {}
    for share in shares:
        rows = budget(log, share)
        found[UNIFIED, share] = row_index(log.sizes, multiplexed(log.sizes, rows), seed=seed)
        for name, allocate in ALLOCATIONS.items():
            found[name, share] = row_index(log.sizes, split(allocate(log.sizes, rows)), seed=seed)
    found[WHOLE, 1.0] = row_index(log.sizes, split(log.sizes), seed=seed)
    return found


def open_parts(config: Clicks, keys: jax.Array) -> tuple[Any, list[Part], np.ndarray]:
    """The log of a preset, a random split of it for each seed, and the order of training."""
    source = open_log(config.data)
    parts = [random_split(source.value, config.test, key) for key in fold_keys(keys, 1)]
    orders = [batches(part, config, key) for part, key in zip(parts, fold_keys(keys, 2), strict=True)]
    return source, parts, np.stack(orders)


def seed_of(key: jax.Array) -> int:
    """A seed of the hash functions."""
    return int(generator(key).integers(0, 2**31))


def scores(log: ClickLog, parts: Sequence[Part], trained: Trained, names: Sequence[Any]) -> dict[str, dict[Any, np.ndarray]]:
    """AUC and log loss by name, `[seeds]` each; runs are ordered by name, then by seed."""
    found: dict[str, dict[Any, np.ndarray]] = {"auc": {}, "log_loss": {}}
    logits = trained.logits.reshape(len(names), len(parts), -1)
    for name, of_name in zip(names, logits, strict=True):
        pairs = [(log.label[part.test], x) for part, x in zip(parts, of_name, strict=True)]
        found["auc"][name] = np.array([auc(*pair) for pair in pairs])
        found["log_loss"][name] = np.array([np.mean(np.logaddexp(0, x) - y * x) for y, x in pairs])
    return found


def table_runs(config: Clicks, keys: jax.Array) -> dict[str, Any]:
    """Tables of all kinds at all budgets, the growing vocabulary, and rates without a model, all seeds as one program.

    Returns:
        `auc`, `log_loss`: `[seeds]` by table and budget. `rates`: AUC `[seeds]` of one feature's rates and of two, named by
        `rate_names`. `cosine`: mean angle of the first layer, `[seeds]` by table and budget. `growing`: AUC `[seeds]` of examples
        with a value that came late, by table. `name`, `stand_in_for`, `sizes`, `features`: of the data.
    """
    source, parts, order = open_parts(config, keys)
    log, seeds = source.value, len(keys)
    maps = [table_maps(log, config.shares, seed_of(key)) for key in fold_keys(keys, 3)]
    names = list(maps[0])
    late = (
        [late_arrivals(log, part, config, key) for part, key in zip(parts, fold_keys(keys, 4), strict=True)]
        if config.late
        else []
    )
    runs = [m[name] for name in names for m in maps]
    pairs = list(zip(maps, late, strict=True)) if late else []
    runs += [growing_map(name, log, m, config, old) for name in GROWING for m, (_, old) in pairs]
    orders = np.tile(order, (len(names), 1, 1))
    if late:
        orders = np.concatenate([orders, np.tile(np.stack([of_late for of_late, _ in late]), (len(GROWING), 1, 1))])
    tested = np.tile(np.stack([part.test for part in parts]), (len(runs) // seeds, 1)).astype(np.int32)
    run_keys = jnp.tile(keys, len(runs) // seeds)
    found = train_tables(log, config, run_keys, orders, tested, np.stack(runs), [1] * len(log.sizes))
    count = len(names) * seeds
    cosine = np.asarray(jax.jit(jax.vmap(mean_abs_cosine))(found.first_layer[:count])).reshape(len(names), seeds)
    growing = found.logits[count:].reshape(-1, seeds, tested.shape[1])
    return {
        **scores(log, parts, found._replace(logits=found.logits[:count]), names),
        "rates": rate_aucs(log, parts),
        "rate_names": rate_names(log),
        "cosine": dict(zip(names, cosine, strict=True)),
        "growing": {
            name: np.array([late_auc(log, part, old, x) for part, (_, old), x in zip(parts, late, of_name, strict=True)])
            for name, of_name in zip(GROWING if late else (), growing, strict=True)
        },
        "name": source.name,
        "stand_in_for": source.stand_in_for,
        "sizes": log.sizes,
        "features": log.features,
    }


def rate_names(log: ClickLog) -> dict[str, str]:
    """What `rate_aucs` is of, in words."""
    first, second = (log.features[t] for t in two_largest(log))
    return {"one": f"{first} rate", "two": f"{second} and {first} rates"}


def rate_aucs(log: ClickLog, parts: Sequence[Part]) -> dict[str, np.ndarray]:
    """AUC of the rates of the largest feature, and of the sum of log-odds of the two largest, `[seeds]`."""
    first, second = two_largest(log)
    one = [rate_logits(log, part, first) for part in parts]
    other = [rate_logits(log, part, second) for part in parts]
    labels = [log.label[part.test] for part in parts]
    return {
        "one": np.array([auc(y, x) for y, x in zip(labels, one, strict=True)]),
        "two": np.array([auc(y, a + b) for y, a, b in zip(labels, one, other, strict=True)]),
    }


# --- A vocabulary that grows ---


def late_arrivals(log: ClickLog, part: Part, config: Clicks, key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
    """An order of training in which some users and items are not seen in the first half.

    Returns:
        Rows of the log by step, and which values were seen in the first half, booleans `[values]`.
    """
    draw, values = generator(key), log.values
    early = np.ones(sum(log.sizes), bool)
    for feature in two_largest(log):
        first = sum(log.sizes[:feature])
        count = round(config.late * log.sizes[feature])
        early[first + draw.choice(log.sizes[feature], count, replace=False)] = False
    order = batches(part, config, jax.random.fold_in(key, 1))
    old = part.train[early[values[part.train]].all(1)]
    half = len(order) // 2
    order[:half] = draw.choice(old, (half, order.shape[1]))
    seen = np.zeros(len(early), bool)
    seen[values[order[:half]]] = True
    return order, seen


def growing_map(
    name: str, log: ClickLog, maps: dict[tuple[str, float], np.ndarray], config: Clicks, seen: np.ndarray
) -> np.ndarray:
    """Rows of all values where some come late: hashes stay, a fixed vocabulary has one row for all that it does not know."""
    if name != "fixed vocabulary":
        return maps[name, 1.0 if name == WHOLE else config.shares[-1]]
    feature = np.repeat(np.arange(len(log.sizes)), log.sizes)
    strangers = np.array([np.flatnonzero((feature == t) & ~seen)[:1] for t in range(len(log.sizes))], object)
    unknown = np.array([int(s[0]) if len(s) else 0 for s in strangers])
    return np.where(seen, np.arange(len(seen)), unknown[feature])[:, None].astype(np.int32)


def late_auc(log: ClickLog, part: Part, seen: np.ndarray, logits: np.ndarray) -> float:
    """AUC of the test examples with a value that was not seen in the first half."""
    late = ~seen[log.values[part.test]].all(1)
    return auc(log.label[part.test][late], logits[late])


@shared
def rating_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`table_runs` of the ratings."""
    return table_runs(preset.clicks, keys)


@shared
def census_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """`table_runs` of the census."""
    return table_runs(preset.census, keys)


# --- Several rows for a value, other heads, other schemes ---


@shared
def width_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """AUC `[seeds]` in the middle budget, with two rows for some features, and for all; sizes of `table` and `first_layer`."""
    config = preset.clicks
    source, parts, order = open_parts(config, keys)
    log = source.value
    rows = budget(log, config.middle)
    maps = [row_index(log.sizes, multiplexed(log.sizes, rows), 2, seed_of(key)) for key in fold_keys(keys, 3)]
    tested = np.stack([part.test for part in parts]).astype(np.int32)
    some = [1 + (name in config.twice) for name in log.features]
    kinds = {"two for some": some if max(some) > 1 else _largest_twice(log), "two for all": [2] * len(log.sizes)}
    found: dict[str, Any] = {"first_layer": {}, "table": {"one for each": rows * config.dim}}
    for name, lookups in kinds.items():
        trained = train_tables(log, config, keys, order, tested, np.stack(maps), lookups)
        found[name] = scores(log, parts, trained, [name])["auc"][name]
        found["first_layer"][name], found["table"][name] = trained.first_layer[0].size, trained.table_size
    found["first_layer"]["one for each"] = len(log.sizes) * config.dim * config.hidden[0]
    return found


def _largest_twice(log: ClickLog) -> list[int]:
    """Two rows for the features with most values, where a stand-in has other names."""
    largest = np.argsort(-np.array(log.sizes), kind="stable")[:3]
    return [1 + (t in largest) for t in range(len(log.sizes))]


@shared
def head_runs(preset: Preset, keys: jax.Array) -> dict[str, np.ndarray]:
    """AUC `[seeds]` of DCN-v2 in the middle budget, by table."""
    config = preset.clicks
    source, parts, order = open_parts(config, keys)
    log, names = source.value, (UNIFIED, "water-filled")
    maps = [table_maps(log, [config.middle], seed_of(key)) for key in fold_keys(keys, 3)]
    runs = np.stack([m[name, config.middle] for name in names for m in maps])
    tested = np.tile(np.stack([part.test for part in parts]), (len(names), 1)).astype(np.int32)
    orders, run_keys = np.tile(order, (len(names), 1, 1)), jnp.tile(keys, len(names))
    lookups = [1] * len(log.sizes)
    trained = train_tables(log, config, run_keys, orders, tested, runs, lookups, cross_layers=config.cross_layers)
    return scores(log, parts, trained, names)["auc"]


def pareto_sweep(methods: Sequence[str], shares: Sequence[float], config: Clicks, keys: jax.Array) -> dict[str, Any]:
    """Hashing schemes at several budgets, multiplexed and with a region for each feature, as one program.

    Args:
        methods: names in `RULES`.
        shares: budgets, parts of the number of values.
        config: data and training.
        keys: one per seed.

    Returns:
        `auc` and `log_loss`, `[seeds]` by `(method, multiplexed or not, share)`.

    Raises:
        ValueError: for another method.
        DatasetUnavailable: as the data say.
    """
    if unknown := [name for name in methods if name not in RULES]:
        raise ValueError(f"methods has {unknown}; each must be one of {', '.join(RULES)}")
    source, parts, order = open_parts(config, keys)
    log = source.value
    names = [(method, together, share) for method in methods for together in (True, False) for share in shares]
    seeds = [seed_of(key) for key in fold_keys(keys, 3)]
    found = [_scheme(log, *name, config.dim, seed) for name in names for seed in seeds]
    maps = Slots(*map(np.stack, zip(*found, strict=True)))
    rows = max(budget(log, share) for share in shares)
    tested = np.tile(np.stack([part.test for part in parts]), (len(names), 1)).astype(np.int32)

    def build(rngs):
        return CtrNet(FlatTable(rows, config.dim, rngs=rngs), len(log.sizes) * config.dim, config.hidden, rngs=rngs)

    orders, run_keys = np.tile(order, (len(names), 1, 1)), jnp.tile(keys, len(names))
    trained = train(log, config, run_keys, orders, tested, maps, lambda of_run, values: (of_run, values), build)
    return scores(log, parts, trained, names)


def _scheme(log: ClickLog, method: str, together: bool, share: float, dim: int, seed: int) -> Slots:
    rows = budget(log, share)
    regions = multiplexed(log.sizes, rows) if together else split(water_filled(log.sizes, rows))
    return slots(RULES[method], log.sizes, regions, dim, seed)
