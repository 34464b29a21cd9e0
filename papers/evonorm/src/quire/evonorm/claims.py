"""What the paper states, measured: C1 to C7, and the layers in other tasks."""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from quire.common.claims import Measurement, above, all_of, at_least, beats, below, every_seed, on_average, shared
from quire.common.claims.identity import identity
from quire.common.claims.left_out import NotTested
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.evonorm import benchmark, brute_force, figures, transfer
from quire.evonorm.config import Config, SearchStudy
from quire.evonorm.graph import KNOWN
from quire.evonorm.interpreter import evaluate
from quire.evonorm.layers import EvoNorm, batch_variance, evonorm_b, evonorm_s
from quire.evonorm.paper import paper
from quire.evonorm.proxy import ProxyTask
from quire.evonorm.search import History, evolve
from quire.evonorm.sources import Images, open_images
from quire.evonorm.worker_batches import by_name, majority_share, study

paper.benchmark = benchmark.benchmark

KINDS = ("B0", "B1", "B2", "S0", "S1", "S2")
MAJORITY = "majority class"


# --- C1 to C3: exact ---


def draws(config: Config, key: jax.Array) -> tuple[np.ndarray, ...]:
    """Input with a mean, and scale, shift and v of every channel, float64."""
    c, draw = config.exact, generator(key)
    x = 0.5 + draw.standard_normal((c.samples, c.side, c.side, c.features))
    return x, *(draw.standard_normal((3, c.features)) + np.array([[1.0], [0.0], [1.0]]))


@partial(jax.jit, static_argnames=("eps", "groups"))
def all_kinds(x: Any, scale: Any, shift: Any, v: Any, eps: float, *, groups: int) -> list[jax.Array]:
    """The six layers while training, as functions: one program for all seeds."""
    variance = batch_variance(x)
    return [
        evonorm_s(x, scale, shift, v, kind=kind, groups=groups, eps=eps)
        if kind[0] == "S"
        else evonorm_b(x, variance, scale, shift, v, kind=kind, eps=eps)
        for kind in KINDS
    ]


@partial(jax.jit, static_argnames="groups")
def gradient_of_all(x: Any, scale: Any, shift: Any, v: Any, *, groups: int) -> jax.Array:
    """Derivative of the sum of all outputs by x."""
    return jax.grad(lambda x: sum(y.sum() for y in all_kinds(x, scale, shift, v, 1e-5, groups=groups)))(x)


@partial(jax.jit, static_argnames="groups")
def known_graphs(x: Any, v0: Any, v1: Any, *, groups: int) -> list[jax.Array]:
    """Outputs of BN-ReLU, GN-SiLU, EvoNorm-B0 and S0 as graphs."""
    return [evaluate(graph, x, v0, v1, groups=groups) for graph in KNOWN.values()]


@paper.claim(
    "C1",
    says="The discovered layers are simple formulas, and B0, S0, BN-ReLU and GN-SiLU are graphs of the search space",
    source="the table of discovered layers; the figure of their graphs",
    metric="largest error / largest entry, float64",
    holds=all_of(below(1e-9), below(1e-5, of="float32"), at_least(1, of="share of finite gradients at x = 0")),
    exact=True,
)
def formulas(config: Config, key: jax.Array) -> Measurement:
    """Six layers and four graphs against the definitions in NumPy; gradients of layers and graphs at x = 0."""
    c = config.exact
    arrays = draws(config, key)
    v0, v1 = arrays[2], arrays[3]
    finite = []

    def errors(dtype):
        x, scale, shift, v = (jnp.asarray(a, dtype) for a in arrays)
        finite.append(bool(jnp.isfinite(gradient_of_all(jnp.zeros_like(x), scale, shift, v, groups=c.groups)).all()))
        outputs = all_kinds(x, scale, shift, v, 1e-5, groups=c.groups)
        graphs = known_graphs(x, jnp.asarray(v0, dtype), v, groups=c.groups)
        found = [
            max_relative_error(y, brute_force.layer(kind, *arrays, groups=c.groups, eps=1e-5))
            for kind, y in zip(KINDS, outputs, strict=True)
        ]
        for graph, y in zip(KNOWN.values(), graphs, strict=True):
            expected = brute_force.evaluate(graph, arrays[0], v0, v1, groups=c.groups)
            found.append(max_relative_error(y, expected))
        return found

    measured = identity(errors, f"{c.samples} random images, {c.side} x {c.side}, {c.features} channels, {c.groups} groups")
    return replace(measured, extras={**measured.extras, "share of finite gradients at x = 0": float(np.mean(finite))})


@paper.claim(
    "C2",
    says="The S layers treat every sample by itself; the B layers do not while training",
    source="the table of discovered layers",
    metric="largest difference of a sample alone and in its batch, S layers",
    holds=all_of(below(1e-6), above(1e-3, of="smallest difference, B layers"), below(1e-6, of="B layers, evaluated")),
    exact=True,
)
def batch_independence(config: Config, key: jax.Array) -> Measurement:
    """The modules, sample 0 alone and with the others."""
    c = config.exact
    x = jnp.asarray(draws(config, key)[0], jnp.float32)

    @partial(jax.jit, static_argnums=1)
    def outputs(x, train):
        return {kind: EvoNorm(c.features, kind, groups=c.groups)(x, train=train) for kind in KINDS}

    def differences(family, train):
        alone, together = outputs(x[:1], train), outputs(x, train)
        return [float(jnp.abs(alone[kind] - together[kind][:1]).max()) for kind in KINDS if kind[0] == family]

    training = differences("B", True)
    return Measurement(
        max(differences("S", True) + differences("S", False)),
        f"{c.samples} random images, float32",
        extras={"smallest difference, B layers": min(training), "B layers, evaluated": max(differences("B", False))},
    )


@paper.claim(
    "C3",
    says="B0 and B2 do not change when their input is multiplied; B1 and the S layers do",
    source="follows from the formulas with eps = 0: both arguments of the maximum are of degree one",
    metric="largest change / largest entry, B0 and B2, float64",
    holds=all_of(below(1e-5), below(1e-5, of="float32"), above(1e-2, of="smallest change, B1 and the S layers")),
    exact=True,
)
def scale_invariance(config: Config, key: jax.Array) -> Measurement:
    """`y(a x)` against `y(x)`."""
    c = config.exact
    arrays = draws(config, key)

    def changes(dtype):
        arguments = [jnp.asarray(a, dtype) for a in arrays[1:]]
        pair = [all_kinds(jnp.asarray(f * arrays[0], dtype), *arguments, 0.0, groups=c.groups) for f in (1.0, c.factor)]
        return {kind: max_relative_error(b, a) for kind, a, b in zip(KINDS, *pair, strict=True)}

    found = {}

    def invariant(dtype):
        found[dtype] = changes(dtype)
        return [found[dtype][kind] for kind in ("B0", "B2")]

    measured = identity(invariant, f"random images times {c.factor:g}, eps = 0")
    others = min(change for kind, change in found[jnp.float64].items() if kind not in ("B0", "B2"))
    return replace(measured, extras={**measured.extras, "smallest change, B1 and the S layers": others})


# --- C4, C5: small batches ---


@shared
def worker_study(config: Config, keys: jax.Array) -> dict[str, Any]:
    """All variants from all seeds, `accuracy` `[seeds, variants]`."""
    source = open_images(config.workers.data, stand_in_for="ImageNet")
    accuracy, losses = study(config.workers, source.value, keys)
    return {"accuracy": accuracy, "losses": losses, "majority": majority_share(source.value), "data": source.name}


def _compared(config: Config, key: jax.Array) -> tuple[dict[str, float], dict[str, Any]]:
    found = worker_study(config, key)
    return by_name(config.workers, 100 * found["accuracy"]), found


def _names(config: Config) -> tuple[str, ...]:
    large, small = config.workers.workers
    return tuple(f"{layer}, {size} a worker" for layer in ("BN-ReLU", "EvoNorm-B0") for size in (large, small))


@paper.claim(
    "C4",
    says="Few samples a worker hurt BN-ReLU, hardly EvoNorm-B0, and EvoNorm-S0 not at all",
    source="ImageNet with 128 to 4 images a worker",
    metric="test accuracy of EvoNorm-S0",
    unit="%",
    holds=all_of(beats("BN-ReLU, few a worker"), above(0.0, of="loss of BN-ReLU - loss of EvoNorm-B0 (points)")),
    trivial=MAJORITY,
    expect="not reproduced",
    because="with two samples a worker BN-ReLU fits the training images much worse, but evaluation, by running statistics that "
    "are averaged over all workers, recovers most of it; what is left is not clearly more than EvoNorm-B0 loses",
)
def small_batches(config: Config, key: jax.Array) -> Measurement:
    """One residual network, statistics of many and of few samples a worker; S0's own loss is none by construction."""
    accuracy, found = _compared(config, key)
    bn_large, bn_small, b0_large, b0_small = (accuracy[name] for name in _names(config))
    late = by_name(config.workers, found["losses"][:, -config.workers.recipe.steps // 10 :].mean(1))
    return Measurement(
        accuracy["EvoNorm-S0"],
        found["data"],
        baselines={
            MAJORITY: 100 * found["majority"],
            "BN-ReLU, few a worker": bn_small,
            "GN-ReLU": accuracy["GN-ReLU"],
        },
        extras={
            "BN-ReLU, many a worker": bn_large,
            "EvoNorm-B0, many a worker": b0_large,
            "EvoNorm-B0, few a worker": b0_small,
            "training loss of BN-ReLU, many a worker": late[_names(config)[0]],
            "training loss of BN-ReLU, few a worker": late[_names(config)[1]],
            "loss of BN-ReLU - loss of EvoNorm-B0 (points)": (bn_large - bn_small) - (b0_large - b0_small),
        },
        stand_in_for="ImageNet",
        figure=figures.worker_figure(accuracy, config.workers.workers, 100 * found["majority"]),
    )


@paper.claim(
    "C5",
    says="With large batches EvoNorm-S0 is better than GN-ReLU and EvoNorm-B0 competitive with BN-ReLU",
    source="ImageNet with large batches",
    metric="test accuracy of EvoNorm-B0",
    unit="%",
    holds=all_of(on_average(beats("BN-ReLU", by=-3.0)), on_average(beats("GN-ReLU", of="EvoNorm-S0"))),
    trivial=MAJORITY,
)
def large_batches(config: Config, key: jax.Array) -> Measurement:
    """The same trainings, many samples a worker."""
    accuracy, found = _compared(config, key)
    bn, _, b0, _ = (accuracy[name] for name in _names(config))
    return Measurement(
        b0,
        found["data"],
        baselines={MAJORITY: 100 * found["majority"], "BN-ReLU": bn, "GN-ReLU": accuracy["GN-ReLU"]},
        extras={"EvoNorm-S0": accuracy["EvoNorm-S0"]},
        stand_in_for="ImageNet",
    )


# --- C6, C7: the search ---


class Searched(NamedTuple):
    """One seed of C6: the task and everything that was tried, random founders first."""

    task: ProxyTask
    history: History


@shared
def searches(config: Config, keys: jax.Array) -> dict[str, Any]:
    """Evolution from every seed, one after the other: `found` is an array of `Searched`."""
    source = open_images(config.search.data, stand_in_for="" if config.search.data == "cifar10" else "CIFAR-10")
    found = np.empty(len(keys), object)
    for seed, key in enumerate(keys):
        task = ProxyTask(config.search.proxies, source.value, key)
        found[seed] = Searched(task, evolve(config.search.search, task.judge, generator(key)))
    return {"found": found, "data": source.name, "stand_in_for": source.stand_in_for}


@paper.claim(
    "C6",
    says="Most random layers fail the cheap tests, while most mutants of survivors pass",
    source="rejection protocols",
    metric="share of mutants rejected",
    holds=all_of(every_seed(at_least(0.9, of="random layers")), beats("half of that", lower_is_better=True)),
    trivial="random layers",
)
def rejection(config: Config, key: jax.Array) -> Measurement:
    """Ageing evolution with Pareto tournaments; the best accuracies are reported, and not judged."""
    result = searches(config, key)
    history: History = result["found"].history
    random = history.rejected_share("random")
    best = {
        origin: max((t.mean_score for t in history.accepted() if t.origin == origin), default=float("nan"))
        for origin in ("random", "mutant")
    }
    accepted = [trial for trial in history.trials if trial.origin == "mutant"]
    known = {trial.graph.digest for trial in history.trials if trial.origin == "random"}
    return Measurement(
        history.rejected_share("mutant"),
        result["data"],
        baselines={"random layers": random},
        extras={
            "half of that": random / 2,
            "best random layer, mean accuracy (%)": 100 * best["random"],
            "best mutant, mean accuracy (%)": 100 * best["mutant"],
            "random layers that do not depend on x or are not finite": history.stage_share("random", "structure"),
            "mutants equal to a founder (%)": 100 * float(np.mean([trial.graph.digest in known for trial in accepted])),
            "random layers tested": float(history.tested("random")),
            "mutants tested": float(history.tested("mutant")),
        },
        stand_in_for=result["stand_in_for"],
        figure=figures.search_figure(history),
    )


@paper.claim(
    "C7",
    says="Layers found on several architectures by Pareto tournaments generalise better than those found on one",
    source="the ablation of multi-architecture evolution",
    metric="mean test accuracy in the networks that the single search has not seen",
    unit="%",
    holds=on_average(beats("searched in one network")),
    trivial="random survivors",
)
def generalisation(config: Config, key: jax.Array) -> Measurement:
    """Two searches of equal length, the winner of each in all networks but the first."""
    if config.generalisation is None:
        raise NotTested("two searches in three architectures take hours; use --preset standard")
    case = config.generalisation
    source = open_images(case.data, stand_in_for="" if case.data == "cifar10" else "CIFAR-10")
    several, alone = (_search(case, source.value, key, single) for single in (False, True))
    test = ProxyTask(case.proxies, source.value, key, part="test")
    survivors = [trial.graph for trial in several.accepted() if trial.origin == "random"]
    means = [elsewhere(case, test, graph) for graph in (several.best().graph, alone.best().graph, *survivors)]
    return Measurement(
        100 * means[0],
        source.name,
        baselines={"searched in one network": 100 * means[1], "random survivors": 100 * float(np.mean(means[2:]))},
        stand_in_for=source.stand_in_for,
    )


def _search(case: SearchStudy, images: Images, key: jax.Array, single: bool) -> History:
    """A search in all networks with Pareto tournaments, or in the first one alone."""
    proxies, search = case.proxies, case.search
    if single:
        proxies = replace(proxies, proxies=proxies.proxies[:1], quality_proxies=1)
        search = replace(search, rule="average")
    return evolve(search, ProxyTask(proxies, images, key).judge, generator(key))


def elsewhere(case: SearchStudy, task: ProxyTask, graph: Any) -> float:
    """Mean accuracy of a layer in all networks but the first; one that breaks counts as 0."""
    found = [task.train(graph, place, case.proxies.recipe.steps) for place in range(1, len(case.proxies.proxies))]
    return float(np.nan_to_num(found).mean())


# --- Other tasks ---


@paper.claim(
    "T1",
    says="EvoNorm-S0 replaces GN-ReLU in a network that segments",
    source="instance segmentation with Mask R-CNN",
    metric="mean intersection over union of EvoNorm-S0",
    holds=on_average(beats("GN-ReLU")),
    trivial="background",
)
def segments(config: Config, key: jax.Array) -> Measurement:
    """Pixels of generated scenes with two digits each."""
    if config.transfer is None:
        raise NotTested("it trains three segmentation networks; use --preset standard")
    found = transfer.segmentation(config.transfer, ("EvoNorm-S0", "EvoNorm-B0", "GN-ReLU", "BN-ReLU"), key)
    value = found.pop("EvoNorm-S0")
    return Measurement(value, f"{config.transfer.scenes} scenes of two digits", baselines=found, stand_in_for="COCO")


@paper.claim(
    "T2",
    says="EvoNorm-B0 replaces BN-ReLU in the generator of a generative adversarial network",
    source="image synthesis with BigGAN",
    metric="Fréchet distance of EvoNorm-B0, pixels",
    holds=on_average(beats("BN-ReLU", lower_is_better=True)),
    trivial="independent pixels",
)
def generates(config: Config, key: jax.Array) -> Measurement:
    """Digits; the discriminator has no normaliser."""
    if config.transfer is None:
        raise NotTested("it trains two adversarial networks; use --preset standard")
    found = transfer.generation(config.transfer, ("EvoNorm-B0", "BN-ReLU"), key)
    return Measurement(found.pop("EvoNorm-B0"), "scikit-learn digits", baselines=found, stand_in_for="ImageNet at 128 pixels")
