"""Compression denoises: tokens near a mixture of subspaces, and how much energy is off the right one (paper, section 2.2)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from quire.common.checks import check_at_least, check_ids
from quire.common.layers.crate import coding_rate_subspaces_grad
from quire.common.random import generator


def orthogonal_subspaces(key: jax.Array, num_subspaces: int = 4, dim: int = 64, sub_dim: int = 8) -> Float[Array, "K d p"]:
    """Orthonormal bases of mutually orthogonal random subspaces.

    Args:
        key: random key.
        num_subspaces: K.
        dim: d of the ambient space.
        sub_dim: p of each subspace.

    Returns:
        `[K, d, p]`.

    Raises:
        ValueError: if they do not fit, `K p > d`, or a size is below 1.
    """
    for name, size in (("num_subspaces", num_subspaces), ("dim", dim), ("sub_dim", sub_dim)):
        check_at_least(name, size)
    total = num_subspaces * sub_dim
    if total > dim:
        raise ValueError(f"num_subspaces * sub_dim is {total}; orthogonal subspaces of R^{dim} hold at most {dim} directions")
    basis = np.linalg.qr(generator(key).standard_normal((dim, total)))[0]
    return jax.device_put(basis.reshape(dim, num_subspaces, sub_dim).swapaxes(0, 1).astype(jnp.result_type(float)))


def noisy_tokens(
    key: jax.Array, U: Float[Array, "K d p"], num_tokens: int = 128, noise: float = 0.1
) -> tuple[Float[Array, "N d"], Int[Array, " N"]]:
    """Unit-norm Gaussian tokens of the subspaces, in equal shares, plus white noise.

    Args:
        key: random key.
        U: bases `[K, d, p]`.
        num_tokens: N.
        noise: standard deviation per coordinate.

    Returns:
        Tokens `[N, d]` and the subspace of each `[N]`.

    Raises:
        ValueError: without tokens, or if `noise` is negative.
    """
    check_at_least("num_tokens", num_tokens)
    if not noise >= 0:
        raise ValueError(f"noise is {noise}; a standard deviation must be at least 0")
    draw, bases = generator(key), np.asarray(U)
    labels = np.arange(num_tokens, dtype=np.int32) % len(bases)
    clean = np.einsum("np,ndp->nd", draw.standard_normal((num_tokens, bases.shape[-1])), bases[labels])
    clean /= np.linalg.norm(clean, axis=-1, keepdims=True)
    noisy = clean + noise * draw.standard_normal(clean.shape)
    return jax.device_put((noisy.astype(bases.dtype), labels))


def off_subspace_energy(Z: Float[Array, "N d"], U: Float[Array, "K d p"], labels: Int[Array, " N"]) -> Float[Array, ""]:
    """Squared projections on the wrong subspaces over those on the right one, both summed over tokens.

    `sum_i sum_{k != y_i} |U_k^T z_i|^2 / sum_i |U_{y_i}^T z_i|^2`.

    Args:
        Z: tokens `[N, d]`.
        U: bases `[K, d, p]`.
        labels: right subspace of every token `[N]`.

    Raises:
        ValueError: if a label names no subspace, or a token has no label. NaN where no token has any energy in its own.
    """
    check_ids("labels", labels, U.shape[0])
    if labels.shape != Z.shape[:1]:
        raise ValueError(f"labels has shape {labels.shape}; {Z.shape[0]} tokens need ({Z.shape[0]},)")
    energy = jnp.sum(jnp.einsum("nd,kdp->nkp", Z, U) ** 2, axis=-1)
    own = jnp.take_along_axis(energy, labels[:, None], axis=1).sum()
    return (energy.sum() - own) / own


def shrunk_like(Z: Float[Array, "N d"], other: Float[Array, "N d"]) -> Float[Array, "N d"]:
    """Z scaled to the Frobenius norm of `other`: the trivial way of lowering every coding rate. Zeros stay zeros."""
    norm = jnp.linalg.norm(Z)
    return Z * (jnp.linalg.norm(other) / jnp.where(norm == 0, 1, norm))


def gradient_step(Z: Float[Array, "N d"], U: Float[Array, "K d p"], eps: float, kappa: float) -> Float[Array, "N d"]:
    """One step of exact gradient descent, `Z - kappa grad R^c(Z | U)`, of which `mssa_step` is the approximation."""
    return Z - kappa * coding_rate_subspaces_grad(Z, U, eps)


def trajectory(step: Callable[[Array], Array], Z: Float[Array, "N d"], steps: int) -> list[Float[Array, "N d"]]:
    """`[Z, step(Z), step(step(Z)), ...]`, `steps + 1` of them."""
    states = [Z]
    for _ in range(steps):
        states.append(step(states[-1]))
    return states
