"""The weights of a module by the name of their layer, output channels first, and the module with others."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array


def kernels(state: nnx.State) -> dict[str, Array]:
    """Weights of all linear maps and convolutions of a module as they are stored, `[..., in, out]`, by the name of the layer."""
    return {_name(path): x[...] for path, x in nnx.to_flat_state(state) if path[-1] == "kernel"}


def layer_weights(state: nnx.State) -> dict[str, Array]:
    """Weights of all linear maps and convolutions of a module, `[out, in, ...]`, by the name of the layer.

    >>> state = nnx.state(nnx.Sequential(nnx.Linear(3, 2, rngs=nnx.Rngs(0))))
    >>> {name: w.shape for name, w in layer_weights(state).items()}
    {'layers.0': (2, 3)}
    """
    return {name: jnp.moveaxis(w, (-1, -2), (0, 1)) for name, w in kernels(state).items()}


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
