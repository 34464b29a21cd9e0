"""What is shipped: packed codes with a scale and a zero point, and a forward pass from them. S2, s3, s4 are gone."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Int, UInt32

from quire.common.quant.packing import pack_bits, size_report, unpack_bits
from quire.common.quant.uniform import Grid
from quire.flexround.blockwise import QuantizedModel
from quire.flexround.layer_weights import layer_weights, with_weights
from quire.flexround.methods import METHODS
from quire.flexround.networks import Chain
from quire.flexround.scheme import Scheme


class PackedWeight(NamedTuple):
    """A quantised weight: words of 32 bits full of codes, scale and zero point (scalars or `[out, 1, ...]`), bits, shape."""

    words: UInt32[Array, " words"]
    scale: Array
    zero: Array
    bits: int
    shape: tuple[int, ...]

    def unpack(self) -> Float[Array, "out in *kernel"]:
        """`scale (codes - zero)`; traceable."""
        codes = unpack_bits(self.words, self.bits, int(np.prod(self.shape))).reshape(self.shape)
        return self.scale * (codes.astype(self.scale.dtype) - self.zero)

    def parts(self) -> dict[str, tuple[int, int]]:
        """Counts and bits for `size_report`: zero points are codes themselves."""
        return {
            "codes": (int(np.prod(self.shape)), self.bits),
            "scales": (self.scale.size, 32),
            "zero points": (self.zero.size, self.bits),
        }


def pack_weight(w: Array, params: Any, scheme: Scheme) -> PackedWeight:
    """Codes of a weight, packed.

    Args:
        w: `[out, in, ...]`.
        params: what the method of the scheme has learned.
        scheme: method, bits, symmetry.

    >>> from quire.flexround.division import init_flexround
    >>> w = jnp.array([[0.1, -0.4], [0.9, 0.5]])
    >>> packed = pack_weight(w, init_flexround(w, 2, clip_search=False), Scheme(bits=2))
    >>> print(packed.words, [f"{x:.2f}" for x in packed.unpack()[0]])
    [177] ['0.00', '-0.43']
    """
    codes, grid = _unsigned(w, params, scheme)
    return PackedWeight(pack_bits(codes, scheme.bits), *grid, scheme.bits, w.shape)


@partial(jax.jit, static_argnames="scheme")
def _unsigned(w: Array, params: Any, scheme: Scheme) -> tuple[Int[Array, "..."], Grid]:
    """Codes from 0 on, signed ones lifted, and their grid."""
    method, lift = METHODS[scheme.method], 2 ** (scheme.bits - 1) if scheme.symmetric else 0
    grid = method.grid(params)
    codes = method.codes(w, params, scheme.bits, scheme.symmetric).astype(jnp.int32)
    return codes + lift, Grid(grid.scale, grid.zero + lift)


class PackedBlock(nnx.Module):
    """A block that holds packed weights, and unpacks them when it is called.

    Args:
        block: whose weights are packed; everything else is kept as it is.
        weights: by the name of the layer.
    """

    def __init__(self, block: nnx.Module, weights: Mapping[str, PackedWeight]):
        self.graph, state = nnx.split(block)
        hollow = {name: jnp.zeros((*w.shape[:1], 0, *w.shape[2:]), w.dtype) for name, w in layer_weights(state).items()}
        self.rest = nnx.data(with_weights(state, hollow))
        self.weights = nnx.data(dict(weights))

    def __call__(self, x: Array | np.ndarray) -> Array:
        unpacked = {name: w.unpack() for name, w in self.weights.items()}
        return nnx.merge(self.graph, with_weights(self.rest, unpacked))(x)


def pack_model(model: Chain, quantized: QuantizedModel, scheme: Scheme) -> Chain:
    """The quantised model with packed weights: the same numbers come out of it.

    Args:
        model: in full precision, as it was given to `quantize_model`.
        quantized: what that returned.
        scheme: with which.
    """
    stages = []
    for stage, shown, block in zip(model.stages, quantized.model.stages, quantized.blocks, strict=True):
        if block is None:
            stages.append(stage)
            continue
        weights = layer_weights(nnx.state(stage))
        stages.append(PackedBlock(shown, {name: pack_weight(w, block.params[name], scheme) for name, w in weights.items()}))
    return Chain(stages)


def sizes(model: Chain) -> dict[str, float]:
    """Bits of the packed weights of a model by part, their total, and how many times smaller they are than in float32.

    Whatever is not quantised (embeddings, norms, biases) is left out.

    Raises:
        ValueError: if no block is packed.
    """
    packed = [w for stage in model.stages if isinstance(stage, PackedBlock) for w in stage.weights.values()]
    if not packed:
        raise ValueError("model has no packed block; make it with pack_model")
    parts = {name: (sum(w.parts()[name][0] for w in packed), packed[0].parts()[name][1]) for name in packed[0].parts()}
    return size_report(parts, 32 * parts["codes"][0])
