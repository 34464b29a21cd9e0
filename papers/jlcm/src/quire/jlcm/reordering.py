"""Networks whose units are re-ordered at random: dense, convolutions with batch norms, a transformer with all that it allows."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.layers.permute import UnitAxis, permute_units, read, written
from quire.common.layers.transformer import TokenLM, vit_block
from quire.common.random import generator
from quire.common.train.step import Model
from quire.jlcm.networks import conv_net, drawn, hidden_units, mlp

HEADS, HEAD_DIM = 2, 4


class Reordered(NamedTuple):
    """A network, the same with its units in another order, and inputs."""

    model: nnx.Module
    permuted: nnx.Module
    inputs: jax.Array


def reordered_networks(key: jax.Array, dtype: Any) -> dict[str, Reordered]:
    """All three, with random weights and statistics of a floating dtype."""
    rng, dim = generator(key), HEADS * HEAD_DIM
    block = vit_block(dim, HEADS)
    built = {
        "dense": lambda rngs: mlp((6, 9, 7, 3), rngs=rngs),
        "conv, batch norm, conv": lambda rngs: conv_net((2, 5, 4), 4, 3, rngs=rngs),
        "transformer": lambda rngs: TokenLM(vocab_size=5, max_length=6, dim=dim, depth=1, block=block, rngs=rngs),
    }
    shapes = {"dense": (8, 6), "conv, batch norm, conv": (4, 4, 4, 2)}
    found = {}
    for name, build in built.items():
        model = _random(drawn(build, key), rng, dtype)
        units = [(u.axes, _count(model, u.axes[0])) for u in hidden_units(model)]
        if isinstance(model, TokenLM):
            units += [(heads(model), HEADS), (residual_stream(model), dim)]
            inputs = rng.integers(0, 5, (4, 6)).astype(np.int32)
        else:
            inputs = rng.standard_normal(shapes[name]).astype(dtype)
        found[name] = Reordered(
            model, permute_units(model, [(rng.permutation(n), axes) for axes, n in units]), jnp.asarray(inputs)
        )
    return found


def heads(model: TokenLM) -> list[UnitAxis]:
    """Whole heads of the first block: queries, keys and values move together, and the output map reads them."""
    root = ("blocks", 0, "attention")
    return written(model, (*root, "qkv"), outer=3, inner=HEAD_DIM) + read(model, (*root, "out"), inner=HEAD_DIM)


def residual_stream(model: TokenLM) -> list[UnitAxis]:
    """The channels that embedding, positions and every branch write, that norms scale and that maps and head read."""
    roots = [("blocks", i) for i in range(len(model.blocks))]
    writers: list[tuple[str | int, ...]] = [("embed",), ("positions",), ("norm",)]
    writers += [(*root, *rest) for root in roots for rest in (("attention", "out"), ("mlp", "down"))]
    writers += [(*root, name) for root in roots for name in ("attention_norm", "mlp_norm")]
    readers = [(*root, *rest) for root in roots for rest in (("attention", "qkv"), ("mlp", "up"))]
    return written(model, *writers) + read(model, *readers, ("head",))


def _count(model: nnx.Module, axis: UnitAxis) -> int:
    return dict(nnx.to_flat_state(nnx.state(model)))[axis.path].shape[axis.axis]


def _random(model: Model, rng: np.random.Generator, dtype: Any) -> Model:
    """Biases, norms and statistics are drawn too, so that one that stays in place is noticed."""
    graph, state = nnx.split(model)

    def draw(path, x):
        if path[-1] == "kernel":
            return np.asarray(x[...], dtype)
        if path[-1] in ("scale", "var"):
            return (0.5 + rng.uniform(size=x.shape)).astype(dtype)
        return rng.standard_normal(x.shape).astype(dtype)

    flat = [(path, x.replace(jnp.asarray(draw(path, x)))) for path, x in nnx.to_flat_state(state)]
    model = nnx.merge(graph, nnx.from_flat_state(flat))
    model.eval()
    return model
