"""Running claims: measure over seeds, judge, compare with what is expected, and keep a record."""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from quire.common.claims.criteria import Verdict, confidence_interval
from quire.common.claims.measurement import Measurement, finite_or_none
from quire.common.claims.paper import Claim, Paper, _seed_keys, load, seed_keys
from quire.common.errors import DatasetUnavailable, UsageError
from quire.common.freshness.fingerprint import fingerprint, running_parts
from quire.common.output import NotWritten, output_folder, reason_of, write_whole
from quire.common.plots import Figure


@dataclass(frozen=True)
class Result:
    """A claim with its measurements and verdict. `why` says why it was not tested."""

    claim: Claim
    verdict: Verdict
    samples: tuple[Measurement, ...] = ()
    seconds: float = 0.0
    why: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.verdict == self.claim.expect

    @property
    def mean(self) -> float:
        """Mean value over seeds."""
        return confidence_interval([m.value for m in self.samples])[0]

    def baseline_means(self) -> dict[str, float]:
        """Mean of every baseline over seeds."""
        names = self.samples[0].baselines if self.samples else ()
        return {name: confidence_interval([m.baselines[name] for m in self.samples])[0] for name in names}

    def as_json(self) -> dict[str, Any]:
        """The claim's entry of a record."""
        claim, samples = self.claim, self.samples
        judged = claim.holds.judge(samples) if samples else None

        def per_seed(kind: str) -> dict[str, list[float | None]]:
            names = getattr(samples[0], kind) if samples else ()
            return {name: [finite_or_none(getattr(m, kind)[name]) for m in samples] for name in names}

        return {
            "id": claim.id,
            "says": claim.says,
            "source": claim.source,
            "metric": claim.metric,
            "unit": claim.unit,
            "criterion": str(claim.holds),
            "exact": claim.exact,
            "timed": claim.timed,
            "verdict": self.verdict,
            "expected": claim.expect,
            "as_expected": self.as_expected,
            "because": claim.because,
            "why": self.why,
            "values": [finite_or_none(m.value) for m in samples],
            "interval": [finite_or_none(x) for x in confidence_interval([m.value for m in samples])[1]] if samples else None,
            "margin": finite_or_none(judged.margin) if judged else None,
            "margin_interval": [finite_or_none(x) for x in judged.interval] if judged else None,
            "baselines": per_seed("baselines"),
            "trivial": claim.trivial,
            "extras": per_seed("extras"),
            "series": {
                name: [[finite_or_none(v) for v in axis] for axis in curve]
                for name, curve in (samples[0].series if samples else {}).items()
            },
            "data": samples[0].data if samples else "",
            "stand_in_for": samples[0].stand_in_for if samples else "",
            "seconds": round(self.seconds, 2),
        }


@dataclass(frozen=True)
class Record:
    """All results of one run of a paper. `parts` is what it was measured with; see `quire.common.freshness.fingerprint`."""

    paper: Paper
    preset: str
    results: tuple[Result, ...]
    seeds: int | None = None
    kept: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    parts: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def as_expected(self) -> bool:
        """Whether every tested claim ended as expected."""
        return all(entry["as_expected"] for entry in self.entries() if entry["verdict"] != "not tested")

    @property
    def untested(self) -> list[str]:
        """Ids of the claims that could not be tested."""
        return [entry["id"] for entry in self.entries() if entry["verdict"] == "not tested"]

    def figure(self, claim: str) -> Figure:
        """The figure of a claim, of its first seed.

        Raises:
            KeyError: if the claim was not measured in this run or has no figure.
        """
        figures = {result.claim.id: result.samples[0].figure for result in self.results if result.samples}
        if figures.get(claim) is None:
            raise KeyError(f"no figure of claim {claim!r}; there are {[id for id, one in figures.items() if one is not None]}")
        return figures[claim]  # ty: ignore[invalid-explicit-return]  # there is one, as just seen

    def entries(self) -> list[dict[str, Any]]:
        """JSON entries of all claims, in the order of the paper; kept entries of an earlier run included."""
        fresh = {r.claim.id: r.as_json() for r in self.results}
        kept = {entry["id"]: entry for entry in self.kept}
        return [fresh.get(id) or kept[id] for id in self.paper.claims if id in fresh or id in kept]

    def as_json(self) -> dict[str, Any]:
        """The whole record, as written to `records/<preset>.json`."""
        entries = self.entries()
        return {
            "paper": self.paper.slug,
            "title": self.paper.title,
            "preset": self.preset,
            "seeds": self.seeds,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "fingerprint": fingerprint(self.parts, self.preset),
            "versions": {name: version(name) for name in ("jax", "jaxlib", "flax", "optax", "numpy", "quire-common")},
            "hardware": hardware(),
            "wall_seconds": round(sum(entry["seconds"] for entry in entries), 1),
            "claims": entries,
            "parts": dict(sorted(self.parts.items())),
        }


def run(
    paper: Paper | str,
    preset: str = "quick",
    claims: Sequence[str] | None = None,
    *,
    seeds: int | None = None,
    out: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Record:
    """Measure claims of a paper and judge them; those by the clock come last.

    Args:
        paper: a paper or its slug.
        preset: `quick`, `standard` or `paper`.
        claims: ids to run; all of them by default.
        seeds: seeds for the empirical claims and the exact ones alike; each claim's own number by default.
        out: folder for the record `<slug>.<preset>.json`, rewritten after every claim.
        resume: keep claims that the record in `out` already holds for the same fingerprint and seeds.
        progress: a rich progress display to report to.

    Returns:
        The record.

    Raises:
        UsageError: for an unknown paper, preset or claim, a number of seeds below 1, or an `out` that cannot be written to.
        NotWritten: with the record in `results`, if the last attempt to write it failed; everything has been measured then.
    """
    paper = load(paper) if isinstance(paper, str) else paper
    config = paper.preset(preset)
    if seeds is not None and seeds < 1:
        raise UsageError(f"seeds is {seeds}; it must be at least 1")
    wanted = [paper.find_claim(id) for id in claims] if claims else list(paper.claims.values())
    wanted = sorted({claim.id: claim for claim in wanted}.values(), key=lambda claim: claim.timed)
    parts = running_parts(paper.slug)
    path = None if out is None else output_folder(out, "out") / f"{paper.slug}.{preset}.json"
    kept = _kept(path, fingerprint(parts, preset), seeds) if resume and path else []
    done = {entry["id"] for entry in kept}
    wanted = [claim for claim in wanted if claim.id not in done]
    record = Record(paper, preset, (), seeds, tuple(kept), parts)
    task = progress.add_task(paper.slug, total=sum(seeds or claim.seeds for claim in wanted)) if progress else None
    unwritten = ""
    for claim in wanted:
        result = _measure(claim, config, seeds or claim.seeds, paper, progress, task)
        record = replace(record, results=(*record.results, result))
        if path:
            unwritten = _write(path, record.as_json())
    if progress:
        progress.update(task, description=f"{paper.slug} done")  # ty: ignore[invalid-argument-type]  # a display has a task
    if unwritten:
        raise NotWritten(unwritten, record)
    return record


def progress_bar(**options) -> Progress:
    """The progress display of `quire run`: paper and claim, bar, seeds done, time."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
    )
    return Progress(*columns, **options)


def _measure(claim: Claim, config: Any, seeds: int, paper: Paper, progress: Progress | None, task: Any) -> Result:
    keys = seed_keys(seeds)
    start = time.perf_counter()
    token = _seed_keys.set(tuple(keys))
    samples = []
    try:
        for key in keys:
            if progress:
                progress.update(task, description=f"{paper.slug} [bold]{claim.id}[/bold] {claim.metric}")
            samples.append(claim(config, key))
            if progress:
                progress.advance(task)
    except DatasetUnavailable as error:
        return Result(claim, "not tested", why=str(error), seconds=time.perf_counter() - start)
    finally:
        _seed_keys.reset(token)
    judged = claim.holds.judge(samples)
    verdict = judged.verdict
    if claim.exact and verdict == "partly":  # an identity that fails for one seed fails
        verdict = "not reproduced"
    return Result(claim, verdict, tuple(samples), time.perf_counter() - start)


def _kept(path: Path, wanted: str, seeds: int | None) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        record = json.loads(path.read_text())
        same = record["fingerprint"] == wanted and record["seeds"] == seeds
        return [entry for entry in record["claims"] if entry["verdict"] != "not tested"] if same else []
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a record that can be resumed ({error!r}); delete it or run without --resume") from None


def _write(path: Path, record: dict[str, Any]) -> str:
    """Write a record; why that failed, if it did. Measuring goes on, and the next claim tries again."""
    try:
        write_whole(path, json.dumps(record, indent=1) + "\n")
    except OSError as error:
        return f"{path} could not be written: {reason_of(error)}"
    return ""


def hardware() -> dict[str, Any]:
    """Processor and accelerator of this machine."""
    device = jax.devices()[0]
    return {
        "backend": jax.default_backend(),
        "device": device.device_kind,
        "devices": jax.device_count(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
