"""Small networks whose hidden units can be re-ordered: dense, convolutional with batch norms, a language model; their units."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from quire.common.layers.convolution import Conv
from quire.common.layers.norms import BatchNorm
from quire.common.layers.permute import UnitAxis, permute_units, read, written
from quire.common.layers.transformer import TokenLM, TransformerBlock
from quire.common.random import generator
from quire.common.train.step import Model
from quire.jlcm.grouping import Groups, Statistic, group_neurons, neuron_stats, random_groups


class Dense(nnx.Module):
    """A linear map of flattened inputs, and ReLU unless it is the last.

    Args:
        dim, out: channels before and after.
        last: without ReLU.
        rngs: for the initial weights.
    """

    def __init__(self, dim: int, out: int, *, last: bool = False, rngs: nnx.Rngs):
        self.linear = nnx.Linear(dim, out, rngs=rngs)
        self.last = last

    def __call__(self, x: Float[Array | np.ndarray, "n *shape"]) -> Float[Array, "n out"]:
        y = self.linear(jnp.asarray(x).reshape(len(x), -1))
        return y if self.last else jax.nn.relu(y)


class ConvNormReLU(nnx.Module):
    """A convolution, its batch norm, ReLU.

    Args:
        dim, out: channels before and after.
        rngs: for the initial weights.
    """

    def __init__(self, dim: int, out: int, *, rngs: nnx.Rngs):
        self.conv, self.norm = Conv(dim, out, 3, use_bias=False, rngs=rngs), BatchNorm(out)

    def __call__(self, x: Float[Array | np.ndarray, "n h w dim"]) -> Float[Array, "n h w out"]:
        return jax.nn.relu(self.norm(self.conv(jnp.asarray(x))))


def mlp(widths: Sequence[int], *, rngs: nnx.Rngs) -> nnx.Sequential:
    """ReLU layers.

    >>> mlp((64, 32, 10), rngs=nnx.Rngs(0))(jnp.ones((2, 8, 8, 1))).shape
    (2, 10)
    """
    pairs = list(pairwise(widths))
    return nnx.Sequential(*(Dense(*pair, last=number == len(pairs) - 1, rngs=rngs) for number, pair in enumerate(pairs)))


def conv_net(channels: Sequence[int], side: int, classes: int, *, rngs: nnx.Rngs) -> nnx.Sequential:
    """Convolutions with batch norms on pictures of `side x side`, and a linear map of what comes out.

    Args:
        channels: of the pictures, and after every convolution.
        side: of the pictures.
        classes: logits.
        rngs: for the initial weights.
    """
    convs = [ConvNormReLU(*pair, rngs=rngs) for pair in pairwise(channels)]
    return nnx.Sequential(*convs, Dense(side * side * channels[-1], classes, last=True, rngs=rngs))


class Units(NamedTuple):
    """Hidden units of a model: the kernel that writes them, and every axis that counts them."""

    kernel: str
    axes: list[UnitAxis]


def hidden_units(model: nnx.Module) -> list[Units]:
    """The units between two maps of each network of this module and of a `TokenLM`: those that can be re-ordered freely.

    Inputs and outputs of the model stay in order. In a transformer these are the hidden units of its MLPs: queries, keys and
    values would have to move by whole heads, and the residual stream in all blocks at once.

    Raises:
        ValueError: for a model of another kind.
    """
    if isinstance(model, TokenLM):
        roots = [("blocks", i, "mlp") for i, block in enumerate(model.blocks) if isinstance(block, TransformerBlock)]
        return [_between(model, [(*root, "up")], (*root, "down")) for root in roots]
    if not isinstance(model, nnx.Sequential):
        raise ValueError(f"model is a {type(model).__name__}; units are known of nnx.Sequential and TokenLM")
    found = []
    for i, (before, after) in enumerate(pairwise(model.layers)):
        writers = [("layers", i, name) for name in (("conv", "norm") if isinstance(before, ConvNormReLU) else ("linear",))]
        reader = ("layers", i + 1, "conv" if isinstance(after, ConvNormReLU) else "linear")
        positions = 1
        if isinstance(before, ConvNormReLU) and isinstance(after, Dense):  # pictures are flattened, channels last
            positions = after.linear.kernel.shape[0] // before.conv.kernel.shape[-1]
        found.append(_between(model, writers, reader, positions))
    return found


def _between(model: nnx.Module, writers: list[tuple], reader: tuple, positions: int = 1) -> Units:
    axes = written(model, *writers) + read(model, reader, outer=positions)
    return Units(layer_name((*writers[0], "kernel")), axes)


def grouped(
    model: nnx.Module, g: int, kind: Statistic = "log_absmax", *, rng: np.random.Generator | None = None
) -> tuple[nnx.Module, dict[str, tuple[int, ...]], dict[str, Groups]]:
    """The same function with its hidden units in the order of their groups, and the sizes of the groups of every such layer.

    Args:
        model: of a kind that `hidden_units` knows.
        g: groups of a layer.
        kind: of the statistic.
        rng: draw groups of the same sizes instead, as a control.

    Returns:
        Model, sizes by layer, and what the groups were found to be.
    """
    weights, perms, sizes, found = kernels(nnx.state(model)), [], {}, {}
    for units in hidden_units(model):
        groups = group_neurons(neuron_stats(weights[units.kernel], kind), g)
        if rng is not None:
            groups = random_groups(groups.sizes, rng)
        perms.append((groups.perm, units.axes))
        sizes[units.kernel], found[units.kernel] = groups.sizes, groups
    return permute_units(model, perms), sizes, found


# --- Weights by the name of their layer ---


def layer_name(path: tuple) -> str:
    """Name of the layer of a variable.

    >>> layer_name(("layers", 0, "linear", "kernel"))
    'layers.0.linear'
    """
    return ".".join(map(str, path[:-1]))


def kernels(state: nnx.State) -> dict[str, Array]:
    """Kernels of all maps as matrices, one neuron a row.

    >>> {name: w.shape for name, w in kernels(nnx.state(mlp((3, 2), rngs=nnx.Rngs(0)))).items()}
    {'layers.0.linear': (2, 3)}
    """
    return {layer_name(p): x[...].reshape(-1, x.shape[-1]).T for p, x in nnx.to_flat_state(state) if p[-1] == "kernel"}


def with_kernels(state: nnx.State, weights: Mapping[str, Array | np.ndarray]) -> nnx.State:
    """The state with other kernels, given as in `kernels`."""
    flat = []
    for path, x in nnx.to_flat_state(state):
        new = weights.get(layer_name(path)) if path[-1] == "kernel" else None
        flat.append((path, x if new is None else x.replace(jnp.asarray(new.T.reshape(x.shape)))))
    return nnx.from_flat_state(flat)


def drawn(build: Callable[[nnx.Rngs], Model], key: jax.Array) -> Model:
    """A model whose kernels are normal with variance `2 / fan_in` (1 in a language model), drawn on the host; norms at 1, 0.

    JAX would compile a generator for every shape.

    Args:
        build: makes the model.
        key: for the weights.
    """
    rng = generator(key)
    graph, shapes = nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
    flat = []
    for path, x in nnx.to_flat_state(shapes):
        if path[-1] == "kernel":
            gain = 1 if "blocks" in path or "head" in path else 2
            value = rng.standard_normal(x.shape) * math.sqrt(gain / math.prod(x.shape[:-1]))
        elif path[-1] in ("embedding", "positions"):
            value = 0.02 * rng.standard_normal(x.shape)
        else:
            value = np.ones(x.shape) if path[-1] in ("scale", "var") else np.zeros(x.shape)
        flat.append((path, x.replace(jnp.asarray(value, x.dtype))))
    return nnx.merge(graph, nnx.from_flat_state(flat))
