"""Benchmarks: a paper's hot operation against its naive form, in the same run, over growing sizes."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
from rich.progress import Progress

from quire.common.claims.measurement import log_log_slope
from quire.common.claims.paper import Paper
from quire.common.claims.run import hardware
from quire.common.plots import Figure, axes


@dataclass(frozen=True)
class Case:
    """A function and its arguments. `flops` overrides the compiler's count, which sees the body of a loop once."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    flops: float | None = None


@dataclass(frozen=True)
class Benchmark:
    """What `quire bench` runs for a paper.

    Attributes:
        title: what is compared.
        size: name of the size.
        sizes: growing sizes.
        cases: `(size, key) -> {variant: Case}`, the hot operation first; leave out a variant where it does not fit.
    """

    title: str
    size: str
    sizes: Sequence[int]
    cases: Callable[[int, jax.Array], Mapping[str, Case]]


@dataclass(frozen=True)
class Timing:
    """One variant at one size; times in seconds, memory in bytes."""

    size: int
    median: float
    fastest: float
    compile: float
    flops: float
    temporary_bytes: int


@dataclass(frozen=True)
class Report:
    """Timings by variant, fitted slopes, and the matrix-product speed of the same run in FLOP/s."""

    paper: Paper
    timings: Mapping[str, list[Timing]] = field(repr=False)
    matmul_flops: float

    def slopes(self) -> dict[str, float]:
        """Exponent of time against size, fitted to the upper half of each variant's sizes (three points at least)."""
        slopes = {}
        for name, rows in self.timings.items():
            rows = rows[-max(3, (len(rows) + 1) // 2) :]
            if len(rows) > 1:
                slopes[name] = log_log_slope([r.size for r in rows], [r.median for r in rows])
        return slopes

    def as_json(self) -> dict[str, Any]:
        """All numbers, for machines."""
        bench = self.paper.benchmark
        return {
            "paper": self.paper.slug,
            "title": bench.title,
            "size": bench.size,
            "hardware": hardware(),
            "glibc_tunables": os.environ.get("GLIBC_TUNABLES", ""),
            "matmul_gflops": round(self.matmul_flops / 1e9, 2),
            "variants": {
                name: [
                    {
                        "size": r.size,
                        "median_s": r.median,
                        "fastest_s": r.fastest,
                        "compile_s": r.compile,
                        "gflops": round(r.flops / r.median / 1e9, 3),
                        "of_matmul": round(r.flops / r.median / self.matmul_flops, 4),
                        "temporary_bytes": r.temporary_bytes,
                    }
                    for r in rows
                ]
                for name, rows in self.timings.items()
            },
            "slopes": {name: round(slope, 3) for name, slope in self.slopes().items()},
        }

    def figure(self) -> Figure:
        """Time against size, log-log, one line per variant."""
        figure, ((panel,),) = axes(width=6, height=4)
        slopes = self.slopes()
        for name, rows in self.timings.items():
            label = f"{name} (slope {slopes[name]:.2f})" if name in slopes else name
            panel.loglog([r.size for r in rows], [r.median for r in rows], "o-", label=label)
        panel.set(xlabel=self.paper.benchmark.size, ylabel="median time (s)", title=self.paper.benchmark.title)
        panel.legend()
        return figure


def measure(case: Case, size: int = 0, *, repeats: int = 7, budget: float = 2.0) -> Timing:
    """Compile a case, then time it: the median and the fastest of `repeats` calls, fewer when `budget` seconds are over.

    Args:
        case: what to run.
        size: recorded with the timing.
        repeats: calls after one warm-up.
        budget: seconds after which no further call starts; three calls are always made.
    """
    start = time.perf_counter()
    compiled = jax.jit(case.function).lower(*case.args).compile()
    compile_time = time.perf_counter() - start
    jax.block_until_ready(compiled(*case.args))
    times: list[float] = []
    while len(times) < repeats and (len(times) < 3 or sum(times) < budget):
        start = time.perf_counter()
        jax.block_until_ready(compiled(*case.args))
        times.append(time.perf_counter() - start)
    flops = case.flops if case.flops is not None else (compiled.cost_analysis() or {}).get("flops", float("nan"))
    memory = compiled.memory_analysis()
    temporary = int(memory.temp_size_in_bytes) if memory is not None else -1
    return Timing(size, statistics.median(times), min(times), compile_time, float(flops), temporary)


def matmul_speed(n: int = 1024) -> float:
    """FLOP/s of a square float32 matrix product on this machine, now."""
    a = jax.random.normal(jax.random.key(0), (n, n))
    return 2 * n**3 / measure(Case(jnp.matmul, (a, a))).median


def run_benchmark(
    paper: Paper, *, sizes: Sequence[int] | None = None, repeats: int = 7, progress: Progress | None = None
) -> Report:
    """Time every variant of a paper's benchmark over its sizes.

    Args:
        paper: a paper with a benchmark.
        sizes: other sizes than the benchmark's own.
        repeats: timed calls per point.
        progress: rich display to report to.

    Raises:
        ValueError: if the paper has no benchmark.
    """
    bench = paper.benchmark
    if bench is None:
        raise ValueError(f"{paper.slug} has no benchmark; set paper.benchmark = Benchmark(...)")
    sizes = list(sizes or bench.sizes)
    task = progress.add_task(f"{paper.slug} bench", total=len(sizes)) if progress else None
    timings: dict[str, list[Timing]] = {}
    for size in sizes:
        for name, case in bench.cases(size, jax.random.key(size)).items():
            timings.setdefault(name, []).append(measure(case, size, repeats=repeats))
        if progress and task is not None:
            progress.advance(task)
    return Report(paper, timings, matmul_speed())
