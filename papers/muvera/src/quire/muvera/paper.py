"""The paper, its presets and its benchmark."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from quire.common.bench import Benchmark, Case
from quire.common.claims import Paper
from quire.muvera.running_mean import running_mean


@dataclass(frozen=True)
class Config:
    """Sizes of the experiments; the defaults are the paper's."""

    num_samples: int = 1_000_000


paper = Paper(
    slug="muvera",
    title="MUVERA: Multi-Vector Retrieval via Fixed Dimensional Encodings",
    authors="Authors",
    year=2024,
    venue="Venue",
    arxiv="0000.00000",
    area="area",
    presets={"quick": Config(num_samples=1024), "standard": Config(num_samples=65_536), "paper": Config()},
)


def naive_running_mean(x):
    """The definition, every prefix summed anew by one triangular product."""
    n = x.shape[-1]
    return jnp.tril(jnp.ones((n, n), x.dtype)) @ x / jnp.arange(1, n + 1, dtype=x.dtype)


def _cases(n: int, key: jax.Array) -> dict[str, Case]:
    x = jax.random.normal(key, (n,))
    return {"running sum": Case(running_mean, (x,)), "triangular product": Case(naive_running_mean, (x,))}


paper.benchmark = Benchmark("Running mean", size="numbers n", sizes=(256, 512, 1024, 2048), cases=_cases)
