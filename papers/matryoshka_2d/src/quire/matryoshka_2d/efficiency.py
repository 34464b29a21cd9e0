"""What depth costs: floating-point operations of compiled programs, and their time."""

import time
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from quire.common.layers.nested import truncate
from quire.matryoshka_2d.encoder import Mask, SentenceEncoder, Tokens
from quire.matryoshka_2d.pooling import pool


def unrolled(model: SentenceEncoder, tokens: Tokens, mask: Mask | None = None, *, layers: int) -> Float[Array, "batch dim"]:
    """`model.encode(tokens, mask, layers=layers)` without a loop over layers, whose body a compiler counts once.

    Args:
        model: the encoder.
        tokens, mask, layers: as for `SentenceEncoder.encode`.
    """
    graph, stack = nnx.split(model.bert.layers)
    x, visible = model.bert.embeddings(tokens), None if mask is None else mask[:, None]
    for i in range(layers):
        x = nnx.merge(graph, jax.tree.map(lambda p, i=i: p[i], stack))(x, x, visible)
    return truncate(pool(x, mask, model.pooling), x.shape[-1])


def flops(model: SentenceEncoder, tokens: Tokens, mask: Mask, *, layers: int, compiled: bool = True) -> float:
    """Floating-point operations of the program that runs so many layers, by XLA's own count.

    Args:
        model, tokens, mask, layers: as for `unrolled`.
        compiled: whether the compiled program is counted, or the one that is handed to the compiler, which costs less to make.

    Raises:
        ValueError: if the compiler of this device does not count.
    """
    graph, state = nnx.split(model)
    arrays, tree = jax.tree.flatten((state, tokens, mask))
    shapes = tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays)
    return _counted(graph, tree, shapes, layers, compiled)


@cache
def _counted(graph: nnx.GraphDef, tree: Any, shapes: tuple[jax.ShapeDtypeStruct, ...], layers: int, compiled: bool) -> float:
    """`flops` of all models and sentences of the same shapes."""
    program = _unrolled.lower(graph, *tree.unflatten(shapes), layers)
    counted = ((program.compile() if compiled else program).cost_analysis() or {}).get("flops", 0.0)
    if not counted > 0:
        raise ValueError(f"flops is {counted}; the compiler of {jax.default_backend()} does not count")
    return float(counted)


@partial(jax.jit, static_argnums=(0, 4))
def _unrolled(graph, state, tokens, mask, layers):
    return unrolled(nnx.merge(graph, state), tokens, mask, layers=layers)


@partial(jax.jit, static_argnums=(0, 4))
def _encoded(graph, state, tokens, mask, layers):
    return nnx.merge(graph, state).encode(tokens, mask, layers=layers)


def early_exits(model: SentenceEncoder, tokens: Tokens, mask: Mask, layers: int) -> Float[Array, "batch dim"]:
    """`model.encode` as one program for all models of the same sizes."""
    return _encoded(*nnx.split(model), tokens, mask, layers)


def least_milliseconds(functions: Mapping[str, Callable[[], Any]], timings: int) -> dict[str, float]:
    """Least time of each of several functions, called by turns after one call that compiles."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(1 + timings):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: min(values[1:]) for name, values in times.items()}


def encoding_times(model: SentenceEncoder, tokens: Tokens, mask: Mask, layers: tuple[int, ...], timings: int) -> dict[str, float]:
    """Least milliseconds of `encode` at each depth, by name: `1 layers`, ..."""
    split = nnx.split(model)
    runs = {f"{n} layers": partial(_encoded, *split, tokens, mask, n) for n in layers}
    return least_milliseconds(runs, timings)
