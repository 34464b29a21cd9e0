"""Few labelled images of a new domain: coefficients of a pool's task vectors, and what rivals them (section 5.3)."""

from collections.abc import Callable
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
    tasks, starts = _everything(preset, keys)
    network, constants, seeds, shots = tasks.network, tasks.constants, len(keys), len(preset.shots)
    found: dict[str, Any] = {"zero-shot": constants.pop("zero_shot")}
    methods = {
        "atlas": (preset.few_shot.rates, lambda c, run: compose(*_base_and_vectors(c, run), run["start"])),
        "full": (preset.few_shot.weight_rates, lambda c, run: run["start"]),
        "lora": (preset.few_shot.weight_rates, lambda c, run: lora_apply(at(c["base"], run["seed"]), run["start"])),
        "subspace": (preset.few_shot.weight_rates, _subspace_params),
    }
    for name, (rates, params_of) in methods.items():
        kinds = 3 if name == "atlas" else 2
        runs = [
            {"seed": s, "pool": k, "shots": n, "rate": rate, "start": starts[name](s)}
            for s in range(seeds) for k in range(kinds) for n in range(shots) for rate in rates
        ]  # fmt: skip
        best = chosen(_learned(preset, network, constants, runs, params_of), seeds, kinds, shots, len(rates))
        found[name] = best["test"][:, :2]
        if name == "atlas":
            found |= {"random vectors": best["test"][:, 2], "coef": best["value"][:, :2]}
        found[f"{name} parameters"] = sum(x.size for x in jax.tree.leaves(starts[name](0)))
    return found


def _subspace_params(c, run):
    return subspace_apply(at(c["base"], run["seed"]), at(c["subspace"], run["seed"]), run["start"])


class _Tasks(NamedTuple):
    network: Network
    constants: dict[str, Any]


def _everything(preset: Preset, keys: jax.Array) -> tuple[_Tasks, dict[str, Callable[[int], Any]]]:
    """What all methods read, and where each of them starts, by seed."""
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
    constants["zero_shot"] = np.stack([library(preset, key)["zero_shot"] for key in keys])[
        :, [1 + preset.tasks.index(pool.target) for pool in both]
    ]
    factors = [lora_start(jax.random.fold_in(key, 52), b, preset.rank) for key, b in zip(keys, bases, strict=True)]
    zeros = np.zeros((width, columns), np.float32)
    starts = {
        "atlas": lambda seed: zeros,
        "full": lambda seed: bases[seed],
        "lora": lambda seed: factors[seed],
        "subspace": lambda seed: zeros.ravel(),
    }
    del constants["train"], constants["train_labels"]
    return _Tasks(network, constants), starts


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


def _base_and_vectors(c: dict, run: Run) -> tuple[Any, Any]:
    return at(c["base"], run["seed"]), at(c["tvs"], run["seed"], run["pool"])


def _learned(preset: Preset, network: Network, constants: dict, runs: list[Run], params_of: Callable):
    """Anything that parameters can be made of, learned on the few images; the best epoch by the target's validation images."""

    def run(run, c):
        head, pool = at(c["head"], run["seed"]), run["pool"] % 2  # the third pool stands in for the first
        batches = c["images"][run["seed"], pool, run["shots"]], c["labels"][run["seed"], pool, run["shots"]]
        params = lambda value: params_of(c, run | {"start": value})  # noqa: E731

        def accuracy(value, part):
            return network.accuracy(params(value), head, c[part][pool], c[f"{part}_labels"])

        learned = learn(
            lambda value, batch: smoothed_cross_entropy(network.logits(params(value), head, batch[0]), batch[1]),
            run["start"],
            batches,
            lr=run["rate"],
            epochs=preset.few_shot.epochs,
            select=lambda value: accuracy(value, "validation"),
        )
        return learned, accuracy(learned.value, "test")

    return over_runs(run, runs, constants, preset.at_once)
