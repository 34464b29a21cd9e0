"""Checkpoints of the authors' class `DeepNAIGSR`: parameters under their names there, sizes from their shapes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from quire.common.checkpoints import Names, load, stacked, transposed
from quire.naisr.model import NAISR

StateDict = Mapping[str, np.ndarray]


def read_tensors(state: StateDict) -> dict[str, np.ndarray]:
    """All but the layer norms, which the authors' class declares in every sine layer and never applies."""
    return {name: np.asarray(x) for name, x in state.items() if ".bn." not in name}


def tensor_names(covariate_names: Sequence[str], layers: int) -> Names:
    """Where each parameter of `NAISR` comes from: networks of covariates are stacked, matrices transposed."""
    names: dict[tuple, Any] = {}
    for place in range(layers + 2):
        inner = f"net.{place}.linear" if place <= layers else f"net.{place}"
        for kind, convert in (("weight", np.transpose), ("bias", np.asarray)):
            each = [f"net_direction.{name}.{inner}.{kind}" for name in covariate_names]
            held = "weights" if kind == "weight" else "biases"
            names["nets", held, place] = stacked(each, convert)
            one = f"template.{inner}.{kind}"
            names["template", held, place] = transposed(one) if kind == "weight" else one
    return names


def load_naisr(state: StateDict, covariate_names: Sequence[str], *, omega: float = 30.0, dtype: Any = jnp.float32) -> NAISR:
    """A model with the authors' weights.

    Args:
        state: arrays by name, `net_direction.<covariate>.net.<j>.linear.weight` and so on, as `read_safetensors` gives.
        covariate_names: in the order of the model's last axis of covariates; names do not say it.
        omega: frequency of the sines, which no tensor holds.
        dtype: of the parameters.

    Raises:
        ValueError: naming tensors that are missing, unexpected or mis-shaped.
    """
    state = read_tensors(state)
    first = f"net_direction.{covariate_names[0]}.net.0.linear.weight" if len(covariate_names) else ""
    places = [int(found[1]) for name in state if (found := re.fullmatch(r"template\.net\.(\d+)\.weight", name))]
    if first not in state or not places or "template.net.0.linear.weight" not in state:
        raise ValueError(f"state has no {first or 'covariate'} or no template; its names are {', '.join(list(state)[:3])}, ...")
    hidden, dim = state["template.net.0.linear.weight"].shape
    layers, latent = places[0] - 1, state[first].shape[1] - dim - 1
    if min(layers, latent) < 1:
        raise ValueError(f"{first} has shape {state[first].shape} and the template {layers} layers; it needs a code and layers")
    model = NAISR(dim, covariate_names, hidden, layers, latent, omega=omega, rngs=nnx.Rngs(0))
    return load(model, state, tensor_names(covariate_names, layers), dtype=dtype)
