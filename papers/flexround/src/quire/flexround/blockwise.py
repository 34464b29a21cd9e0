"""A model quantised block by block: each is fitted on what the quantised blocks before it give, to what the full ones gave."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from quire.common.checks import is_concrete
from quire.common.quant.reconstruct import reconstruct_block
from quire.common.train.batches import epoch_indices
from quire.flexround.division import initial_grid
from quire.flexround.methods import METHODS, Method, MethodName, rates
from quire.flexround.networks import Chain


@dataclass(frozen=True)
class Scheme:
    """How weights are quantised, and how their rounding is learned.

    Attributes:
        method: see `METHODS`.
        bits: of a weight, 2 to 8.
        per_channel: a scale for each output channel rather than one for each weight tensor.
        symmetric: signed codes without zero point.
        clip_search: start from the best range rather than from the whole one.
        steps, batch_size, rate: of Adam on each block; `rate` falls to zero as a cosine.
        fixed: parameters that are not learned: `("log_s1",)` is the ablation with a fixed grid.
        input_prob: probability with which a number of a block's input is that of the full-precision model, anew in every step
            (QDrop); 0 for never.

    Raises:
        ValueError: for an unknown method or a number out of range.
    """

    method: MethodName = "flexround"
    bits: int = 4
    per_channel: bool = False
    symmetric: bool = False
    clip_search: bool = True
    steps: int = 5000
    batch_size: int = 64
    rate: float = 2e-3
    fixed: tuple[str, ...] = ()
    input_prob: float = 0.0

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"method is {self.method!r}; it must be one of {', '.join(METHODS)}")
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits is {self.bits}; it must lie between 2 and 8")
        if min(self.steps, self.batch_size) < 1 or not self.rate >= 0 or not 0 <= self.input_prob < 1:
            raise ValueError(
                f"steps, batch_size, rate and input_prob are {self.steps}, {self.batch_size}, {self.rate}, {self.input_prob}; "
                "they need at least 1, at least 1, at least 0, and [0, 1)"
            )


class QuantizedBlock(NamedTuple):
    """One block after its reconstruction.

    Attributes:
        params: of the method, by the name of the layer (`attention.qkv`).
        state: of the module, with the weights that are kept.
        losses: before each step; empty for rounding to nearest.
        output: of the quantised block, `[n, ...]`.
        target: of the block in full precision, `[n, ...]`.
    """

    params: dict[str, Any]
    state: nnx.State
    losses: Array
    output: Array
    target: Array


class QuantizedModel(NamedTuple):
    """The model with the weights that are kept, and the blocks (None for those without weights)."""

    model: Chain
    blocks: list[QuantizedBlock | None]


# --- Weights of a module, output channels first ---


def layer_weights(state: nnx.State) -> dict[str, Array]:
    """Weights of all linear maps and convolutions of a module, `[out, in, ...]`, by the name of the layer.

    >>> state = nnx.state(nnx.Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0))))
    >>> {name: w.shape for name, w in layer_weights(state).items()}
    {'layers.0': (2, 3)}
    """
    return {_name(path): jnp.moveaxis(x[...], (-1, -2), (0, 1)) for path, x in nnx.to_flat_state(state) if path[-1] == "kernel"}


def with_weights(state: nnx.State, weights: dict[str, Array], steps: dict[str, Array] | None = None) -> nnx.State:
    """The state with other weights `[out, in, ...]`, and other logarithms of the steps of quantised inputs, by name."""
    new = {(name, "kernel"): jnp.moveaxis(w, (0, 1), (-1, -2)) for name, w in weights.items()}
    new |= {(name, "log_step"): step for name, step in (steps or {}).items()}
    flat = [(path, x.replace(new.get((_name(path), path[-1]), x[...]))) for path, x in nnx.to_flat_state(state)]
    return nnx.from_flat_state(flat)


def input_steps(state: nnx.State) -> dict[str, Array]:
    """Logarithms of the learned steps of quantised inputs, by the name of the layer."""
    return {_name(path): x[...] for path, x in nnx.to_flat_state(state) if path[-1] == "log_step"}


def _name(path: tuple) -> str:
    return ".".join(map(str, path[:-1]))


# --- Reconstruction ---


def start_params(state: nnx.State, scheme: Scheme, key: jax.Array, bits: int | Array | None = None) -> dict[str, Any]:
    """Parameters of the method for every weight of a block, at rounding to nearest."""
    method, bits = METHODS[scheme.method], scheme.bits if bits is None else bits
    options = {"per_channel": scheme.per_channel, "symmetric": scheme.symmetric, "clip_search": scheme.clip_search}
    return {
        name: method.start(w, initial_grid(w, bits, **options), jax.random.fold_in(key, number))
        for number, (name, w) in enumerate(layer_weights(state).items())
    }


def quantize_block(
    graph: nnx.GraphDef,
    state: nnx.State,
    x: Array,
    x_full: Array,
    batches: Int[Array | np.ndarray, "steps batch"],
    key: jax.Array,
    scheme: Scheme,
    bits: int | Array | None = None,
) -> QuantizedBlock:
    """Learn the rounding of all weights of one block.

    Traceable; `jax.vmap` over states, inputs, keys or (without the search for a range) bits runs several side by side.

    Args:
        graph, state: of the block, as `nnx.split` gives them.
        x: inputs `[n, ...]` from the quantised blocks before it.
        x_full: inputs `[n, ...]` from those in full precision.
        batches: rows of every step.
        key: for the choice of inputs, and the low-rank form.
        scheme: method and settings.
        bits: instead of those of the scheme; may be traced.
    """
    method, bits = METHODS[scheme.method], scheme.bits if bits is None else bits
    weights, target = layer_weights(state), nnx.merge(graph, state)(x_full)
    params, steps, losses = start_params(state, scheme, key, bits), input_steps(state), jnp.zeros(0, target.dtype)

    def block(learned, inputs):
        quantized = _each(method.weights, weights, learned["weights"], bits, scheme.symmetric)
        return nnx.merge(graph, with_weights(state, quantized, learned["steps"]))(inputs)

    if scheme.method != "rtn":
        rate = {name: rates(p, scheme.rate, scheme.fixed) for name, p in params.items()}
        found = reconstruct_block(
            block,
            {"weights": params, "steps": steps},
            x,
            target,
            steps=scheme.steps,
            rate={"weights": rate, "steps": scheme.rate},
            batches=batches,
            x_full=x_full if scheme.input_prob else None,
            input_prob=scheme.input_prob,
            key=key,
            penalty=None if method.penalty is None else partial(_all_penalties, method),
        )
        (params, steps), losses = (found.params["weights"], found.params["steps"]), found.losses
    kept = with_weights(state, _each(method.kept, weights, params, bits, scheme.symmetric), steps)
    return QuantizedBlock(params, kept, losses, nnx.merge(graph, kept)(x), target)


def _each(function, weights: dict[str, Array], params: dict[str, Any], bits: int | Array, symmetric: bool) -> dict[str, Array]:
    return {name: function(w, params[name], bits, symmetric) for name, w in weights.items()}


def _all_penalties(method: Method, learned: dict, progress: Array) -> Array:
    return sum(method.penalty(params, progress) for params in learned["weights"].values())


_compiled = jax.jit(quantize_block, static_argnames=("graph", "scheme"))


def quantize_model(
    model: Chain, inputs: Array, scheme: Scheme, *, key: jax.Array, full_precision: Sequence[int] = ()
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
    if len(inputs) < scheme.batch_size:
        raise ValueError(f"inputs has {len(inputs)} rows; a batch of calibration takes {scheme.batch_size}")
    if is_concrete(inputs) and jnp.issubdtype(jnp.result_type(inputs), jnp.inexact) and not np.isfinite(inputs).all():
        raise ValueError("inputs has numbers that are not finite")
    keep = {number % len(model.stages) for number in full_precision}
    x = x_full = jnp.asarray(inputs)
    stages, blocks = [], []
    for number, stage in enumerate(model.stages):
        graph, state = nnx.split(stage)
        if any(isinstance(v, nnx.BatchStat) for _, v in nnx.to_flat_state(state)):
            raise ValueError(f"block {number} of model has a batch norm; fold it into the weights first (`fold`)")
        if number in keep or not layer_weights(state):
            stages.append(stage)
            blocks.append(None)
            x, x_full = stage(x), stage(x_full)
            continue
        block_key = jax.random.fold_in(key, number)
        batches = epoch_indices(block_key, len(inputs), scheme.batch_size, scheme.steps)
        block = _compiled(graph, _checked(state, number), x, x_full, batches, block_key, scheme)
        if not np.isfinite(block.losses).all():
            raise ValueError(f"the loss of block {number} is not finite; lower the rate of the scheme, which is {scheme.rate}")
        stages.append(nnx.merge(graph, block.state))
        blocks.append(block)
        x, x_full = block.output, block.target
    return QuantizedModel(Chain(stages), blocks)


def _checked(state: nnx.State, number: int) -> nnx.State:
    for name, w in layer_weights(state).items():
        if not np.isfinite(w).all():
            raise ValueError(f"layer {name} of block {number} has weights that are not finite")
    return state
