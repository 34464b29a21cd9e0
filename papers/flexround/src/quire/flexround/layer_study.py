"""One layer, all variants: division against addition, with and without a learned grid, as settings of a single program."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from quire.common.arrays import AnyArray
from quire.common.quant.reconstruct import reconstruct_block
from quire.common.quant.uniform import Grid, affine_codes, affine_quantize
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import stack
from quire.flexround import adaround
from quire.flexround.division import initial_grid

VARIANTS = {
    "FlexRound": {"log_s1": 1, "log_S2": 1, "log_s3": 1},
    "s1 fixed": {"log_S2": 1, "log_s3": 1},
    "without s3": {"log_s1": 1, "log_S2": 1},
    "AdaQuant": {"log_s1": 1, "offset": 1},
    "only s1": {"log_s1": 1},
    "FlexRound, tuned": {"log_s1": 1, "log_S2": 8, "log_s3": 1},
    "AdaQuant, tuned": {"log_s1": 1, "offset": 32},
}
"""What each variant learns, and how fast: factors of one rate. The best single rate is the same for dividing and for adding; the
tuned variants have the best rate for each parameter."""

ADAROUND = {"AdaRound": (0.1, adaround.REGULARISER), "AdaRound, tuned": (0.3, 300 * adaround.REGULARISER)}
"""Rate and weight of the regulariser: the best rate for the regulariser of its paper, and the best of both for a thousand steps,
after which the usual regulariser has not decided most weights."""


@dataclass(frozen=True)
class LayerSizes:
    """A linear layer with rows of very different sizes, and its reconstruction.

    Attributes:
        dim: inputs and outputs.
        samples, test_samples: inputs to fit on, and fresh ones.
        batch_size, steps: of Adam.
        rate: of Adam, see `VARIANTS`; the best single one of those tried.
        bits: widths.
    """

    dim: int = 64
    samples: int = 512
    test_samples: int = 2000
    batch_size: int = 64
    steps: int = 1000
    rate: float = 1e-3
    bits: tuple[int, ...] = (3, 4)

    def __post_init__(self):
        if min(self.dim, self.test_samples, self.batch_size, self.steps, *self.bits) < 1 or self.samples < self.batch_size:
            raise ValueError(f"{self}: all sizes must be at least 1, and samples at least batch_size")


class LayerProblem(NamedTuple):
    """Weights `[out, in]`, inputs `[samples, in]`, fresh inputs, and the rows of every step."""

    w: AnyArray
    x: AnyArray
    x_test: AnyArray
    batches: AnyArray


class VariantParams(NamedTuple):
    """Every parameter that some variant learns: those of FlexRound, and what AdaQuant adds."""

    log_s1: AnyArray
    log_S2: AnyArray
    log_s3: AnyArray
    offset: AnyArray


def layer_problem(key: jax.Array, sizes: LayerSizes) -> LayerProblem:
    """Normal weights, each row times `exp(N(0, 1/4))`; inputs `n A` with `A = N / 8 + 0.3 I`, so that they are correlated.

    NumPy float32.
    """
    rng = generator(key)
    w = rng.standard_normal((sizes.dim, sizes.dim)) * np.exp(0.5 * rng.standard_normal((sizes.dim, 1)))
    mixing = rng.standard_normal((sizes.dim, sizes.dim)) / 8 + 0.3 * np.eye(sizes.dim)
    x, x_test = (rng.standard_normal((n, sizes.dim)) @ mixing for n in (sizes.samples, sizes.test_samples))
    batches = epoch_indices(key, sizes.samples, sizes.batch_size, sizes.steps)
    return LayerProblem(*(a.astype(np.float32) for a in (w, x, x_test)), batches)


def variant_weights(w: AnyArray, p: VariantParams, zero: Array, bits: int | Array) -> Array:
    """`s1 clip(round((W + V) / (s1 S2 s3)), -z, 2^b - 1 - z)`: all variants at once."""
    return affine_quantize((w + p.offset) / (jnp.exp(p.log_S2) * jnp.exp(p.log_s3)), Grid(jnp.exp(p.log_s1), zero), bits)


def relative_error(w: AnyArray, quantized: Array, x: AnyArray) -> Array:
    """Squared error of the outputs, relative to that of no output at all."""
    return jnp.sum((x @ (quantized - w).T) ** 2) / jnp.sum((x @ w.T) ** 2)


class LayerResult(NamedTuple):
    """What came of one variant on one problem.

    Attributes:
        error: of fresh outputs, relative.
        losses: of calibration, `[steps]`.
        codes: that are kept, `[out, in]`.
        nearest: codes of rounding to nearest on the grid as it has become.
        update: how far a weight was moved before rounding, `W / (s1 S2 s3) - W / s1`, or `V / s1`: in steps of the grid.
        scale: of the grid.
    """

    error: Float[Array, ""]
    losses: Float[Array, " steps"]
    codes: Float[Array, "out in"]
    nearest: Float[Array, "out in"]
    update: Float[Array, "out in"]
    scale: Float[Array, ""]


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, 0, None))  # widths and seeds
@partial(jax.vmap, in_axes=(None, None, None, 0))  # variants
def fit_variant(problem: LayerProblem, grid: Grid, bits: Array, rates: VariantParams) -> LayerResult:
    """Fit one variant, given by the rate of every parameter; compiled for all widths, seeds and variants side by side."""
    w, out = problem.w, len(problem.w)
    start = VariantParams(jnp.log(grid.scale), jnp.zeros_like(w), jnp.zeros((out, 1), w.dtype), jnp.zeros_like(w))
    found = reconstruct_block(
        lambda p, x: x @ variant_weights(w, p, grid.zero, bits).T,
        start,
        problem.x,
        problem.x @ w.T,
        steps=len(problem.batches),
        rate=rates,
        batches=problem.batches,
    )
    p = found.params
    learned = Grid(jnp.exp(p.log_s1), grid.zero)
    stretched = w / (jnp.exp(p.log_S2) * jnp.exp(p.log_s3))
    return LayerResult(
        relative_error(w, variant_weights(w, p, grid.zero, bits), problem.x_test),
        found.losses,
        affine_codes(stretched + p.offset, learned, bits),
        affine_codes(w, learned, bits),
        (stretched + p.offset - w) / learned.scale,
        learned.scale,
    )


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, 0, None, None))
@partial(jax.vmap, in_axes=(None, None, None, 0, 0))
def fit_adaround(problem: LayerProblem, grid: Grid, bits: Array, rate: Array, weight: Array) -> LayerResult:
    """The same for AdaRound, whose grid is fixed; `weight` is that of its regulariser."""
    w = problem.w
    found = reconstruct_block(
        lambda p, x: x @ adaround.adaround_soft(w, p, bits).T,
        adaround.adaround_init(w, grid),
        problem.x,
        problem.x @ w.T,
        steps=len(problem.batches),
        rate=rate,
        batches=problem.batches,
        penalty=lambda p, progress: adaround.adaround_penalty(p, progress, weight),
    )
    hard, codes = adaround.adaround_hard(w, found.params, bits), adaround.adaround_codes(w, found.params, bits)
    nearest = affine_codes(w, grid, bits)
    return LayerResult(relative_error(w, hard, problem.x_test), found.losses, codes, nearest, codes - nearest, grid.scale)


@jax.jit
@jax.vmap
def fit_nothing(problem: LayerProblem, grid: Grid, bits: Array) -> LayerResult:
    """Rounding to nearest."""
    w, codes = problem.w, affine_codes(problem.w, grid, bits)
    error = relative_error(w, affine_quantize(w, grid, bits), problem.x_test)
    return LayerResult(error, jnp.zeros(len(problem.batches)), codes, codes, jnp.zeros_like(w), grid.scale)


def variant_rates(sizes: LayerSizes) -> VariantParams:
    """The rate of every parameter in every variant, `[variants]` each."""
    rows = [
        VariantParams(*(np.asarray(sizes.rate * factors.get(field, 0), np.float32) for field in VariantParams._fields))
        for factors in VARIANTS.values()
    ]
    return stack(rows)


def study_layer(sizes: LayerSizes, keys: Sequence[jax.Array]) -> tuple[LayerProblem, dict[str, LayerResult]]:
    """All variants, AdaRound and rounding to nearest, for all seeds and widths.

    Args:
        sizes: of the layer and of its reconstruction.
        keys: one for each seed.

    Returns:
        The problems `[seeds, ...]`, and by the name of the method the results, `[seeds, widths, ...]`.
    """
    problems = stack([layer_problem(key, sizes) for key in keys])
    search = {bits: jax.jit(jax.vmap(partial(initial_grid, bits=bits))) for bits in sizes.bits}
    grids = [search[bits](problems.w) for bits in sizes.bits]
    seeds, widths = len(keys), len(sizes.bits)
    # widths and seeds as one axis, seeds last
    flat = jax.tree.map(lambda a: np.concatenate([a] * widths), problems)
    grid = jax.tree.map(lambda *parts: np.concatenate(parts), *grids)
    bits = np.repeat(np.array(sizes.bits, np.int32), seeds)
    groups = [
        (VARIANTS, fit_variant(flat, grid, bits, variant_rates(sizes))),
        (ADAROUND, fit_adaround(flat, grid, bits, *np.array(list(ADAROUND.values()), np.float32).T)),
    ]
    results = {}
    for names, found in groups:
        host = jax.device_get(found)
        results |= {name: jax.tree.map(lambda a, i=i: a[:, i], host) for i, name in enumerate(names)}
    results["RTN"] = fit_nothing(flat, grid, bits)

    def by_seed(a):
        a = np.asarray(a)
        return np.moveaxis(a.reshape(widths, seeds, *a.shape[1:]), 0, 1)

    return problems, jax.tree.map(by_seed, results)
