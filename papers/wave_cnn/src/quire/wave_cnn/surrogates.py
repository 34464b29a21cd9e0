"""The surrogates of C4 and C5: every kind of network on many and on few fields, and what they are compared with."""

import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jaxtyping import Float

from quire.common.claims.paper import shared
from quire.common.metrics.cost import count_params, macs, tree_bytes
from quire.common.train.seeds import fold_keys
from quire.wave_cnn.baselines import linear_field
from quire.wave_cnn.compression import nested_svd
from quire.wave_cnn.config import Preset, Surrogate
from quire.wave_cnn.one_way_kernels import cp_kernel
from quire.wave_cnn.training import Run, Scaled, Trainer, chosen_rate, relative_error, scaled
from quire.wave_cnn.wave_net import Kind, WaveNet
from quire.wave_cnn.waves import WaveData, sample_wave_dataset

NAMES: dict[Kind, str] = {"classical": "classical", "one_way": "one-way", "shared": "shared one-way"}
COMPARED: tuple[Kind, ...] = ("classical", "one_way")


def build(config: Surrogate, conv: Kind, rngs: nnx.Rngs) -> WaveNet:
    """The network of a preset; kinds differ in nothing but their convolutions."""
    rank = config.shared_rank if conv == "shared" else config.rank
    return WaveNet(3, config.channels, config.kernel_size, conv=conv, rank=rank, rngs=rngs)


class Costs(NamedTuple):
    """Of a network: numbers that are trained, their bytes, multiplications for one field."""

    params: int
    bytes: int
    macs: int


def network_costs(config: Surrogate) -> dict[str, Costs]:
    """By kind; nothing is computed."""
    times, size = config.waves.times, config.waves.zone[1]
    x = jax.ShapeDtypeStruct((1, times, size, size, 3), np.float32)
    found = {}
    for conv, name in NAMES.items():
        net = nnx.eval_shape(lambda conv=conv: build(config, conv, nnx.Rngs(0)))
        graph, state = nnx.split(net)
        products = macs(lambda state, x, graph=graph: nnx.merge(graph, state)(x), state, x)
        found[name] = Costs(count_params(net), tree_bytes(state), products)
    return found


class Fields(NamedTuple):
    """Simulations of one seed, by what they are for."""

    train: WaveData
    held_out: WaveData
    test: WaveData


def draw_fields(config: Surrogate, key: jax.Array) -> Fields:
    """Independent simulations of one law, in one call."""
    sizes = (config.samples[0], config.held_out, config.test)
    data = sample_wave_dataset(key, sum(sizes), config.waves)
    ends = np.cumsum((0, *sizes))
    return Fields(*(jax.tree.map(lambda x, a=a, b=b: x[a:b], data) for a, b in itertools.pairwise(ends)))


def first(data: WaveData, n: int) -> WaveData:
    """The first n simulations."""
    return jax.tree.map(lambda x: x[:n], data)


@shared
def surrogate_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """All networks of all seeds.

    The rate of a kind is the best on held-out fields for the first seed and the largest sample; the others take it, and the
    shared form that of the other one-way form.

    Returns:
        `errors[kind][samples, split]` (train, test) beside `baselines`, `posterior` (classical networks compressed after
        training, by terms), the fields and predictions of the tests, seconds of a step and of a forecast, the rates. Arrays
        have a leading seed axis; the shared form is trained for the first seed only, and NaN for the others.
    """
    config = preset.surrogate
    fields = [draw_fields(config, key) for key in fold_keys(keys, 1)]
    kept = ("errors", "predicted", "losses", "seconds", "inference", "rates", "rate errors")
    found: dict[str, Any] = {what: {} for what in kept}
    for conv in NAMES if config.with_shared else COMPARED:
        seeds = len(keys) if conv in COMPARED else 1
        rate = None if conv in COMPARED else found["rates"]["one-way"]
        runs, posterior = _runs_of_kind(config, conv, keys[:seeds], fields[:seeds], rate)
        for what in runs:
            found[what][NAMES[conv]] = _padded(runs[what], len(keys))
        found |= {"posterior": posterior} if conv == "classical" else {}
    found["baselines"] = _over([_baselines(config, each) for each in fields])
    found["test"] = np.stack([np.asarray(each.test.fields) for each in fields])
    found["pulse"] = np.stack([each.test.inputs[:, 0, ..., -2] for each in fields])
    return found


def _runs_of_kind(
    config: Surrogate, conv: Kind, keys: jax.Array, fields: Sequence[Fields], rate: float | None
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What is found of a kind, and of its networks compressed after training if it is the classical one."""
    trainer = Trainer(partial(build, config, conv), config.steps, config.batch_size)
    rate_errors, kept = {}, {}
    errors, predicted, seconds, losses, posterior = [], [], [], [], []
    for key, each in zip(keys, fields, strict=True):
        by_size = []
        for samples in config.samples:
            seen = first(each.train, samples)
            scale = float(np.abs(seen.fields).max())
            run = Run(key, scaled(each.train, scale), samples, 0.0)
            test = scaled(each.test, scale)
            if rate is None:
                rate, rate_errors, kept = chosen_rate(trainer, run, config.rates, scaled(each.held_out, scale))
            trained = kept.pop(rate, None) or trainer(run._replace(rate=rate))
            forecast = trainer.predict(trained.model, test)
            own = trainer.predict(trained.model, scaled(seen, scale))
            by_size.append((relative_error(own, seen.fields), relative_error(forecast, each.test.fields)))
            seconds.append(trained.seconds)
            if samples == config.samples[0]:
                predicted.append(forecast)
                losses.append(trained.losses)
                posterior += [_compressed_errors(trainer, trained.model, test, each.test)] if conv == "classical" else []
        errors.append(by_size)
    arrays = {"errors": errors, "predicted": predicted, "losses": losses}
    plain: dict[str, Any] = {"seconds": float(np.median(seconds)), "inference": trainer.inference_seconds(trained.model, test)}
    plain |= {"rates": rate, "rate errors": rate_errors}
    return {name: np.array(x) for name, x in arrays.items()} | plain, _over(posterior)


def _padded(x: Any, seeds: int) -> Any:
    """NaN for the seeds that are missing."""
    if not isinstance(x, np.ndarray) or len(x) == seeds:
        return x
    return np.concatenate([x, np.full((seeds - len(x), *x.shape[1:]), np.nan, x.dtype)])


POSTERIOR = ((1, 1), (2, 1), (2, 2), (3, 2), (3, 3))
"""Terms of the nested decompositions that a trained network is compressed to."""


def _compressed_errors(trainer: Trainer, model: nnx.Module, test: Scaled, data: WaveData) -> dict[str, float]:
    """Test errors of a classical network whose kernels are replaced by sums of one-way products, without training again."""
    graph, state = nnx.split(model)
    errors = {}
    for rank, inner in POSTERIOR:

        def nearest(path, leaf, rank=rank, inner=inner):
            return np.asarray(cp_kernel(nested_svd(leaf, rank, inner))) if np.ndim(leaf) == 5 else leaf

        compressed = nnx.merge(graph, jax.tree.map_with_path(nearest, state))
        errors[f"{rank * inner} terms"] = relative_error(trainer.predict(compressed, test), data.fields)
    return errors


def _baselines(config: Surrogate, fields: Fields) -> dict[str, np.ndarray]:
    """Test errors by number of samples: the mean field, the rim with zeros inside, linear regression on all inputs."""
    test, found = fields.test, {"mean field": [], "rim, zeros inside": [], "linear ridge": []}
    for samples in config.samples:
        train = first(fields.train, samples)
        mean = np.broadcast_to(train.fields.mean(0), test.fields.shape)
        (linear,) = linear_field(train, [fields.held_out, test], config.penalties)
        for name, guess in zip(found, (mean, test.inputs[..., -1], linear), strict=True):
            found[name].append(relative_error(guess, test.fields))
    return {name: np.array(errors) for name, errors in found.items()}


def _over(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Float[np.ndarray, "seeds *_"]]:
    return {name: np.stack([np.asarray(each[name]) for each in seeds]) for name in seeds[0]} if seeds else {}
