"""How much the deductive outputs depend on the prompt, and what stands in for them in the ablations."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.pldr_llm.model import PLDRModel

Tensors = Float[np.ndarray, "depth prompts heads d d"]


def deductive_report(model: PLDRModel, prompts: Int[Array, "prompts n"]) -> dict[str, dict[str, Any]]:
    """Statistics of `A`, `A_LM`, `A_P` and `G` over prompts, by the name of the output.

    Args:
        model: the language model.
        prompts: at least two.

    Returns:
        For each output the numbers of `statistics`.

    Raises:
        ValueError: for fewer than two prompts.
    """
    tensors = model(prompts)[1]._asdict()
    return {name: statistics(np.asarray(T)) for name, T in tensors.items()}


def statistics(T: Tensors) -> dict[str, Any]:
    """What a tensor looks like over prompts, and how much it depends on them.

    Returns:
        `rmse`: root mean square of `T_i - mean T`, by layer; `relative_rmse`: that over the root mean square of `mean T`; `mean`
        and `std` of the entries, by layer; `det`: determinants `[depth, prompts, heads]`; `det_spread`: their standard deviation
        over prompts, relative to their mean, `[depth, heads]`.

    Raises:
        ValueError: for fewer than two prompts.
    """
    if T.ndim != 5 or T.shape[1] < 2:
        raise ValueError(f"T has shape {T.shape}; it needs layers, at least two prompts, heads and square matrices")
    T = np.asarray(T, np.float64)
    centre, axes = T.mean(1, keepdims=True), (1, 2, 3, 4)
    rmse = np.sqrt(((T - centre) ** 2).mean(axes))
    det, tiny = np.linalg.det(T), np.finfo(float).tiny
    return {
        "rmse": rmse,
        "relative_rmse": rmse / np.maximum(np.sqrt((centre**2).mean(axes)), tiny),
        "mean": T.mean(axes),
        "std": T.std(axes),
        "det": det,
        "det_spread": det.std(1) / np.maximum(np.abs(det.mean(1)), tiny),
    }


def substitutes(G: Float[Array, "depth prompts heads d d"], noise: Float[Array, "depth 1 heads d d"]) -> dict[str, Array]:
    """What may take the place of the network's tensor, `[depth, 1, heads, d, d]` each.

    Args:
        G: energy-curvature tensors of prompts, of which the first is cached.
        noise: standard normal numbers.

    Returns:
        `cached`: that of the first prompt; `identity`: plain scaled dot products; `random`: normal numbers of the mean and
        standard deviation of each layer; `heads reversed`: the cached one, each head with that of another.

    Raises:
        ValueError: if the noise does not have the shape of one prompt's tensors.
    """
    cached = G[:, :1]
    if noise.shape != cached.shape:
        raise ValueError(f"noise has shape {noise.shape}; one prompt's tensors have {cached.shape}")
    axes = (1, 2, 3, 4)
    random = cached.mean(axes, keepdims=True) + cached.std(axes, keepdims=True) * noise
    identity = jnp.broadcast_to(jnp.eye(G.shape[-1], dtype=G.dtype), cached.shape)
    return {"cached": cached, "identity": identity, "random": random, "heads reversed": cached[:, :, ::-1]}
