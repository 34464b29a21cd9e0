"""The boundary generator: parameters of a pulse to the history of the zone's rim, through its proper orthogonal decomposition."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.checks import check_at_least, floating
from quire.common.claims.paper import shared
from quire.common.layers.initialisers import he_normal
from quire.common.metrics.pca import principal_axes
from quire.common.train.seeds import fit_seeds, fold_keys, stack
from quire.wave_cnn.baselines import cubic, nearest
from quire.wave_cnn.config import Generator, Preset
from quire.wave_cnn.dense_layer import CPLinear
from quire.wave_cnn.submodel import submodel_solve
from quire.wave_cnn.training import relative_error
from quire.wave_cnn.wave_fe import WaveFE, ring
from quire.wave_cnn.waves import Parameters, Waves, draw_parameters, pulse, simulate

IN_COMPONENTS = "true rim in the components"
"""The truth, less what the basis cannot hold: no network that gives coefficients does better on the rim."""


class BoundaryGenerator(nnx.Module):
    """Two hidden layers, ReLU: standardised parameters to coefficients of a basis.

    Args:
        inputs, outputs: numbers of parameters and coefficients.
        width: of the hidden layers, as a product; the second one, in polyadic form, folds it so.
        rank: of that form; None for a full matrix.
        rngs: for the initial weights.

    Raises:
        ValueError: for a size or a rank below 1.

    >>> BoundaryGenerator(4, 48, (8, 12), None, rngs=nnx.Rngs(0))(jnp.ones((2, 4))).shape
    (2, 48)
    """

    def __init__(self, inputs: int, outputs: int, width: Sequence[int], rank: int | None, *, rngs: nnx.Rngs):
        for name, size in (("inputs", inputs), ("outputs", outputs), ("width", min(width, default=0))):
            check_at_least(name, size)
        hidden = int(np.prod(width))
        self.first = nnx.Linear(inputs, hidden, kernel_init=he_normal, rngs=rngs)
        full = rank is None
        self.second = (
            nnx.Linear(hidden, hidden, kernel_init=he_normal, rngs=rngs) if full else CPLinear(width, width, rank, rngs=rngs)
        )
        self.last = nnx.Linear(hidden, outputs, kernel_init=he_normal, rngs=rngs)

    def __call__(self, x: Float[Array, "batch inputs"]) -> Float[Array, "batch outputs"]:
        """Coefficients."""
        return self.last(jax.nn.relu(self.second(jax.nn.relu(self.first(x)))))


def rim_histories(
    parameters: Parameters, waves: Waves
) -> tuple[Float[np.ndarray, "n times b"], Float[np.ndarray, "n times zone"]]:
    """Displacements of the rim and of all nodes of the zone, at every step, the start included."""
    history = np.asarray(simulate(parameters, waves))[:, :, *waves.inside()]
    zone = history.reshape(*history.shape[:2], -1)
    return zone[..., ring(history.shape[2:])], zone


def solve_inside(parameters: Parameters, rims: Float[np.ndarray, "n times b"], waves: Waves) -> Float[np.ndarray, "n times zone"]:
    """The zone's motion, by finite elements driven at its rim, for simulations of one material.

    Displacement and acceleration at the start are those of the pulse on the whole square, which the parameters say.

    Raises:
        ValueError: for two materials, or as many histories and parameters as do not fit together.
    """
    if waves.materials != 1:
        raise ValueError(f"materials is {waves.materials}; the zone's own mesh has one speed")
    if np.ndim(rims) != 3 or len(rims) != len(parameters.width):
        raise ValueError(f"rims has shape {np.shape(rims)} for {len(parameters.width)} simulations; it needs [n, times, b]")
    return np.asarray(_solve_inside(waves.checked(parameters), floating(rims)[0], waves))


@partial(jax.jit, static_argnames="waves")
def _solve_inside(parameters, rims, waves):
    mesh, size = waves.mesh(), waves.zone[1] - 1
    side = size / waves.elements

    def one(single, rim):
        whole = WaveFE(mesh.nx, mesh.ny, c=single.speed[0], bc=mesh.bc)
        u0 = pulse(single, jnp.asarray(mesh.nodes(), rim.dtype))
        start = [x.reshape(mesh.shape)[waves.inside()].reshape(-1) for x in (u0, whole.acceleration(u0))]
        zone = WaveFE(size, size, side, side, c=single.speed[0])
        return submodel_solve(zone, rim, waves.dt, start[0], jnp.zeros_like(start[0]), start[1]).displacement

    return jax.vmap(one)(parameters, rims)


def mean_error(model: nnx.Module, batch: tuple[Array, Array], key: jax.Array) -> Array:
    """Mean squared error of coefficients."""
    x, y = batch
    return jnp.mean((model(x) - y) ** 2)


def rim_forecasts(config: Generator, keys: Sequence[jax.Array]) -> dict[str, Any]:
    """Histories of the rim by every method, for every seed.

    Args:
        config: of the experiment.
        keys: one each for the simulations and for the networks of a seed.

    Returns:
        `rims` by method and `truth`, `[seeds, n, times, b]`, `zones`, the true motion of the zone, and the `parameters` of each
        seed's tests.
    """
    seeds = [_simulations(config, key) for key in keys]
    tables = [_standardised(each["parameters"].table(), config.train) for each in seeds]
    rims = [each["rims"].reshape(len(each["rims"]), -1) for each in seeds]
    bases = [principal_axes(rim[: config.train].astype(float), config.components) for rim in rims]
    scales = [np.sqrt(basis.variance[0]) for basis in bases]
    coefficients = [b.project(rim[: config.train]) / scale for b, rim, scale in zip(bases, rims, scales, strict=True)]
    found: dict[str, list] = {}
    found[IN_COMPONENTS] = [b.project(rim[config.train :]) @ b.axes + b.mean for rim, b in zip(rims, bases, strict=True)]
    for name, rank in (("POD + MLP", None), ("POD + CP layers", config.rank)):
        outputs = _networks(config, rank, tables, coefficients, keys)
        found[name] = [y * scale @ b.axes + b.mean for y, scale, b in zip(outputs, scales, bases, strict=True)]
    for name, method in (("cubic regression", cubic), ("nearest run", nearest), ("mean rim", _mean)):
        found[name] = [
            method(x[: config.train], rim[: config.train], x[config.train :]) for x, rim in zip(tables, rims, strict=True)
        ]
    shape = (len(seeds), config.test, *seeds[0]["rims"].shape[1:])
    return {
        "rims": {name: np.stack([np.asarray(x, float) for x in values]).reshape(shape) for name, values in found.items()},
        "truth": np.stack([each["rims"][config.train :] for each in seeds]).astype(float),
        "zones": np.stack([each["zones"][config.train :] for each in seeds]).astype(float),
        "parameters": [jax.tree.map(lambda x: x[config.train :], each["parameters"]) for each in seeds],
    }


def _simulations(config: Generator, key: jax.Array) -> dict[str, Any]:
    """In float64: with the true rim, finite elements inside repeat the truth to rounding."""
    parameters = draw_parameters(key, config.train + config.test, config.waves)
    with jax.enable_x64():
        rims, zones = rim_histories(parameters, config.waves)
    return {"parameters": parameters, "rims": rims, "zones": zones}


def _standardised(table: Float[np.ndarray, "n k"], train: int) -> Float[np.ndarray, "n k"]:
    mean, spread = table[:train].mean(0), np.maximum(table[:train].std(0), 1e-12)
    return (table - mean) / spread


def _mean(x, y, new):
    return np.broadcast_to(y.mean(0), (len(new), y.shape[1]))


def _networks(config: Generator, rank: int | None, tables, coefficients, keys) -> Float[np.ndarray, "seeds n k"]:
    """Coefficients of the tests, by networks trained on all simulations at once."""
    inputs, outputs = tables[0].shape[1], config.components

    def build(rngs):
        return BoundaryGenerator(inputs, outputs, config.width, rank, rngs=rngs)

    train = [(x[: config.train].astype(np.float32), y.astype(np.float32)) for x, y in zip(tables, coefficients, strict=True)]
    tx = optax.adam(optax.cosine_decay_schedule(config.rate, config.steps))
    graph, state, _ = fit_seeds(
        build,
        tx,
        mean_error,
        lambda data, step: data,
        stack(train),
        steps=config.steps,
        keys=jnp.stack(list(keys)),
        one_by_one=True,
    )
    new = [x[config.train :].astype(np.float32) for x in tables]
    apply = jax.jit(jax.vmap(lambda state, x: nnx.merge(graph, state)(x)))
    return np.asarray(apply(state, np.stack(new)))


@shared
def generator_runs(preset: Preset, keys: jax.Array) -> dict[str, Any]:
    """Errors on the rim and inside, by method, and the motions; arrays have a leading seed axis."""
    config = preset.generator
    runs = rim_forecasts(config, fold_keys(keys, 2))
    rims = {"true rim": runs["truth"]} | runs["rims"]
    found: dict[str, Any] = {"rim error": {}, "inside error": {}, "inside": {}, "rims": rims, "zones": runs["zones"]}
    size = config.waves.zone[1]
    inner = np.setdiff1d(np.arange(size**2), ring((size, size)))
    with jax.enable_x64():
        for name, histories in rims.items():
            motions = np.stack([solve_inside(p, r, config.waves) for p, r in zip(runs["parameters"], histories, strict=True)])
            found["inside"][name] = motions
            pairs = {"rim error": (histories, runs["truth"]), "inside error": (motions[..., inner], runs["zones"][..., inner])}
            for what, (guess, truth) in pairs.items():
                found[what][name] = np.array([relative_error(g, t) for g, t in zip(guess, truth, strict=True)])
    return found
