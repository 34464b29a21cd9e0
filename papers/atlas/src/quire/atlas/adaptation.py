"""Test-time adaptation: coefficients learned on the test images themselves, without labels (section 5.4)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from quire.atlas.composition import combine
from quire.atlas.config import Preset
from quire.atlas.domains import cropped
from quire.atlas.few_shot import pools
from quire.atlas.learning import learn
from quire.atlas.library import moved_logits, parts_of
from quire.atlas.objectives import entropy, trusted_labels, ufm_loss
from quire.atlas.runs import Run, at, over_runs, shaped
from quire.common.claims import shared
from quire.common.random import generator
from quire.common.train.seeds import stack

OBJECTIVES = ("UFM", "entropy")


@shared
def adaptation_study(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Accuracies on the test images of the few-shot target, which were seen without labels.

    Returns:
        `zero-shot [seeds]`, `UFM` and `entropy [seeds]` of the last step; `trusted [seeds]`, share of right pseudo-labels among
        those that are trusted; `by epoch [seeds, objectives, 1 + epochs]`.
    """
    pool = pools(preset)[0]
    network, constants = parts_of(preset, keys, pool.tasks, (pool.target,))
    logits, images = moved_logits(network), constants["test"][0]
    zeros = {name: np.zeros(x.shape[2:], np.float32) for name, x in constants["tvs"].items()}
    scores = over_runs(
        lambda run, c: logits(at(c["base"], run["seed"]), at(c["head"], run["seed"]), zeros, c["test"][0]),
        [{"seed": s} for s in range(len(keys))],
        constants,
        preset.at_once,
    )
    drawn = [_batches(preset, key, images, s) for key, s in zip(keys, scores, strict=True)]
    constants["batches"] = stack([batches for batches, _ in drawn])
    runs = [
        {"seed": s, "rate": preset.test_time.rates[0], "ufm": float(name == "UFM")}
        for s in range(len(keys))
        for name in OBJECTIVES
    ]
    shape = len(pool.tasks), len(constants["tvs"])
    accuracy = shaped(_learned(preset, logits, constants, runs, shape), len(keys), len(OBJECTIVES))
    found = {name: accuracy[:, number, -1] for number, name in enumerate(OBJECTIVES)}
    right = [trusted_share(marked, constants["test_labels"]) for _, marked in drawn]
    return found | {"zero-shot": accuracy[:, 0, 0], "by epoch": accuracy, "trusted": np.array(right)}


def trusted_share(marked: tuple[np.ndarray, np.ndarray], labels: np.ndarray) -> float:
    """Share of right pseudo-labels among those that are trusted."""
    onehot, trusted = marked
    return float((onehot.argmax(1) == labels)[trusted].mean())


def _batches(preset: Preset, key: jax.Array, images: np.ndarray, scores: np.ndarray):
    """Weak and strong images of every step, half of each batch trusted; and the pseudo-labels of all test images."""
    search, draw = preset.test_time, generator(jax.random.fold_in(key, 70))
    onehot, trusted = (np.asarray(x) for x in trusted_labels(scores))
    half = search.batch_size // 2
    sure = draw.choice(np.flatnonzero(trusted), (search.steps, half))
    indices = np.concatenate([sure, draw.integers(0, len(images), (search.steps, search.batch_size - half))], axis=1)
    flat = images[indices.ravel()]
    strong = cropped(flat, jax.random.fold_in(key, 71), smallest=preset.smallest_crop, flip=preset.flip)
    noise = draw.normal(0, preset.noise, strong.shape)
    strong = (strong + noise).astype(np.float32).reshape(*indices.shape, *images.shape[1:])
    batches = {"weak": indices.astype(np.int32), "strong": strong, "targets": onehot[indices], "trusted": trusted[indices]}
    return batches, (onehot, trusted)


def _learned(preset: Preset, logits: Any, constants: dict, runs: list[Run], shape: tuple[int, int]) -> np.ndarray:
    """Test accuracies after every epoch; nothing is selected, since that would need labels."""

    def run(run, c):
        base, head, tvs = (at(c[name], run["seed"]) for name in ("base", "head", "tvs"))

        def loss(coef, batch):
            deltas = combine(tvs, coef)
            weak, strong = logits(base, head, deltas, c["test"][0, batch["weak"]]), logits(base, head, deltas, batch["strong"])
            ufm = ufm_loss(weak, strong, batch["targets"], batch["trusted"], preset.threshold)
            return jnp.where(run["ufm"] > 0, ufm, entropy(weak))

        def accuracy(coef):
            return jnp.mean(logits(base, head, combine(tvs, coef), c["test"][0]).argmax(1) == c["test_labels"])

        epochs, zeros = preset.test_time.epochs, jnp.zeros(shape)
        learned = learn(loss, zeros, c["batches"], lr=run["rate"], epochs=epochs, select=accuracy)
        return learned.scores

    def of_seed(one, c):
        return run(one, c | {"batches": at(c["batches"], one["seed"])})

    return over_runs(of_seed, runs, constants, preset.at_once)
