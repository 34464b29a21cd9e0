"""CRATE: layers that take gradient steps on the sparse rate reduction (Yu et al. 2023, arXiv 2311.13110).

Tokens are rows here, `Z [..., N, d]`, where the paper writes columns; `U [K, d, p]` spans K subspaces of dimension p.
The first half of the module is the theory (given subspaces and dictionary), the second the practical layers.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, ScalarLike

from quire.common.checks import check_at_least, check_positive, floating, is_concrete
from quire.common.layers.attention import attention, attention_weights, head_size, merge_heads, split_heads
from quire.common.layers.intermediates import captured, sow

# --- Objective ---


@jax.jit
def _log_det_rate(z: Float[Array, "*batch n p"], factor: ScalarLike) -> Float[Array, "*batch"]:
    """`1/2 logdet(I + factor Z Z^T) = 1/2 sum_i log(1 + factor s_i^2)` with the singular values of Z.

    Where tokens repeat or `factor` is large, a Gram matrix in float32 has lost the small ones; their logarithms are what counts.
    """
    if 0 in z.shape:
        return jnp.zeros(z.shape[:-2], z.dtype)
    wide = z.astype(jnp.promote_types(z.dtype, jnp.float32))  # LAPACK knows no half precision
    singular = jnp.linalg.svd(wide, compute_uv=False)
    return (0.5 * jnp.sum(jnp.log1p(factor * singular**2), axis=-1)).astype(z.dtype)


def coding_rate(Z: Float[Array, "*batch N d"], eps: float) -> Float[Array, "*batch"]:
    """Lossy coding rate, `R(Z) = 1/2 logdet(I + d / (N eps^2) Z Z^T)`, in nats.

    Args:
        Z: tokens `[..., N, d]`.
        eps: precision of the code, in the units of Z.

    Returns:
        `[...]`.

    Raises:
        ValueError: if `eps` is not positive or there are no tokens.

    >>> round(float(coding_rate(jnp.eye(2), eps=1.0)), 4)
    0.6931
    """
    (Z,) = floating(Z)
    return _log_det_rate(Z, _step_size(Z, Z, eps))


def coding_rate_subspaces(Z: Float[Array, "*batch N d"], U: Float[Array, "K d p"], eps: float) -> Float[Array, "*batch"]:
    """Rate of the tokens coded in K subspaces, `R^c(Z | U) = sum_k 1/2 logdet(I + b (Z U_k)(Z U_k)^T)`, `b = p / (N eps^2)`.

    Args:
        Z: tokens `[..., N, d]`.
        U: bases `[K, d, p]`.
        eps: precision of the code.

    Returns:
        `[...]`, in nats.

    Raises:
        ValueError: as for `coding_rate`, or if the bases do not fit the tokens.
    """
    Z, U = floating(Z, U)
    return _log_det_rate(_project(Z, U), _step_size(Z, U, eps)).sum(-1)


def coding_rate_subspaces_grad(Z: Float[Array, "*batch N d"], U: Float[Array, "K d p"], eps: float) -> Float[Array, "*batch N d"]:
    """Exact gradient, `b sum_k (I + b P_k P_k^T)^{-1} P_k U_k^T` with `P_k = Z U_k`.

    The push-through identity moves the inverse to the smaller, `p x p`, side. With the QR factors of `[sqrt(b) P; I]` it is
    `R^{-1} R^{-T}`, whose condition number is the root of that of `I + b P^T P`.

    Args:
        Z, U, eps: as for `coding_rate_subspaces`.

    Returns:
        `[..., N, d]`.

    Raises:
        ValueError: as for `coding_rate_subspaces`.
    """
    Z, U = floating(Z, U)
    P, b = _project(Z, U), _step_size(Z, U, eps)
    if 0 in P.shape:
        return jnp.zeros_like(Z)
    wide = P.astype(jnp.promote_types(P.dtype, jnp.float32))
    p = P.shape[-1]
    identity = jnp.broadcast_to(jnp.eye(p, dtype=wide.dtype), (*P.shape[:-2], p, p))
    upper = jnp.linalg.qr(jnp.concatenate([b**0.5 * wide, identity], axis=-2), mode="r")
    half = solve_triangular(upper, wide.mT, trans=1)
    solved = solve_triangular(upper, half).astype(P.dtype)
    return b * jnp.einsum("...kpn,kdp->...nd", solved, U)


def coding_rate_subspaces_grad_neumann(
    Z: Float[Array, "*batch N d"], U: Float[Array, "K d p"], eps: float
) -> Float[Array, "*batch N d"]:
    """First-order Neumann expansion of the gradient, `b sum_k (P_k - b P_k P_k^T P_k) U_k^T`: the step before the softmax.

    Args:
        Z, U, eps: as for `coding_rate_subspaces`.

    Returns:
        `[..., N, d]`.

    Raises:
        ValueError: as for `coding_rate_subspaces`.
    """
    Z, U = floating(Z, U)
    P, b = _project(Z, U), _step_size(Z, U, eps)
    gram = jnp.einsum("...np,...nq->...pq", P, P)
    return b * jnp.einsum("...knp,kdp->...nd", P - b * P @ gram, U)


def sparse_rate_reduction(
    Z: Float[Array, "*batch N d"], U: Float[Array, "K d p"], eps: float, lam: float
) -> Float[Array, "*batch"]:
    """The objective that every layer improves, `R(Z) - R^c(Z | U) - lam |Z|_0`.

    Args:
        Z, U, eps: as for `coding_rate_subspaces`.
        lam: weight of the number of non-zero entries.

    Returns:
        `[...]`.

    Raises:
        ValueError: as for `coding_rate_subspaces`.
    """
    Z, U = floating(Z, U)
    non_zeros = jnp.count_nonzero(Z, axis=(-2, -1)).astype(Z.dtype)
    return coding_rate(Z, eps) - coding_rate_subspaces(Z, U, eps) - lam * non_zeros


# --- One layer in theory: compress, then sparsify ---


def mssa(Z: Float[Array, "*batch N d"], U: Float[Array, "K d p"], eps: float) -> Float[Array, "*batch N d"]:
    """Multi-head subspace self-attention, `MSSA(Z | U) = b sum_k softmax(P_k P_k^T) P_k U_k^T`, `P_k = Z U_k`.

    Args:
        Z, U, eps: as for `coding_rate_subspaces`.

    Returns:
        `[..., N, d]`.

    Raises:
        ValueError: as for `coding_rate_subspaces`.
    """
    Z, U = floating(Z, U)
    P = _project(Z, U)
    return _step_size(Z, U, eps) * jnp.einsum("...knp,kdp->...nd", attention(P, P, P, scale=1.0), U)


def mssa_step(Z: Float[Array, "*batch N d"], U: Float[Array, "K d p"], eps: float, kappa: float) -> Float[Array, "*batch N d"]:
    """Compression step, `Z^{l+1/2} = (1 - kappa b) Z + kappa b MSSA(Z | U)`, an approximate gradient step on `R^c`.

    Args:
        Z: tokens `[..., N, d]`.
        U: bases `[K, d, p]`.
        eps: precision of the code; `b = p / (N eps^2)`.
        kappa: step size; the step is a small one only while `kappa b < 1`.

    Returns:
        `[..., N, d]`.

    Raises:
        ValueError: as for `coding_rate_subspaces`.
    """
    Z, U = floating(Z, U)
    step = kappa * _step_size(Z, U, eps)
    return (1 - step) * Z + step * mssa(Z, U, eps)


def lasso_objective(
    Z: Float[Array, "*batch m"], target: Float[Array, "*batch d"], D: Float[Array, "d m"], lam: float | Array
) -> Float[Array, ""]:
    """`lam |Z|_1 + 1/2 |target - D Z|^2`, summed over tokens: what the ISTA step lowers.

    Args:
        Z: codes `[..., m]`.
        target: tokens `[..., d]`.
        D: dictionary `[d, m]`, atoms in columns.
        lam: weight of the l1 norm.

    Raises:
        ValueError: if the shapes do not fit together.
    """
    Z, target, D = floating(Z, target, D)
    if Z.shape[:-1] != target.shape[:-1] or D.shape != (target.shape[-1], Z.shape[-1]):
        raise ValueError(
            f"Z, target and D have shapes {Z.shape}, {target.shape}, {D.shape}; they need [..., m], [..., d], [d, m]"
        )
    return jnp.asarray(lam, Z.dtype) * jnp.abs(Z).sum() + 0.5 * jnp.sum((target - Z @ D.T) ** 2)


def ista_step(
    Z: Float[Array, "*batch d"],
    D: Float[Array, "d d"],
    eta: ScalarLike,
    lam: ScalarLike,
    start: Float[Array, "*batch d"] | None = None,
) -> Float[Array, "*batch d"]:
    """Sparsification step, `ReLU(s + eta D^T (Z - D s) - eta lam)`: one proximal-gradient step of the non-negative LASSO on `Z`.

    Args:
        Z: tokens to code, `[..., d]`.
        D: dictionary `[d, d]`, atoms in columns.
        eta: step size, at most `1 / |D|^2` for a guaranteed descent.
        lam: weight of the l1 norm.
        start: the current code `s`, `Z` itself by default as in CRATE.

    Returns:
        Non-negative codes `[..., d]`.

    Raises:
        ValueError: if the shapes do not fit together, or `eta` or `lam` is negative.
    """
    _check_ista(eta, lam)
    Z, D, s = floating(Z, D, Z if start is None else start)
    if s.shape != Z.shape or D.shape != (Z.shape[-1], Z.shape[-1]):
        raise ValueError(f"Z, start and D have shapes {Z.shape}, {s.shape}, {D.shape}; they need [..., d], [..., d], [d, d]")
    return jax.nn.relu(s + eta * (Z - s @ D.T) @ D - eta * lam)


# --- Practical layers ---


def _torch_uniform(gain: float = 1.0) -> nnx.Initializer:
    """`U(-a, a)` with `a = gain / sqrt(fan_in)`, the default of the authors' framework."""
    return nnx.initializers.variance_scaling(gain**2 / 3, "fan_in", "uniform")


class MSSA(nnx.Module):
    """Multi-head subspace self-attention: one map serves as query, key and value.

    `w = x W`, per head `A = softmax(w w^T / sqrt(head_dim))`, `out = concat(A w) W_o + b_o`. `W_o` replaces the untied
    back-projection `U_k` and is left out when there is one head of width `dim`. Sows `attention` `[batch, num_heads, n, n]` and
    `projections` `[batch, num_heads, n, head_dim]`.

    Args:
        dim: channels.
        num_heads: number of subspaces K.
        head_dim: their dimension p, `dim // num_heads` by default.
        causal: attend only to the past.
        softmax: False keeps the scaled scores as weights (linear attention).
        kernel_init: of both maps.
        rngs: for the initial weights.

    Raises:
        ValueError: as for `quire.common.layers.attention.head_size`.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        head_dim: int | None = None,
        *,
        causal: bool = False,
        softmax: bool = True,
        kernel_init: nnx.Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        head_dim = head_size(dim, num_heads, head_dim)
        init = kernel_init or _torch_uniform()
        self.num_heads, self.causal, self.softmax = num_heads, causal, softmax
        self.qkv = nnx.Linear(dim, num_heads * head_dim, use_bias=False, kernel_init=init, rngs=rngs)
        inner = num_heads * head_dim

        def bias_init(key, shape, dtype=jnp.float32):
            return jax.random.uniform(key, shape, dtype, -(inner**-0.5), inner**-0.5)

        single = num_heads == 1 and head_dim == dim
        self.out = None if single else nnx.Linear(inner, dim, kernel_init=init, bias_init=bias_init, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n dim"]) -> Float[Array, "*batch n dim"]:
        w = split_heads(self.qkv(x), self.num_heads)
        if self.softmax and not captured(self):
            return self._mapped_out(attention(w, w, w, causal=self.causal))
        if self.softmax:
            weights = attention_weights(w, w, causal=self.causal)
        else:
            weights = jnp.einsum("...nd,...md->...nm", w, w) * w.shape[-1] ** -0.5
            weights = jnp.tril(weights) if self.causal else weights
        sow(self, "projections", w)
        sow(self, "attention", weights)
        return self._mapped_out(weights @ w)

    def _mapped_out(self, heads: Float[Array, "*batch num_heads n head_dim"]) -> Float[Array, "*batch n dim"]:
        out = merge_heads(heads)
        return out if self.out is None else self.out(out)


class ISTA(nnx.Module):
    """One ISTA step against a learned dictionary, `relu(u + eta (u - u W^T) W - eta lam)`.

    The authors write the gradient as `u W - u W^T W`; factoring out W saves one of three matrix products. Sows `codes`.

    Args:
        dim: channels.
        eta: step size.
        lam: sparsity weight.
        rngs: for the initial dictionary, `U(-sqrt(6 / dim), sqrt(6 / dim))`.

    Raises:
        ValueError: if `dim` is below 1, or `eta` or `lam` is negative.
    """

    def __init__(self, dim: int, *, eta: float = 0.1, lam: float = 0.1, rngs: nnx.Rngs):
        check_at_least("dim", dim)
        _check_ista(eta, lam)
        self.eta, self.lam = eta, lam
        self.weight = nnx.Param(_torch_uniform(6**0.5)(rngs.params(), (dim, dim)))

    def __call__(self, u: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
        W = self.weight[...]
        codes = jax.nn.relu(u + self.eta * (u - u @ W.T) @ W - self.eta * self.lam)
        sow(self, "codes", codes)
        return codes


class CRATEBlock(nnx.Module):
    """Encoder layer as the authors run it: `h = x + MSSA(LN(x))`, `x' = ISTA(LN(h))`.

    The second step starts from `LN(h)` inside ISTA; there is no residual around it.

    Args:
        dim, num_heads, head_dim, causal: as for `MSSA`.
        eta, lam: as for `ISTA`.
        norm_eps: epsilon of both LayerNorms.
        rngs: for the initial weights.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        head_dim: int | None = None,
        *,
        eta: float = 0.1,
        lam: float = 0.1,
        causal: bool = False,
        norm_eps: float = 1e-5,
        kernel_init: nnx.Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        self.attention_norm = nnx.LayerNorm(dim, epsilon=norm_eps, rngs=rngs)
        self.attention = MSSA(dim, num_heads, head_dim, causal=causal, kernel_init=kernel_init, rngs=rngs)
        self.ista_norm = nnx.LayerNorm(dim, epsilon=norm_eps, rngs=rngs)
        self.ista = ISTA(dim, eta=eta, lam=lam, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n dim"]) -> Float[Array, "*batch n dim"]:
        h = x + self.attention(self.attention_norm(x))
        return self.ista(self.ista_norm(h))


class CRATEDecoderBlock(nnx.Module):
    """Decoder layer, the encoder's steps undone in reverse order: `h = LN(x) W^T`, `x' = h - MSSA(LN(h))`.

    Args:
        dim, num_heads, head_dim, softmax: as for `MSSA`.
        norm_eps: epsilon of both LayerNorms.
        rngs: for the initial weights.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        head_dim: int | None = None,
        *,
        softmax: bool = True,
        norm_eps: float = 1e-5,
        kernel_init: nnx.Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        self.dictionary_norm = nnx.LayerNorm(dim, epsilon=norm_eps, rngs=rngs)
        self.weight = nnx.Param(_torch_uniform(6**0.5)(rngs.params(), (dim, dim)))
        self.attention_norm = nnx.LayerNorm(dim, epsilon=norm_eps, rngs=rngs)
        self.attention = MSSA(dim, num_heads, head_dim, softmax=softmax, kernel_init=kernel_init, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch n dim"]) -> Float[Array, "*batch n dim"]:
        h = self.dictionary_norm(x) @ self.weight[...].T
        return h - self.attention(self.attention_norm(h))


# --- Diagnostics ---


def projection_rate(projections: Float[Array, "*batch K n p"], eps: float = 0.01) -> Float[Array, "*batch"]:
    """The authors' proxy for `R^c`: `sum_k 1/2 logdet(I + p / (n eps) G_k)` with `G_k` the Gram matrix of unit-normalised tokens.

    Here `eps` already stands for the square of a precision. Zero tokens stay zero, and do not count in the gradient.

    Args:
        projections: head projections `LN(x) W` split in heads, `[..., K, n, p]`, as `MSSA` sows them.
        eps: the authors' constant.

    Returns:
        `[...]`, in nats.

    Raises:
        ValueError: as for `coding_rate`.
    """
    (projections,) = floating(projections)
    factor = _per_token(projections, projections) / check_positive("eps", eps)
    return _log_det_rate(_unit(projections), factor).sum(-1)


def _unit(x: Float[Array, "*batch p"]) -> Float[Array, "*batch p"]:
    """Tokens of length 1, however small they were; zeros stay zeros, with gradient 0."""
    largest = jax.lax.stop_gradient(jnp.abs(x).max(axis=-1, keepdims=True, initial=0))  # its size does not matter: no derivative
    scaled = x / jnp.where(largest == 0, 1, largest)  # so that no square underflows
    squared = jnp.sum(scaled**2, axis=-1, keepdims=True)
    return scaled * jax.lax.rsqrt(jnp.where(squared == 0, 1, squared))


def _check_ista(eta: ScalarLike, lam: ScalarLike) -> None:
    for name, value in (("eta", eta), ("lam", lam)):
        if is_concrete(value) and not np.all(np.asarray(value) >= 0):
            raise ValueError(f"{name} is {value}; it must be at least 0")


def _project(Z: Array, U: Array) -> Array:
    if U.ndim != 3 or U.shape[1] != Z.shape[-1]:
        raise ValueError(
            f"U has shape {U.shape}; bases of K subspaces for tokens of {Z.shape[-1]} channels are [K, {Z.shape[-1]}, p]"
        )
    return jnp.einsum("...nd,kdp->...knp", Z, U)


def _step_size(Z: Array, U: Array, eps: float) -> float:
    """Size of a subspace over the number of tokens and the square of the precision."""
    return _per_token(Z, U) / check_positive("eps", eps) ** 2


def _per_token(Z: Array, U: Array) -> float:
    if Z.ndim < 2 or 0 in Z.shape[-2:]:
        raise ValueError(f"Z has shape {Z.shape}; a rate needs at least one token and one channel")
    return U.shape[-1] / Z.shape[-2]
