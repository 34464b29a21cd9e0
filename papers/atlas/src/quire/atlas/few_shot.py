"""Few labelled images of a new domain: coefficients of a pool's task vectors, and what rivals them (section 5.3)."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from quire.atlas.adapters import lp_plus_plus, tip_adapter
from quire.atlas.composition import compose
from quire.atlas.config import Preset
from quire.atlas.domains import cropped, few_shots
from quire.atlas.learning import learn
from quire.atlas.library import family_of, library, parts_of
from quire.atlas.networks import Network
from quire.atlas.rivals import lora_apply, lora_start, random_subspace, random_task_vectors, subspace_apply
from quire.atlas.runs import Run, at, chosen, epochs_of, over_runs, shaped
from quire.common.claims import shared
from quire.common.losses.classification import smoothed_cross_entropy
from quire.common.train.seeds import stack


class Pool(NamedTuple):
    """A target and the tasks whose vectors may be composed for it."""

    target: str
    tasks: tuple[str, ...]


def pools(preset: Preset) -> tuple[Pool, Pool]:
    """The related one, and an unrelated one: the first domain of addition with all other ones."""
    first, *others = preset.domains
    return Pool(preset.target_name, preset.pool), Pool(first, tuple(others))


@shared
def few_shot_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Test accuracies `[seeds, pools, shots]` of `atlas`, `full`, `lora` and `subspace`; `zero-shot [seeds, pools]`.

    Returns:
        Also `random vectors [seeds, shots]`, composed in place of the related pool; the coefficients of `atlas`; the numbers that
        each method trains.
    """
    network, constants = _everything(preset, keys)
    starts, seeds, shots = _starts(preset, keys, constants), len(keys), len(preset.shots)
    places = [1 + preset.tasks.index(pool.target) for pool in pools(preset)]
    found: dict[str, Any] = {"zero-shot": np.stack([library(preset, key)["zero_shot"][places] for key in keys])}
    for name, params_of in METHODS.items():
        rates, kinds = (preset.few_shot.rates, 3) if name == "atlas" else (preset.few_shot.weight_rates, 2)
        runs = [
            {"seed": s, "pool": k, "shots": n, "rate": rate}
            for s in range(seeds) for k in range(kinds) for n in range(shots) for rate in rates
        ]  # fmt: skip
        learned, test = _learned(preset, network, constants | {"start": starts[name]}, runs, params_of)
        best = chosen((learned, test), seeds, kinds, shots, len(rates))
        found |= {name: best["test"][:, :2], f"{name} rate": best["rate"]}
        if name == "atlas":
            found |= {"random vectors": best["test"][:, 2], "coef": best["value"][:, :2]}
        found[f"{name} parameters"] = sum(x[0].size for x in jax.tree.leaves(starts[name]))
    return found


METHODS: dict[str, Callable[[dict, Run, Any], Any]] = {
    "atlas": lambda c, run, value: compose(at(c["base"], run["seed"]), at(c["tvs"], run["seed"], run["pool"]), value),
    "full": lambda c, run, value: value,
    "lora": lambda c, run, value: lora_apply(at(c["base"], run["seed"]), value),
    "subspace": lambda c, run, value: subspace_apply(at(c["base"], run["seed"]), at(c["subspace"], run["seed"]), value),
}
"""Parameters made of what each method learns."""


def _starts(preset: Preset, keys: jax.Array, constants: dict) -> dict[str, Any]:
    """What each method starts from, `[seeds, ...]`."""
    bases = [at(constants["base"], seed) for seed in range(len(keys))]
    count, columns = next(iter(constants["tvs"].values())).shape[2], len(constants["tvs"])
    zeros = np.zeros((len(keys), count, columns), np.float32)
    factors = [lora_start(jax.random.fold_in(key, 52), b, preset.rank) for key, b in zip(keys, bases, strict=True)]
    return {"atlas": zeros, "full": constants["base"], "lora": stack(factors), "subspace": zeros.reshape(len(keys), -1)}


def _everything(preset: Preset, keys: jax.Array) -> tuple[Network, dict[str, Any]]:
    """What all methods read: models, vectors of both pools and random ones, a random subspace, images."""
    both = pools(preset)
    network, constants = parts_of(preset, keys, preset.tasks, [pool.target for pool in both])
    width = max(len(pool.tasks) for pool in both)
    tvs = [_padded(constants["tvs"], [preset.tasks.index(t) for t in pool.tasks], width) for pool in both]
    drawn = stack([random_task_vectors(jax.random.fold_in(key, 50), at(tvs[0], seed)) for seed, key in enumerate(keys)])
    constants["tvs"] = jax.tree.map(lambda *x: np.stack(x, axis=1), *tvs, drawn)
    columns = len(constants["tvs"])
    bases = [at(constants["base"], seed) for seed in range(len(keys))]
    constants["subspace"] = stack(
        [random_subspace(jax.random.fold_in(key, 51), b, width * columns) for key, b in zip(keys, bases, strict=True)]
    )
    constants["images"], constants["labels"] = _supports(preset, keys, constants)
    del constants["train"], constants["train_labels"]
    return network, constants


def _padded(tvs: Any, tasks: list[int], width: int) -> Any:
    """Vectors of some tasks, and zeros up to a number."""

    def pad(x):
        return np.concatenate([x[:, tasks], np.zeros((len(x), width - len(tasks), *x.shape[2:]), x.dtype)], axis=1)

    return jax.tree.map(pad, tvs)


def _supports(preset: Preset, keys: jax.Array, constants: dict) -> tuple[np.ndarray, np.ndarray]:
    """Cropped images of every step and their labels, `[seeds, pools, shots, steps, batch, ...]`."""
    search, labels = preset.few_shot, constants["train_labels"]
    images, of_images = [], []
    for key in keys:
        for pool in range(2):
            for number, shots in enumerate(preset.shots):
                own = jax.random.fold_in(key, 100 * pool + number)
                support = few_shots(labels, shots, own)
                indices = support[epochs_of([own], len(support), search.batch_size, search.steps)[0]]
                flat = constants["train"][pool][indices.ravel()]
                crops = cropped(flat, own, smallest=preset.smallest_crop, flip=preset.flip)
                images.append(crops.reshape(*indices.shape, *crops.shape[1:]))
                of_images.append(labels[indices])
    return shaped((np.stack(images), np.stack(of_images)), len(keys), 2, len(preset.shots))


def _learned(preset: Preset, network: Network, constants: dict, runs: list[Run], params_of: Callable):
    """Anything that parameters can be made of, learned on the few images; the best epoch by the target's validation images."""

    def run(run, c):
        head, pool = at(c["head"], run["seed"]), run["pool"] % 2  # the third pool stands in for the first
        batches = c["images"][run["seed"], pool, run["shots"]], c["labels"][run["seed"], pool, run["shots"]]
        params = lambda value: params_of(c, run, value)  # noqa: E731

        def accuracy(value, part):
            return network.accuracy(params(value), head, c[part][pool], c[f"{part}_labels"])

        learned = learn(
            lambda value, batch: smoothed_cross_entropy(network.logits(params(value), head, batch[0]), batch[1]),
            at(c["start"], run["seed"]),
            batches,
            lr=run["rate"],
            epochs=preset.few_shot.epochs,
            select=lambda value: accuracy(value, "validation"),
        )
        test = accuracy(learned.value, "test")
        # only coefficients are looked at later; whole networks of all runs would not fit
        return (learned if params_of is METHODS["atlas"] else learned._replace(value=test)), test

    return over_runs(run, runs, constants, preset.at_once)


def with_adapters(preset: Preset, key: jax.Array) -> dict[str, float]:
    """Test accuracies on the related target with most shots: zero-shot, composed, and composed with an adapter beside it.

    Args:
        preset: sizes.
        key: of a seed of the study.
    """
    study, found, family = few_shot_study(preset, key), library(preset, key), family_of(preset)
    pool, place = pools(preset)[0], family.places(preset.target_name)[0]
    tvs = jax.tree.map(lambda x: x[np.array([preset.tasks.index(t) for t in pool.tasks])], found["tvs"])
    params = compose(found["base"], tvs, study["coef"][0, -1])
    shots = few_shots(family.train.labels, preset.shots[-1], jax.random.fold_in(key, len(preset.shots) - 1))
    labels, head, network = jnp.asarray(family.train.labels[shots]), found["head"], found["network"]
    given = params, head
    (features, logits), (test, test_logits) = (
        _read(network, *given, part.images[place][rows]) for part, rows in ((family.train, shots), (family.test, slice(None)))
    )
    right = lambda scores: float(np.mean(np.asarray(scores).argmax(1) == family.test.labels))  # noqa: E731
    return {
        "zero-shot": float(study["zero-shot"][0]),
        "composed": right(test_logits),
        "composed, Tip-Adapter": right(tip_adapter(features, logits, labels)(test, test_logits)),
        "composed, LP++": right(lp_plus_plus(features, head["head"]["kernel"], labels)(test)),
    }


@partial(jax.jit, static_argnames="network")
def _read(network: Network, params: Any, head: Any, images: Any) -> tuple[jax.Array, jax.Array]:
    """Features and logits."""
    return network.embed(params, head, images), network.logits(params, head, images)
