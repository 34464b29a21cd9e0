"""The paper's claims, measured: M1 to M6."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.claims import Measurement, above, all_of, at_least, at_most, below, every_seed, on_average
from quire.common.claims.identity import identity
from quire.common.data.source import DataFields
from quire.common.losses.pair_ranking import cosent_loss
from quire.common.metrics.cost import count_params
from quire.common.random import generator
from quire.common.testing import max_relative_error
from quire.matryoshka_2d import brute_force, figures
from quire.matryoshka_2d.adaptive_layer import adaptive_layer_loss, matryoshka_base
from quire.matryoshka_2d.base_losses import AnglE, triplet_contrastive_loss
from quire.matryoshka_2d.config import Preset
from quire.matryoshka_2d.efficiency import early_exits, encoding_times, flops
from quire.matryoshka_2d.encoder import SentenceEncoder, encode_all_layers, truncated
from quire.matryoshka_2d.espresso import compressed
from quire.matryoshka_2d.experiment import Run, run_all
from quire.matryoshka_2d.objective import tdmse_loss
from quire.matryoshka_2d.paper import paper
from quire.matryoshka_2d.training import drawn

# --- M1: the objective ---

DEPTH, PAIRS, DIM, SIZE = 4, 9, 16, 6
TAUS = (1.0, 0.3)


@paper.claim(
    "M1",
    says="Last and drawn layer, whole and cut, with weights 1 and 1/n, and a KL between the two: the loss of a step",
    source="section 3",
    metric="largest relative error, float64",
    holds=all_of(at_most(1e-9), at_most(1e-4, of="float32")),
    exact=True,
)
def objective(preset: Preset, key: jax.Array) -> Measurement:
    """Every form of the loss, for every layer, against pair by pair in NumPy."""
    draw = generator(key)
    layers = draw.standard_normal((DEPTH + 1, 2 * PAIRS, DIM)).astype(np.float32).astype(float)
    labels = np.round(draw.uniform(0, 5, PAIRS))  # with ties
    expected = _expected(layers, labels)

    def errors(dtype: Any) -> dict[str, float]:
        found = _forms(np.asarray(layers, dtype), np.asarray(labels, dtype), np.int32(SIZE))
        return {f"error, {name}": max_relative_error(found[name], x) for name, x in expected.items()}

    return identity(errors, f"{PAIRS} pairs of random embeddings, {DEPTH} layers of {DIM}, prefix {SIZE}")


@jax.jit
def _forms(layers, labels, traced):
    base, last = AnglE(in_batch=0.0), layers[-1]

    def steps(**options):
        def step(size, n, tau):
            total, parts = tdmse_loss(layers, labels, layer=n, dim=size, base=base, tau=tau, **options)
            return jnp.stack([*parts, total])

        # a traced size takes the padded prefix, a number the slice
        grid = jnp.repeat(jnp.arange(1, DEPTH), len(TAUS)), jnp.tile(jnp.asarray(TAUS, layers.dtype), DEPTH - 1)
        return jnp.stack([jax.vmap(partial(step, size))(*grid) for size in (SIZE, traced)])

    target = compressed(last, SIZE)
    return {
        "2DMSE": steps(),
        "first release": steps(first_release=True),
        "in-batch negatives": AnglE(0.0, 1.0, 0.0)(last, labels > 2),
        "triplets": triplet_contrastive_loss(last),
        "sentence-transformers": adaptive_layer_loss(
            layers, labels, chosen=(1, 3), base=matryoshka_base(cosent_loss, (SIZE, DIM))
        ),
        "compression": target @ target.T,
    }


def _expected(layers: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    def steps(**options):
        rows = [brute_force.tdmse(layers, labels, n, SIZE, tau, **options) for n in range(1, DEPTH) for tau in TAUS]
        return np.array(2 * [[[*row, row[1] + row[2]] for row in rows]])

    last = layers[-1]
    return {
        "2DMSE": steps(),
        "first release": steps(first_release=True),
        "in-batch negatives": brute_force.in_batch(last, labels > 2, 20.0),
        "triplets": brute_force.triplet_contrastive(last, 20.0),
        "sentence-transformers": brute_force.adaptive_layer(layers, labels, (1, 3), (SIZE, DIM), 0.3),
        "compression": brute_force.compressed_gram(last, SIZE),
    }


# --- M2: early exit ---


def _random_encoder(preset: Preset, key: jax.Array, batch: int) -> tuple[SentenceEncoder, jax.Array, jax.Array]:
    """A model of the preset's sizes, and sentences of every length."""
    draw, model = generator(key), drawn(preset.encoder, preset.pooling, 0.02, nnx.Rngs(key))
    tokens = draw.integers(3, preset.encoder.vocab_size, (batch, preset.length))
    mask = np.arange(preset.length) < draw.integers(1, preset.length + 1, (batch, 1))
    return model, jnp.asarray(tokens * mask, jnp.int32), jnp.asarray(mask)


@paper.claim(
    "M2",
    says="The first n layers alone give what the whole encoder gives at its layer n, at n / L of its cost",
    source="section 3",
    metric="largest difference of unit embeddings, float32",
    holds=all_of(at_most(1e-6), at_most(1e-6, of="truncated model"), every_seed(below(0.05, of="FLOPs beyond n / L"))),
    exact=True,
)
def early_exit(preset: Preset, key: jax.Array) -> Measurement:
    """Every depth: early exit and a truncated model against the all-layer output; operations of the unrolled programs."""
    model, tokens, mask = _random_encoder(preset, key, 8)
    depths = range(1, model.depth + 1)
    every = _every_layer(*nnx.split(model), tokens, mask)
    every = np.asarray(every) / np.linalg.norm(every, axis=-1, keepdims=True)
    exits = [np.abs(early_exits(model, tokens, mask, n) - every[n]).max() for n in depths]
    cut = [np.abs(early_exits(truncated(model, layers=n), tokens, mask, n) - every[n]).max() for n in depths[:-1]]
    counts = [flops(model, tokens, mask, layers=n, compiled=False) for n in depths]
    excess = [count / counts[-1] - n / model.depth for n, count in zip(depths, counts, strict=True)]
    return Measurement(
        float(max(exits)),
        f"8 random sentences, {model.depth} layers of {preset.encoder.dim}",
        extras={
            "truncated model": float(max(cut)),
            "FLOPs beyond n / L": float(max(excess)),
        },
    )


@partial(jax.jit, static_argnums=0)
def _every_layer(graph, state, tokens, mask):
    return encode_all_layers(nnx.merge(graph, state), tokens, mask)


# --- M3, M4, M5: sentence similarity ---


def _fields(run: Run) -> DataFields:
    sizes = f"{run.preset.encoder.depth} layers of {run.preset.encoder.dim}"
    return {"data": f"{run.data}; {sizes}", "stand_in_for": run.stand_in_for}


def _shallow(grid: np.ndarray) -> float:
    """Mean over the layers below the last, at full dimension."""
    return float(grid[:-1, -1].mean())


def _narrow(grid: np.ndarray) -> float:
    """Mean over the prefix sizes, at the last layer."""
    return float(grid[-1, :-1].mean())


def _whole(grid: np.ndarray) -> float:
    """The last layer at full dimension."""
    return float(grid[-1, -1])


def _compared(run: Run, score) -> dict[str, float]:
    """Score of every method but 2DMSE and the shallow encoders alone, and of bags of words."""
    others = {name: score(grid) for name, grid in run.grids.items() if name != "2DMSE" and not name.endswith("alone")}
    return others | {"bag of words": float(run.bag_of_words)}


@paper.claim(
    "M3",
    says="Shallow layers become usable: 2DMSE is better below the last layer than an encoder that is trained plainly",
    source="section 4",
    metric="Spearman's rho of layers 1 to L - 1, mean",
    holds=on_average(above(0, of="2DMSE - plain")),
    trivial="bag of words",
)
def shallow_layers(preset: Preset, key: jax.Array) -> Measurement:
    """Full dimension; encoders of n layers that are trained for themselves are beside it, layer by layer."""
    run = run_all(preset, key)
    value, others = _shallow(run.grids["2DMSE"]), _compared(run, _shallow)
    alone = {name: float(grid[int(name.split()[0]) - 1, -1]) for name, grid in run.grids.items() if name.endswith("alone")}
    layers = {f"2DMSE, layer {n}": float(x) for n, x in enumerate(run.grids["2DMSE"][:, -1], 1)}
    return Measurement(
        value,
        **_fields(run),
        baselines=others,
        extras={"2DMSE - plain": value - others["plain"], "KL": value - others["2DMSE without KL"]} | alone | layers,
        figure=figures.by_layer(run.grids, alone, float(run.bag_of_words)),
    )


_narrow_claim = partial(
    paper.claim, source="section 4", metric="Spearman's rho of prefixes of the last layer, mean", trivial="bag of words"
)


def _narrow_prefixes(preset: Preset, key: jax.Array) -> Measurement:
    run = run_all(preset, key)
    value, others = _narrow(run.grids["2DMSE"]), _compared(run, _narrow)
    by_size = {f"2DMSE - plain, k = {k}": x for k, x in zip(run.preset.sizes, _gains(run)[-1, :-1].tolist(), strict=True)}
    differences = {"2DMSE - plain": value - others["plain"], "MRL - plain": others["MRL"] - others["plain"]}
    return Measurement(
        value,
        **_fields(run),
        baselines=others,
        extras=differences | by_size,
        figure=figures.by_dimension(run.grids, run.preset.dims, float(run.bag_of_words)),
    )


def _gains(run: Run) -> np.ndarray:
    return run.grids["2DMSE"] - run.grids["plain"]


@_narrow_claim("M4", says="Narrow prefixes stay usable", holds=on_average(at_least(-0.05, of="2DMSE - plain")))
def narrow_prefixes(preset: Preset, key: jax.Array) -> Measurement:
    """The sizes S below the full dimension."""
    return _narrow_prefixes(preset, key)


@_narrow_claim(
    "M4b",
    says="Narrow prefixes become better than those of an encoder that is trained plainly",
    holds=on_average(above(0, of="2DMSE - plain")),
    expect="not reproduced",
    because=(
        "At this scale the encoder has hardly more numbers than its smallest prefix, so that a prefix of a plain one is a good "
        "embedding already, and the terms of the drawn layer and size take their share of few steps."
    ),
)
def better_prefixes(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs, without any allowance: the paper's direction."""
    return _narrow_prefixes(preset, key)


@paper.claim(
    "M5",
    says="The whole encoder loses little",
    source="section 4",
    metric="Spearman's rho of the last layer at full dimension",
    holds=on_average(at_least(-0.06, of="2DMSE - plain")),
    trivial="bag of words",
)
def whole_encoder(preset: Preset, key: jax.Array) -> Measurement:
    """The same runs."""
    run = run_all(preset, key)
    value, others = _whole(run.grids["2DMSE"]), _compared(run, _whole)
    return Measurement(
        value,
        **_fields(run),
        baselines=others,
        extras={"2DMSE - plain": value - others["plain"]},
        figure=figures.grids({name: run.grids[name] for name in ("plain", "MRL", "2DMSE")}, run.preset.dims),
    )


# --- M6: efficiency ---


@paper.claim(
    "M6",
    says="A shallow exit saves nearly all that its missing layers cost",
    source="section 4, efficiency",
    metric="FLOPs of the compiled program of one layer / those of all",
    holds=at_most(0.35),
    exact=True,
)
def efficiency(preset: Preset, key: jax.Array) -> Measurement:
    """Operations decide; the time of `encode` is beside them, since a busy machine has a say in it."""
    model, tokens, mask = _random_encoder(preset, key, preset.efficiency.batch)
    depth = model.depth
    one, whole = (flops(model, tokens, mask, layers=n) for n in (1, depth))
    times = encoding_times(model, tokens, mask, (1, depth), preset.efficiency.timings)
    sizes = {name: count_params(x) for name, x in (("1 layer", truncated(model, layers=1)), (f"{depth} layers", model))}
    return Measurement(
        one / whole,
        f"{len(tokens)} random sentences of {preset.length} tokens, {depth} layers of {preset.encoder.dim}",
        extras={f"milliseconds, {name}": value for name, value in times.items()}
        | {"time of one layer / of all": times["1 layers"] / times[f"{depth} layers"]}
        | {f"parameters, {name}": count for name, count in sizes.items()},
    )
