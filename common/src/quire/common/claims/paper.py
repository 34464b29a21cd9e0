"""A paper and its claims: the registry that the command line, the notebooks, CI and the scoreboard all read."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, Literal

import jax
import numpy as np

from quire.common.claims.criteria import AllOf, Criterion, Verdict
from quire.common.claims.measurement import Measurement
from quire.common.errors import UsageError, did_you_mean

PresetName = Literal["quick", "standard", "paper"]
PRESETS: tuple[PresetName, ...] = ("quick", "standard", "paper")

Measure = Callable[[Any, jax.Array], Measurement]


@dataclass(frozen=True)
class Claim:
    """One statement of a paper and the function that measures it. Made by `Paper.claim`, whose arguments it keeps."""

    id: str
    says: str
    source: str
    metric: str
    unit: str
    holds: Criterion | AllOf
    measure: Measure
    trivial: str | None
    exact: bool
    seeds: int
    expect: Verdict
    because: str
    timed: bool = False

    def __call__(self, preset: Any, key: jax.Array) -> Measurement:
        """Measure with one key, and check that the promised trivial baseline stands beside the value."""
        measurement = self.measure(preset, key)
        if not self.exact and self.trivial not in measurement.baselines:
            raise ValueError(
                f"claim {self.id} promises the trivial baseline {self.trivial!r}, measured {sorted(measurement.baselines)}"
            )
        return measurement


@dataclass
class Paper:
    """A paper: who wrote it, its presets, claims and benchmark.

    Attributes:
        slug: name of the folder, import, notebook, test and golden file.
        title, authors, year, venue, arxiv, code, area: the citation; `code` is the authors' repository, or "".
        licence: licence of the authors' code, or "".
        presets: configuration for each of `quick`, `standard` and `paper`.
    """

    slug: str
    title: str
    authors: str
    year: int
    venue: str
    arxiv: str
    area: str
    presets: Mapping[str, Any]
    code: str = ""
    licence: str = ""
    claims: dict[str, Claim] = field(default_factory=dict, init=False)
    benchmark: Any = field(default=None, init=False)

    def __post_init__(self):
        if not self.slug.isidentifier() or self.slug != self.slug.lower():
            raise ValueError(f"slug is {self.slug!r}; it must be a lower-case Python identifier such as 'tensor_attention'")
        if missing := [name for name in PRESETS if name not in self.presets]:
            raise ValueError(f"presets of {self.slug} lack {missing}; every paper has {list(PRESETS)}")

    def claim(
        self,
        id: str,
        *,
        says: str,
        source: str,
        metric: str,
        holds: Criterion | AllOf,
        unit: str = "",
        trivial: str | None = None,
        exact: bool = False,
        seeds: int = 3,
        expect: Verdict = "reproduced",
        because: str = "",
        timed: bool = False,
    ) -> Callable[[Measure], Claim]:
        """Register `measure(preset, key) -> Measurement` as a claim.

        Args:
            id: short name, `C1`.
            says: what the paper states, in one sentence.
            source: where it says so: a table, a section, an equation.
            metric: what is measured.
            holds: when the claim holds.
            unit: unit of the metric, or "".
            trivial: name of the baseline that knows nothing (majority class, mean image, equal-norm shrink); an empirical claim
                is refused without one.
            exact: the claim is an identity, true up to rounding: no trivial baseline, and every seed must hold.
            seeds: number of seeds to run by default.
            expect: the verdict to expect; a run that ends differently fails, in either direction.
            because: why a claim is not expected to be reproduced; required then.
            timed: the claim goes by the clock. It is measured last, after everything that could still be running, and a surprise
                fails only where the machine has nothing else to do; see `Scorecard.check`.

        Raises:
            ValueError: for a second claim of the same id, an empirical claim without a trivial baseline, an unexplained
                expectation, or fewer than one seed.
        """
        if id in self.claims:
            raise ValueError(f"{self.slug} has a claim {id} already")
        if not exact and trivial is None:
            raise ValueError(f"claim {id} names no trivial baseline; give trivial=..., or exact=True if it is an identity")
        if expect != "reproduced" and not because:
            raise ValueError(f"claim {id} expects {expect!r}; say why with because=...")
        if seeds < 1:
            raise ValueError(f"claim {id} asks for {seeds} seeds; it needs at least 1")

        def register(measure: Measure) -> Claim:
            claim = Claim(id, says, source, metric, unit, holds, measure, trivial, exact, seeds, expect, because, timed)
            self.claims[id] = claim
            return claim

        return register

    def find_claim(self, id: str) -> Claim:
        """The claim called `id`, in any case.

        Raises:
            UsageError: if there is none.
        """
        for name, claim in self.claims.items():
            if name.lower() == id.lower():
                return claim
        raise UsageError(f"{self.slug} has no claim {id!r}; {did_you_mean(id, self.claims)}")

    def preset(self, name: str) -> Any:
        """The configuration called `name`.

        Raises:
            UsageError: if there is none.
        """
        if name not in self.presets:
            raise UsageError(f"there is no preset {name!r}; {did_you_mean(name, self.presets)}")
        return self.presets[name]

    @cached_property
    def citation(self) -> str:
        """`Authors (year). Title. Venue. arXiv:...`"""
        return f"{self.authors} ({self.year}). {self.title}. {self.venue}. arXiv:{self.arxiv}"


# --- Sharing one training run ---

_seed_keys: ContextVar[tuple[jax.Array, ...]] = ContextVar("seed_keys", default=())


def shared(train: Callable[[Any, jax.Array], Any]) -> Callable[[Any, jax.Array], Any]:
    """Let claims share one computation, and let that computation batch its seeds.

    `train(preset, keys)` gets the keys of *all* seeds of the run, `[seeds]`, and returns a pytree whose array leaves have a
    leading seed axis (`jax.vmap` over the keys, usually). The decorated function takes `(preset, key)` and returns the slice of
    that key. The result is kept for the last preset and seeds, so every claim that asks finds it ready, and so does a notebook
    that asks after the run with the key of one of its seeds.
    """
    kept: dict[Any, Any] = {}

    def of_key(preset: Any, key: jax.Array) -> Any:
        keys = _seed_keys.get()
        fingerprints = [jax.random.key_data(k).tobytes() for k in keys]
        own = jax.random.key_data(key).tobytes()
        x64 = jax.config.jax_enable_x64  # ty: ignore[missing-attribute]  # JAX defines its options at run time
        if own not in fingerprints:  # outside a run, or another key than its seeds
            served = [name[1] for name in kept if name[::2] == (preset, x64) and own in name[1]]
            keys, fingerprints = (key,), served[0] if served else (own,)
        name = (preset, tuple(fingerprints), x64)
        if name not in kept:
            kept.clear()
            kept[name] = train(preset, jax.numpy.stack(keys))
        seed = fingerprints.index(own)
        return jax.tree.map(lambda leaf: leaf[seed] if isinstance(leaf, (jax.Array, np.ndarray)) else leaf, kept[name])

    of_key.__name__, of_key.__doc__, of_key.__wrapped__ = train.__name__, train.__doc__, train  # ty: ignore[missing-attribute]
    return of_key


def seed_keys(count: int) -> list[jax.Array]:
    """Keys of the seeds 0, 1, ..."""
    return [jax.random.key(seed) for seed in range(count)]


# --- Installed papers ---


def installed() -> list[str]:
    """Slugs of the papers installed in this environment, sorted."""
    return sorted(point.name for point in entry_points(group="quire.papers"))


def load(slug: str) -> Paper:
    """The paper called `slug`; hyphens count as underscores.

    Raises:
        UsageError: if it is not installed.
    """
    name = slug.replace("-", "_").lower()
    for point in entry_points(group="quire.papers"):
        if point.name == name:
            return point.load()
    raise UsageError(f"no paper is called {slug!r}; {did_you_mean(slug, installed())}")
