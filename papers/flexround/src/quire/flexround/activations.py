"""Quantised inputs of layers: a step for each tensor, learned (LSQ, Esser et al. 2020), or one for each token, by its range."""

from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from quire.common.layers.convolution import Conv
from quire.common.layers.intermediates import capture, sow
from quire.common.quant.uniform import Grid, affine_quantize, min_max_grid

Steps = Literal["tensor", "token"]


def per_token(x: Float[Array, "*shape dim"], bits: int) -> Float[Array, "*shape dim"]:
    """Every token on the grid between its smallest and its largest number (and 0), found when it comes.

    Raises:
        ValueError: for bits out of range, or tokens without numbers.

    >>> [[f"{x:.1f}" for x in token] for token in per_token(jnp.array([[0.0, 1.1, 3.0], [-0.1, 0.0, 0.2]]), 2)]
    [['0.0', '1.0', '3.0'], ['-0.1', '0.0', '0.2']]
    """
    if x.ndim < 1 or x.shape[-1] == 0:
        raise ValueError(f"x has shape {x.shape}; a token needs at least one number")
    low, high = (reduce(x, axis=-1, keepdims=True) for reduce in (jnp.min, jnp.max))
    return affine_quantize(x, min_max_grid(low, high, bits), bits)


class QuantizedInput(nnx.Module):
    """A layer whose input is rounded to a grid first.

    Sows `input`, as it comes.

    Args:
        layer: a linear map or a convolution.
        bits: of a number of the input.
        steps: one `tensor`-wide step, which is learned as its logarithm `log_step`, or one for each `token`.

    Raises:
        ValueError: for bits outside 2..8 or other steps.
    """

    def __init__(self, layer: nnx.Module, bits: int, steps: Steps = "tensor"):
        if not 2 <= bits <= 8 or steps not in ("tensor", "token"):
            raise ValueError(f"bits is {bits} and steps {steps!r}; they need 2..8, and 'tensor' or 'token'")
        self.layer, self.bits, self.active = layer, bits, True
        self.log_step = nnx.Param(jnp.zeros(())) if steps == "tensor" else None
        self.zero = nnx.Variable(jnp.zeros(())) if steps == "tensor" else None

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        sow(self, "input", x)
        if not self.active:
            return self.layer(x)
        if self.log_step is None or self.zero is None:
            return self.layer(per_token(x, self.bits))
        return self.layer(affine_quantize(x, Grid(jnp.exp(self.log_step[...]), self.zero[...]), self.bits))


def quantize_inputs(block: nnx.Module, x: Array | None, bits: int, steps: Steps = "tensor") -> nnx.Module:
    """A copy of a block in which the inputs of all linear maps and convolutions are quantised.

    Args:
        block: any module.
        x: calibration inputs, whose range the grids of whole tensors start with; None for grids of tokens.
        bits, steps: as for `QuantizedInput`.

    Returns:
        The copy. `quantize_block` learns its steps together with the rounding of the weights.
    """
    block = nnx.merge(*nnx.split(block))
    layers = []
    for _, module in list(nnx.iter_modules(block)):
        for name, child in list(vars(module).items()):
            if isinstance(child, nnx.Linear | Conv):
                layers.append(QuantizedInput(child, bits, steps))
                setattr(module, name, layers[-1])
    if steps == "tensor":
        for layer in layers:
            layer.active = False
        _, seen = capture(block, x)
        grids = {path[:-1]: min_max_grid(values[0].min(), values[0].max(), bits) for path, values in _flat(seen)}
        for path, layer in nnx.iter_modules(block):
            if isinstance(layer, QuantizedInput) and layer.log_step is not None and layer.zero is not None:
                layer.active = True
                layer.log_step[...], layer.zero[...] = jnp.log(grids[path].scale), grids[path].zero
    return block


def unquantized_inputs(block: nnx.Module) -> nnx.Module:
    """A copy of a block in which every `QuantizedInput` passes its input on as it comes: the block in full precision.

    >>> layer = nnx.Sequential(QuantizedInput(nnx.Linear(3, 2, rngs=nnx.Rngs(0)), 2, "token"))
    >>> x = jnp.array([[0.1, 0.2, 0.4]])
    >>> bool((unquantized_inputs(layer)(x) == layer.layers[0].layer(x)).all()), bool((layer(x) == layer.layers[0].layer(x)).all())
    (True, False)
    """
    block = nnx.merge(*nnx.split(block))
    for _, module in nnx.iter_modules(block):
        if isinstance(module, QuantizedInput):
            module.active = False
    return block


def _flat(seen: nnx.State) -> list:
    return [(path, x.get_value()) for path, x in nnx.to_flat_state(seen) if path[-1] == "input"]
