"""A model compressed block by block: hidden units in groups, nearest codewords, then codebooks and mappings learned together."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from quire.common.layers.transformer import TokenLM
from quire.common.quant.coordinate_descent import coordinate_descent
from quire.common.quant.packing import size_report
from quire.common.random import generator
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import stack
from quire.jlcm.assignment import Variant, nearest_assignment
from quire.jlcm.codebook_tensor import CodebookTensor
from quire.jlcm.grouping import Statistic
from quire.jlcm.joint_learning import Learning, learn, learned_tensors, learned_weights, relative_output_error, start_params
from quire.jlcm.networks import grouped, kernels, with_kernels

Fit = Literal["none", "learn", "descend"]


@dataclass(frozen=True)
class Compression:
    """What is done to a model.

    Attributes:
        bits: of a code.
        variant: one codebook a layer, one scaled for each group, one for each group, or a uniform grid.
        groups: of a layer whose units can be re-ordered, for the variants that have them.
        statistic: by which neurons are grouped.
        random: draw the groups, as a control.
        fit: stay with nearest codewords, learn, or descend coordinate by coordinate (variant `single`).
        learning: for `learn`.

    Raises:
        ValueError: for an unknown fit, no groups, or a descent with groups.
    """

    bits: int = 2
    variant: Variant = "single"
    groups: int = 3
    statistic: Statistic = "log_absmax"
    random: bool = False
    fit: Fit = "learn"
    learning: Learning = field(default_factory=Learning)

    def __post_init__(self):
        if self.fit not in get_args(Fit) or self.variant not in get_args(Variant) or self.groups < 1:
            raise ValueError(f"fit is {self.fit!r}, variant {self.variant!r}, groups {self.groups}; see the docstring")
        if self.fit == "descend" and self.variant != "single":
            raise ValueError(f"variant is {self.variant!r}; coordinate descent has one codebook a layer")


class Compressed(NamedTuple):
    """A compressed model.

    Attributes:
        model: with the weights that the codes stand for; units in the order of their groups.
        tensors: what is stored, by the name of the layer.
        losses: of every block while it was learned, `[blocks, steps]`, relative to its output; empty without learning.
    """

    model: nnx.Module
    tensors: dict[str, CodebookTensor]
    losses: np.ndarray


def compress_model(model: nnx.Module, calib: Any, how: Compression | None = None, *, key: jax.Array) -> Compressed:
    """Compress one model; see `compress_models`.

    Args:
        model: an `nnx.Sequential`, or a `TokenLM`, whose embedding, norms and head keep their weights.
        calib: inputs `[n, ...]`, without labels.
        how: bits, variant, groups, learning.
        key: for batches and random groups.
    """
    return compress_models([model], np.asarray(calib)[None], how, keys=[key])[0]


def compress_models(
    models: Sequence[nnx.Module], calib: np.ndarray, how: Compression | None = None, *, keys: Sequence[jax.Array]
) -> list[Compressed]:
    """Compress models of one architecture, each on inputs of its own, side by side.

    Blocks are taken in order. The inputs of a block are what the compressed blocks before it give; its target is what the block
    in full precision gives for inputs in full precision.

    Args:
        models: see `compress_model`.
        calib: `[models, n, ...]`.
        how: bits, variant, groups, learning.
        keys: for batches and random groups, one a model.

    Raises:
        ValueError: for models of another kind, no inputs, fewer than a batch when learning, or numbers that are not finite.

    >>> from quire.jlcm.networks import drawn, mlp
    >>> model = drawn(lambda rngs: mlp((4, 8, 2), rngs=rngs), jax.random.key(0))
    >>> calib = np.ones((1, 3, 4), np.float32)
    >>> found = compress_models([model], calib, Compression(bits=2, fit="none"), keys=[jax.random.key(1)])[0]
    >>> {name: t.nbits() for name, t in found.tensors.items()}
    {'layers.0.linear': 192, 'layers.1.linear': 160}
    """
    how = Compression() if how is None else how
    calib = np.asarray(calib)
    _check(models, calib, how)
    prepared = [_ordered(model, how, key) for model, key in zip(models, keys, strict=True)]
    room = "blocks" if isinstance(models[0], TokenLM) else "layers"
    x = x_full = _entered(models, calib)
    tensors, losses, blocks = [{} for _ in models], [], []
    for number in range(len(getattr(models[0], room))):
        here = [(getattr(model, room)[number], sizes, key) for (model, sizes), key in zip(prepared, keys, strict=True)]
        done = _compress_block(here, f"{room}.{number}.", x, x_full, how)
        x, x_full = done.x, done.x_full
        losses.append(done.losses)
        blocks.append(done.states)
        for mine, new in zip(tensors, done.tensors, strict=True):
            mine |= new
    models = [_with_blocks(model, room, [b[i] for b in blocks]) for i, (model, _) in enumerate(prepared)]
    return [Compressed(*parts) for parts in zip(models, tensors, np.stack(losses, axis=1), strict=True)]


def _check(models: Sequence[nnx.Module], calib: np.ndarray, how: Compression) -> None:
    if calib.ndim < 2 or len(calib) != len(models) or not models or calib.shape[1] < 1:
        raise ValueError(f"calib has shape {calib.shape}; it needs [{len(models)} models, at least 1 input, ...]")
    if not isinstance(models[0], nnx.Sequential | TokenLM):
        raise ValueError(f"models are {type(models[0]).__name__}; layers are known of nnx.Sequential and TokenLM")
    if not np.isfinite(calib).all():
        raise ValueError("calib has numbers that are not finite")
    if how.fit == "learn" and calib.shape[1] < how.learning.batch_size:
        raise ValueError(f"calib has {calib.shape[1]} inputs a model; a batch takes {how.learning.batch_size}")
    try:
        nnx.eval_shape(lambda model, x: model(x), models[0], calib[0, :1])
    except TypeError as error:
        raise ValueError(f"calib has inputs of shape {calib.shape[2:]}, which the model does not take: {error}") from None


def _ordered(model: nnx.Module, how: Compression, key: jax.Array) -> tuple[nnx.Module, dict[str, tuple[int, ...]]]:
    if how.variant not in ("scales", "codebooks"):
        return model, {}
    rng = generator(jax.random.fold_in(key, 1)) if how.random else None
    return grouped(model, how.groups, how.statistic, rng=rng)[:2]


def _entered(models: Sequence[nnx.Module], calib: np.ndarray) -> np.ndarray:
    """Inputs of the first block."""
    tables = [(np.asarray(m.embed.embedding[...]), np.asarray(m.positions[...])) for m in models if isinstance(m, TokenLM)]
    if not tables:
        return calib
    return np.stack([e[tokens] + p[None, : tokens.shape[1]] for (e, p), tokens in zip(tables, calib, strict=True)])


def _with_blocks(model: nnx.Module, room: str, states: list[nnx.State]) -> nnx.Module:
    graph, state = nnx.split(model)
    flat = dict(nnx.to_flat_state(state))
    for number, new in enumerate(states):
        flat |= {(room, number, *path): x for path, x in nnx.to_flat_state(new)}
    return nnx.merge(graph, nnx.from_flat_state(list(flat.items())))


class _Block(NamedTuple):
    """A block of all models: inputs of the next, states, tensors and losses by model."""

    x: Array
    x_full: Array
    states: list[nnx.State]
    tensors: list[dict[str, CodebookTensor]]
    losses: np.ndarray


def _compress_block(here, prefix: str, x, x_full, how: Compression) -> _Block:
    graphs, states = zip(*(nnx.split(block) for block, _, _ in here), strict=True)
    weights = [{name: np.asarray(w) for name, w in kernels(state).items()} for state in states]
    starts = [
        {n: nearest_assignment(w, how.bits, how.variant, sizes.get(prefix + n)) for n, w in mine.items()}
        for mine, (_, sizes, _) in zip(weights, here, strict=True)
    ]
    stacked = stack(states)
    target = _outputs(graphs[0], stacked, x_full)
    tensors, losses = starts, np.zeros((len(here), 0))
    if how.fit == "learn":
        tensors, losses = _learned_block(graphs[0], stacked, weights, starts, x, target, how.learning, [k for *_, k in here])
    elif how.fit == "descend":
        tensors = _descended_block(weights, starts, x)
    new = [
        with_kernels(state, {name: np.asarray(t.dequantize()) for name, t in mine.items()})
        for state, mine in zip(states, tensors, strict=True)
    ]
    named = [{prefix + name: t for name, t in mine.items()} for mine in tensors]
    return _Block(_outputs(graphs[0], stack(new), x), target, new, named, losses)


def _learned_block(graph, states, weights, starts, x, target, learning: Learning, keys):
    params, rows = zip(*(start_params(w, t) for w, t in zip(weights, starts, strict=True)), strict=True)
    batches = np.stack([epoch_indices(key, x.shape[1], learning.batch_size, learning.steps) for key in keys])
    rates = np.array(learning.rates, np.float32)
    found, errors, losses = _learn_all(graph, states, stack(params), stack(rows), x, target, batches, rates, learning)
    best, seeds = np.asarray(errors).argmin(1), np.arange(len(keys))
    chosen = jax.tree.map(lambda a: np.asarray(a)[seeds, best], found)
    by_model = [jax.tree.map(lambda a, i=i: a[i], chosen) for i in seeds]
    return [learned_tensors(p, t) for p, t in zip(by_model, starts, strict=True)], np.asarray(losses)[seeds, best]


@partial(jax.jit, static_argnames=("graph", "learning"))
def _learn_all(graph, states, params, rows, x, target, batches, rates, learning):
    """All models and rates side by side: parameters, errors on the calibration inputs, losses, `[models, rates, ...]`."""

    def one(state, params, rows, x, target, batches, rate):
        def block(weights, x):
            return nnx.merge(graph, with_kernels(state, weights))(x)

        found = learn(block, params, rows, x, target, batches, rate, learning.codebook_rate, learning)
        error = relative_output_error(block(learned_weights(found.params, rows), x), target)
        return found.params, error, found.losses

    of_rates = jax.vmap(one, (None, None, None, None, None, None, 0))
    return jax.vmap(of_rates, (0, 0, 0, 0, 0, 0, None))(states, params, rows, x, target, batches, rates)


@partial(jax.jit, static_argnames="graph")
def _outputs(graph, states, x):
    return jax.vmap(lambda state, x: nnx.merge(graph, state)(x))(states, x)


def _descended_block(weights, starts, x):
    """Blocks of one dense map."""
    (name,) = weights[0]
    flat = jnp.asarray(x).reshape(*x.shape[:2], -1)
    books = np.stack([t[name].codebooks[0] for t in starts])
    found = _descend_all(flat, np.stack([w[name] for w in weights]), books)
    codes, codebooks = np.asarray(found.codes), np.asarray(found.codebook)
    return [{name: t[name]._replace(codes=codes[i], codebooks=codebooks[i][None])} for i, t in enumerate(starts)]


@jax.jit
def _descend_all(x, weights, books):
    return jax.vmap(lambda x, w, book: coordinate_descent(w, x.T @ x, book))(x, weights, books)


def sizes(tensors: dict[str, CodebookTensor]) -> dict[str, float]:
    """Bits by part, in all layers together, their total, and how many times less than float32 that is.

    Raises:
        ValueError: without a tensor.
    """
    if not tensors:
        raise ValueError("tensors is empty; it needs one")
    every = [t.parts() for t in tensors.values()]
    counts = {part: (sum(count * size for count, size in (p[part] for p in every)), 1) for part in every[0]}
    return size_report(counts, 32 * sum(p["codes"][0] for p in every))
