"""The entity-embedding network (ENN): a vector for every entity of every mode, and a perceptron over their concatenation."""

import re
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.layers.initialisers import normal
from quire.common.random import draw_together

Indices = Int[Array | np.ndarray, "cells modes"]
Prediction = tuple[Float[Array, " cells"], Float[Array, "cells width"]]
"""Values, and the last hidden activations, from which the output layer makes them."""


def look_up(tables: Sequence[Float[Array | np.ndarray, "_ dim"]], indices: Indices) -> Float[Array, "cells modes dim"]:
    """Vectors of the entities of every cell.

    Args:
        tables: one for each mode.
        indices: of the cells. Traced ones beyond a table give NaN.

    Raises:
        ValueError: if indices are no integers `[cells, modes]` within the tables.
    """
    if indices.ndim != 2 or indices.shape[1] != len(tables):
        raise ValueError(f"indices have shape {indices.shape}; they need to be [cells, {len(tables)}]")
    for mode, table in enumerate(tables):
        check_ids(f"indices of mode {mode}", indices[:, mode], len(table))
    return jnp.stack([jnp.take(table, indices[:, mode], axis=0, mode="fill") for mode, table in enumerate(tables)], axis=1)


class Dense(nnx.Module):
    """An affine map `x W + b`.

    Args:
        kernel, bias: to start from.
    """

    def __init__(self, kernel: Float[Array, "fan_in fan_out"], bias: Float[Array, " fan_out"]):
        self.kernel, self.bias = nnx.Param(kernel), nnx.Param(bias)

    def __call__(self, x: Float[Array, "n fan_in"]) -> Float[Array, "n fan_out"]:
        """Rows through the map."""
        return x @ self.kernel[...] + self.bias[...][None]


def dense_stack(sizes: Sequence[tuple[int, int]], key: jax.Array) -> list[Dense]:
    """Affine maps of the given sizes, weights and biases uniform in `± 1 / sqrt(fan_in)` as PyTorch draws them."""
    shapes = [shape for size in sizes for shape in (size, size[1:])]
    draws = draw_together(lambda shape: jax.random.uniform(key, shape, minval=-1.0, maxval=1.0), shapes)
    return [
        Dense(kernel / fan_in**0.5, bias / fan_in**0.5)
        for (fan_in, _), kernel, bias in zip(sizes, draws[::2], draws[1::2], strict=True)
    ]


def entity_tables(dims: Sequence[int], dim: int, key: jax.Array) -> nnx.List:
    """A table of standard normal vectors for every mode.

    Raises:
        ValueError: without a mode, or for a size below 1.
    """
    check_at_least("number of modes", len(dims))
    for mode, size in enumerate(dims):
        check_at_least(f"dims[{mode}]", size)
    rows = normal(1.0)(key, (sum(dims), dim))
    return nnx.List([nnx.Param(table) for table in jnp.split(rows, np.cumsum(dims)[:-1].tolist())])


class EntityMLP(nnx.Module):
    """`h_0 = [e_1[i_1], ..., e_K[i_K]]`, `h_l = relu(W_l h_{l-1} + b_l)`, `y = w h_L + b`.

    Args:
        dims: sizes of the K modes.
        layers: width of the concatenation, to which each mode gives its K-th part, and of the hidden layers after it.
        rngs: for the initial weights.

    Raises:
        ValueError: if K does not divide the first width, or a size is not positive.

    >>> model = EntityMLP((4, 3), (6, 8, 5), rngs=nnx.Rngs(0))
    >>> y, h = model(jnp.array([[3, 2], [0, 0]]))
    >>> y.shape, h.shape
    ((2,), (2, 5))
    """

    def __init__(self, dims: Sequence[int], layers: Sequence[int] = (150, 1024, 1024, 128), *, rngs: nnx.Rngs):
        check_at_least("number of layers", len(layers))
        for layer, width in enumerate(layers):
            check_at_least(f"layers[{layer}]", width)
        if layers[0] % max(len(dims), 1):
            raise ValueError(f"layers[0] is {layers[0]} and dims has {len(dims)} modes; their number must divide it")
        self.embeddings = entity_tables(dims, layers[0] // max(len(dims), 1), rngs.params())
        *hidden, self.output = dense_stack(list(zip(layers, (*layers[1:], 1), strict=True)), rngs.params())
        self.hidden = nnx.List(hidden)

    def __call__(self, indices: Indices) -> Prediction:
        """Values `[cells]` and last hidden activations `[cells, layers[-1]]`, after the ReLU.

        Raises:
            ValueError: if indices are no integers `[cells, K]` in range.
        """
        h = look_up([table[...] for table in self.embeddings], indices)
        h = h.reshape(len(h), h.shape[1] * h.shape[2])
        for layer in self.hidden:
            h = jax.nn.relu(layer(h))
        return self.output(h)[:, 0], h


def load_entity_mlp(weights: Mapping[str, np.ndarray]) -> EntityMLP:
    """The network with the authors' weights, in the dtype that they have (float64 where JAX has 64 bits).

    Args:
        weights: `embeddings.{k}.weight` `[I_k, e]`, `fc_layers.{l}.weight` and `.bias`, `output_layer.weight` and `.bias`, as
            in the state of their PyTorch module: matrices `[out, in]`. Sizes are read from them.

    Raises:
        ValueError: for a missing or unknown name, a shape that does not fit, or numbers that are not finite.
    """
    arrays = {name: np.asarray(x) for name, x in weights.items()}
    modes, depth = (sum(bool(re.fullmatch(rf"{of}\.\d+\.weight", name)) for name in arrays) for of in ("embeddings", "fc_layers"))
    maps = [f"fc_layers.{layer}" for layer in range(depth)] + ["output_layer"]
    tables = [f"embeddings.{mode}.weight" for mode in range(max(modes, 1))]
    wanted = {*tables, *(f"{name}.{part}" for name in maps for part in ("weight", "bias"))}
    if wanted != arrays.keys():
        raise ValueError(f"weights lack {sorted(wanted - arrays.keys())} and have unknown {sorted(arrays.keys() - wanted)}")
    if any(x.ndim != (1 if name.endswith("bias") else 2) or not np.isfinite(x).all() for name, x in arrays.items()):
        raise ValueError("weights hold an array of another rank than 2 (biases: 1), or numbers that are not finite")
    widths = [sum(arrays[name].shape[1] for name in tables), *(arrays[f"{name}.weight"].shape[0] for name in maps)]
    dims = [len(arrays[name]) for name in tables]
    model = nnx.eval_shape(lambda: EntityMLP(dims, widths[:-1], rngs=nnx.Rngs(0)))  # nothing is drawn only to be replaced
    targets = dict(zip(tables, model.embeddings, strict=True))
    for name, layer in zip(maps, [*model.hidden, model.output], strict=True):
        arrays[f"{name}.weight"] = arrays[f"{name}.weight"].T
        targets |= {f"{name}.weight": layer.kernel, f"{name}.bias": layer.bias}
    for name, target in targets.items():
        if target.shape != arrays[name].shape:
            raise ValueError(f"{name} has shape {arrays[name].shape} (of [in, out]); the others need {target.shape}")
        target.set_value(jnp.asarray(arrays[name]))
    return model
