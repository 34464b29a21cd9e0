"""A network in the middle of its life, without training it: random weights and running statistics."""

from typing import TypeVar

import jax
import numpy as np
from flax import nnx

from quire.common.random import generator
from quire.next_vit.convert import load_state, torch_state

M = TypeVar("M", bound=nnx.Module)


def randomise(model: M, key: jax.Array) -> M:
    """Give every norm a scale, a shift and statistics of its own, and every bias a value; kernels stay. In place."""
    draw, state = generator(key), torch_state(model)
    for name, x in state.items():
        if name.endswith("running_var") or (x.ndim == 1 and name.endswith("weight")):
            state[name] = draw.uniform(0.5, 2.0, x.shape).astype(np.float32)
        elif x.ndim == 1:
            state[name] = (0.3 * draw.standard_normal(x.shape)).astype(np.float32)
    return load_state(model, state)
