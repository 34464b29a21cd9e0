"""A model quantised block by block: each is fitted on what the quantised blocks before it give, to what the full ones gave."""

from collections.abc import Sequence
from functools import partial, reduce
from operator import add
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Int

from quire.common.quant.reconstruct import Penalty, reconstruct_block
from quire.common.quant.uniform import Grid
from quire.common.train.batches import epoch_indices
from quire.common.train.seeds import stack
from quire.flexround.activations import unquantized_inputs
from quire.flexround.division import initial_grid
from quire.flexround.layer_weights import input_steps, kernels, layer_weights, with_weights
from quire.flexround.methods import METHODS, rates
from quire.flexround.networks import Chain
from quire.flexround.scheme import Scheme


class QuantizedBlock(NamedTuple):
    """One block after its reconstruction.

    Attributes:
        params: of the method, by the name of the layer (`attention.qkv`).
        state: of the module, with the weights that are kept.
        losses: before each step; empty for rounding to nearest.
    """

    params: dict[str, Any]
    state: nnx.State
    losses: Array


class QuantizedModel(NamedTuple):
    """The model with the weights that are kept, and the blocks (None for those without weights)."""

    model: Chain
    blocks: list[QuantizedBlock | None]


def initial_grids(state: nnx.State, bits: int | Array, **options: bool) -> dict[str, Grid]:
    """The grids that the weights of a block start from, by the name of the layer; options as for `initial_grid`."""
    return {name: initial_grid(w, bits, **options) for name, w in layer_weights(state).items()}


def quantize_block(
    graph: nnx.GraphDef,
    state: nnx.State,
    grids: dict[str, Grid],
    x: Array,
    x_full: Array,
    target: Array,
    batches: Int[Array | np.ndarray, "steps batch"],
    key: jax.Array,
    scheme: Scheme,
    bits: int | Array | None = None,
) -> QuantizedBlock:
    """Learn the rounding of all weights of one block.

    Traceable; `jax.vmap` over states, inputs, keys and bits runs several side by side.

    Args:
        graph, state: of the block in full precision, as `nnx.split` gives them.
        grids: `initial_grids` of its weights.
        x: inputs `[n, ...]` from the quantised blocks before it.
        x_full, target: inputs and outputs `[n, ...]` in full precision.
        batches: rows of every step.
        key: for the choice of inputs, and the low-rank form.
        scheme: method and settings.
        bits: instead of those of the scheme; may be traced.
    """
    method, bits, weights = METHODS[scheme.method], scheme.bits if bits is None else bits, layer_weights(state)
    params = {
        name: method.start(w, grids[name], jax.random.fold_in(key, number)) for number, (name, w) in enumerate(weights.items())
    }
    steps, losses = input_steps(state), jnp.zeros(0, target.dtype)

    def block(learned, inputs):
        quantized = _each(method.weights, weights, learned["weights"], bits, scheme.symmetric)
        return channels_second(nnx.merge(graph, with_weights(state, quantized, learned["steps"]))(inputs))

    if scheme.method != "rtn":
        rate = {name: rates(p, scheme.rate, scheme.fixed) for name, p in params.items()}
        found = reconstruct_block(
            block,
            {"weights": params, "steps": steps},
            x,
            channels_second(target),
            steps=scheme.steps,
            rate={"weights": rate, "steps": scheme.rate},
            batches=batches,
            x_full=x_full if scheme.input_prob else None,
            input_prob=scheme.input_prob,
            key=key,
            penalty=None if method.penalty is None else partial(_all_penalties, method.penalty),
            tx=optax.flatten(optax.scale_by_adam()),  # one vector of moments: a smaller program
        )
        (params, steps), losses = (found.params["weights"], found.params["steps"]), found.losses
    kept = _each(method.kept, weights, params, bits, scheme.symmetric)
    return QuantizedBlock(params, with_weights(state, kept, steps), losses)


def channels_second(outputs: Array) -> Array:
    """Maps `[n, height, width, channels]` as `[n, channels, ...]`, whose axis 1 the error is summed over; others as they are.

    >>> channels_second(jnp.zeros((2, 8, 8, 3))).shape, channels_second(jnp.zeros((2, 7, 5))).shape
    ((2, 3, 8, 8), (2, 7, 5))
    """
    return jnp.moveaxis(outputs, -1, 1) if outputs.ndim == 4 else outputs


def _each(function, weights: dict[str, Array], params: dict[str, Any], bits: int | Array, symmetric: bool) -> dict[str, Array]:
    return {name: function(w, params[name], bits, symmetric) for name, w in weights.items()}


def _all_penalties(penalty: Penalty, learned: dict, progress: Array) -> Array:
    return reduce(add, [penalty(params, progress) for params in learned["weights"].values()])


@partial(jax.jit, static_argnames=("bits", "per_channel", "symmetric", "clip_search"))
def _grids(state, widths, *, bits, **options):
    """`initial_grids` of several models; a program of its own, which all methods share."""
    if widths is None:
        return jax.vmap(lambda state: initial_grids(state, bits, **options))(state)
    return jax.vmap(lambda state, bits: initial_grids(state, bits, **options))(state, widths)


@partial(jax.jit, static_argnames=("graph", "scheme"))
def _side_by_side(graph, state, grids, x, x_full, target, batches, keys, scheme, bits):
    """`quantize_block` of several models, whose arrays are stacked."""

    def one(*args):
        return quantize_block(graph, *args[:-1], scheme, args[-1])

    return jax.vmap(one)(state, grids, x, x_full, target, batches, keys, bits)


_of_block = jax.jit(jax.vmap(jax.random.fold_in, (0, None)))
"""Keys of every model for a block."""


@partial(jax.jit, static_argnames="graph")
def _passed(graph, state, x):
    return jax.vmap(lambda state, x: nnx.merge(graph, state)(x))(state, x)


def quantize_model(
    model: Chain, inputs: Array | np.ndarray, scheme: Scheme, *, key: jax.Array, full_precision: Sequence[int] = ()
) -> QuantizedModel:
    """Quantise a model block by block on a small set of calibration inputs.

    Args:
        model: a chain of blocks; batch normalisation must be folded into the weights before.
        inputs: of the model, `[n, ...]`.
        scheme: method and settings.
        key: for batches and whatever the method draws.
        full_precision: blocks to leave as they are (negative numbers count from the end), besides those without weights.

    Returns:
        The model with quantised weights (`model` stays as it is), and what was learned.

    Raises:
        ValueError: for fewer inputs than a batch holds, inputs or weights that are not finite, a batch norm, or a loss that is
            not finite.
    """
    return quantize_models([model], np.asarray(inputs)[None], scheme, keys=[key], full_precision=full_precision)[0]


def quantize_models(
    models: Sequence[Chain],
    inputs: Array | np.ndarray,
    scheme: Scheme,
    *,
    keys: Sequence[jax.Array],
    full_precision: Sequence[int] = (),
    bits: Sequence[int] | None = None,
) -> list[QuantizedModel]:
    """`quantize_model` of several models of one structure, side by side in one program for each block.

    Args:
        models: of the same structure.
        inputs: `[models, n, ...]`.
        scheme, full_precision: as for `quantize_model`.
        keys: one for each model.
        bits: one for each model, instead of those of the scheme; only without the search for a range.

    Raises:
        ValueError: as for `quantize_model`; for other numbers of inputs, keys or bits than models; for bits with the search.
    """
    inputs = np.asarray(inputs)
    _check_calibration(models, inputs, scheme, keys, bits)
    batches = np.stack([epoch_indices(key, inputs.shape[1], scheme.batch_size, scheme.steps) for key in keys])
    widths = None if bits is None else np.asarray(bits, np.int32)
    x = x_full = jax.device_put(inputs)
    kept = {number % len(models[0].stages) for number in full_precision}
    stages: list[list] = [[] for _ in models]
    blocks: list[list] = [[] for _ in models]
    for number, of_models in enumerate(zip(*(model.stages for model in models), strict=True)):
        graphs, states = zip(*map(nnx.split, of_models), strict=True)
        full = nnx.graphdef(unquantized_inputs(of_models[0]))
        _check_block(number, graphs, states[0])
        if number in kept or not kernels(states[0]):
            found, state = [None] * len(models), stack(states)
            x, x_full = _passed(graphs[0], state, x), _passed(full, state, x_full)
        else:
            state, now = stack(states), _of_block(jnp.stack(keys), number)
            target = _passed(full, state, x_full)
            grids = _grids(state, widths, **scheme.grid_options())
            all_of = _side_by_side(graphs[0], state, grids, x, x_full, target, batches, now, scheme, widths)
            _check_losses(number, np.asarray(all_of.losses), scheme)
            x, x_full = _passed(graphs[0], all_of.state, x), target
            on_host = jax.device_get(all_of)  # to slice it there: on a device, every shape would be a program to compile
            found = [jax.tree.map(lambda leaf, i=i: jax.device_put(leaf[i]), on_host) for i in range(len(models))]
            states = [block.state for block in found]
        for i, block in enumerate(found):
            stages[i].append(nnx.merge(graphs[0], states[i]))
            blocks[i].append(block)
    return [QuantizedModel(Chain(parts), of_model) for parts, of_model in zip(stages, blocks, strict=True)]


def _check_calibration(models, inputs, scheme, keys, bits) -> None:
    counts = {"models": len(models), "inputs": len(inputs), "keys": len(keys), "bits": len(models if bits is None else bits)}
    if len(set(counts.values())) > 1 or not models:
        raise ValueError(f"{counts}: there must be as many of each as models, at least 1")
    if bits is not None and (scheme.clip_search or not all(2 <= b <= 8 for b in bits)):
        raise ValueError(f"bits is {list(bits)} and clip_search {scheme.clip_search}; they need 2..8, and no search")
    if inputs.shape[1] < scheme.batch_size:
        raise ValueError(f"inputs has {inputs.shape[1]} rows; a batch of calibration takes {scheme.batch_size}")
    if np.issubdtype(inputs.dtype, np.inexact) and not np.isfinite(inputs).all():
        raise ValueError("inputs has numbers that are not finite")


def _check_block(number: int, graphs: Sequence[nnx.GraphDef], state: nnx.State) -> None:
    if any(graph != graphs[0] for graph in graphs):
        raise ValueError(f"block {number} differs in structure between the models")
    if any(isinstance(variable, nnx.BatchStat) for _, variable in nnx.to_flat_state(state)):
        raise ValueError(f"block {number} has a batch norm; make it a part of the weights first (`fold`)")
    for name, w in kernels(state).items():
        if not np.isfinite(w).all():
            raise ValueError(f"layer {name} of block {number} has weights that are not finite")


def _check_losses(number: int, losses: np.ndarray, scheme: Scheme) -> None:
    if not np.isfinite(losses).all():
        raise ValueError(f"the loss of block {number} is not finite; lower the rate of the scheme, which is {scheme.rate}")
