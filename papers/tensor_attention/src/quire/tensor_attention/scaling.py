"""Near-linear against cubic: operation counts and times of the low-rank and of the exact forms as the number of tokens grows."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from quire.common.bench import Benchmark, Case, measure
from quire.common.layers.polynomials import num_monomials
from quire.common.layers.tensor_attention import low_rank_tensor_attention, tensor_attention
from quire.common.random import generator
from quire.tensor_attention.config import ScalingConfig

Series = tuple[list[float], list[float]]
Forms = Mapping[str, tuple[Callable[..., Any], Sequence[int]]]


def uniform_problem(key: jax.Array, n: int, dim: int, order: int = 3, bound: float = 1.0):
    """Queries `[n, dim]`, keys and values of each memory, all uniform in `[-bound, bound]`."""
    q, *kv = map(jnp.asarray, generator(key).uniform(-bound, bound, (2 * order - 1, n, dim)))
    return q, kv[: order - 1], kv[order - 1 :]


def low_rank(degree: int, block: int | None = None):
    """The low-rank form as a function of `(q, ks, vs)`."""
    return lambda q, ks, vs: low_rank_tensor_attention(q, ks, vs, degree=degree, block=block)


dense = partial(tensor_attention, block=None)
"""The exact form, holding the whole cube of scores."""

streamed = partial(tensor_attention, block="tiles")
"""The exact form in tiles."""


def count_flops(forms: Forms, dim: int) -> dict[str, Series]:
    """Floating-point operations that the compiler counts, nothing is run. It sees the body of a loop once: only un-tiled forms.

    Args:
        forms: functions of `(q, ks, vs)` and their numbers of tokens, by name.
        dim: channels.

    Returns:
        Per form, numbers of tokens and operations.
    """

    def flops(function, n):
        token = jax.ShapeDtypeStruct((n, dim), jnp.result_type(float))
        shapes = token, [token] * 2, [token] * 2
        return float((jax.jit(function).lower(*shapes).compile().cost_analysis() or {}).get("flops", math.nan))

    return {name: ([float(n) for n in sizes], [flops(f, n) for n in sizes]) for name, (f, sizes) in forms.items()}


def time_calls(key: jax.Array, forms: Forms, dim: int, repeats: int) -> dict[str, Series]:
    """The fastest of `repeats` calls, in seconds: many short ones, since other work on the machine only ever adds time.

    Args:
        key: for the entries.
        forms, dim: as for `count_flops`.
        repeats: timed calls per point, fewer where they take more than half a second together.

    Returns:
        Per form, numbers of tokens and seconds.
    """

    def seconds(function, n):
        return measure(Case(function, uniform_problem(key, n, dim)), n, repeats=repeats, budget=0.5).fastest

    return {name: ([float(n) for n in sizes], [seconds(f, n) for n in sizes]) for name, (f, sizes) in forms.items()}


def crossover(slow: tuple[float, float], fast: tuple[float, float]) -> float:
    """Number of tokens where two power laws `(slope, log of the factor)` meet.

    Raises:
        ValueError: if the slopes are equal.

    >>> round(crossover((3.0, 0.0), (1.0, math.log(100.0))), 6)  # n^3 = 100 n
    10.0
    """
    if slow[0] == fast[0]:
        raise ValueError(f"both slopes are {slow[0]}; lines of equal slope do not cross")
    return math.exp((fast[1] - slow[1]) / (slow[0] - fast[0]))


def flop_forms(config: ScalingConfig) -> dict[str, tuple[Callable[..., Any], Sequence[int]]]:
    """Un-tiled forms: low rank, the degree-0 polynomial that ignores the scores, and dense exact."""
    return {
        "low rank": (low_rank(config.degree), config.low_rank_tokens),
        "degree 0": (low_rank(0), config.low_rank_tokens),
        "dense exact": (dense, config.dense_tokens),
    }


def timed_forms(config: ScalingConfig) -> dict[str, tuple[Callable[..., Any], Sequence[int]]]:
    """Forms as one would run them: feature maps and scores tiled where the form has tiles."""
    return {
        "low rank": (low_rank(config.degree, block=1024), config.low_rank_tokens),
        "degree 0": (low_rank(0, block=1024), config.low_rank_tokens),
        "dense exact": (dense, config.dense_tokens),
        "streamed exact": (streamed, config.streamed_tokens),
    }


def low_rank_flops(n: int, dim: int, channels: int, degree: int, order: int = 3) -> float:
    """Operations of the low-rank form: `2 n r` for each feature map and its size, `2 n r (c + 2)` for each product with them."""
    rank = num_monomials(dim, degree)
    return order * n * rank * (2 + 2 * (channels + 2))


def exact_flops(n: int, dim: int, channels: int) -> float:
    """Operations of order-3 exact attention: two contractions over all `n^3` scores, and about four operations on each score."""
    return n**3 * (2 * dim + 2 * channels + 4)


def benchmark_cases(n: int, key: jax.Array) -> dict[str, Case]:
    """Order 3: low rank (degree 4, `d = 4`) against exact where it still fits; order 2: streamed against dense (`d = 64`)."""
    args = uniform_problem(key, n, 4)
    cases = {"low rank": Case(low_rank(4, block=1024), args, low_rank_flops(n, 4, 4, 4))}
    if n <= 512:
        cases["streamed exact"] = Case(streamed, args, exact_flops(n, 4, 4))
    if n <= 256:
        cases["dense exact"] = Case(dense, args, exact_flops(n, 4, 4))
    if 512 <= n <= 8192:
        args = uniform_problem(key, n, 64, order=2)
        cases["order 2 streamed, with gradients"] = Case(with_gradients(streamed), args, 14 * n**2 * 64)
        cases["order 2 dense, with gradients"] = Case(with_gradients(dense), args, 12 * n**2 * 64)
    return cases


def with_gradients(form: Callable[..., Array]) -> Callable[..., Any]:
    """Output of a form and the gradients of its sum by every argument."""

    def values_and_gradients(*args):
        out, pullback = jax.vjp(form, *args)
        return out, pullback(jnp.ones_like(out))

    return values_and_gradients


benchmark = Benchmark(
    "Order 3: low rank (d = 4, g = 4) and exact; order 2: streamed and dense (d = 64)",
    size="tokens n",
    sizes=(64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384),
    cases=benchmark_cases,
)
