"""The definition by literal enumeration of tuples in NumPy float64: what every faster form is compared with."""

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from jaxtyping import Float, Num


def enumerate_tensor_attention(
    q: Num[np.ndarray, "n d"],
    ks: Sequence[Num[np.ndarray, "_ d"]],
    vs: Sequence[Num[np.ndarray, "_ c"]],
    scale: float | None = None,
    entry: Callable[[np.ndarray], np.ndarray] = np.exp,
) -> tuple[Float[np.ndarray, "n c"], Float[np.ndarray, " n"]]:
    """Tensor attention, one tuple `(j_1, ..., j_m)` at a time.

        A_ij = exp(scale * sum_t Q_it prod_l K_l[j_l, t]),     Z_i = sum_j A_ij,     out_ic = sum_j A_ij prod_l V_l[j_l, c] / Z_i

    Args:
        q, ks, vs: queries `[n, d]`, keys `[n_l, d]` and values `[n_l, c]` of each memory.
        scale: factor on the scores, `1 / d` by default.
        entry: what makes an entry of `A` from its scaled score; a polynomial in place of `exp` gives the low-rank form.

    Returns:
        The output `[n, c]` and the unshifted row sums `Z` `[n]`.

    >>> q = k = np.array([[0.0], [1.0]])
    >>> out, z = enumerate_tensor_attention(q, [k, k], [k, k])
    >>> out.round(4).tolist(), z.round(4).tolist()
    ([[0.25], [0.4754]], [4.0, 5.7183])
    """
    q, ks, vs, scale = _in_double(q, ks, vs, scale)
    total, out = np.zeros(len(q)), np.zeros((len(q), vs[0].shape[1]))
    for key, value in _tuples(ks, vs):
        weight = entry(scale * q @ key)
        total += weight
        out += weight[:, None] * value
    return out / total[:, None], total


def enumerate_gradients(
    q: Num[np.ndarray, "n d"],
    ks: Sequence[Num[np.ndarray, "_ d"]],
    vs: Sequence[Num[np.ndarray, "_ c"]],
    grad_out: Num[np.ndarray, "n c"],
    scale: float | None = None,
) -> tuple[np.ndarray, list[np.ndarray], list[np.ndarray]]:
    """Gradient of `sum(out * grad_out)`, one tuple at a time.

    With `P` the softmax over tuples, `dS_ij = P_ij <grad_out_i, V_j - out_i>` and the product rule gives the rest.

    Args:
        q, ks, vs, scale: as for `enumerate_tensor_attention`.
        grad_out: `[n, c]`.

    Returns:
        Gradients of `q`, of every `ks[l]` and of every `vs[l]`.
    """
    out, total = enumerate_tensor_attention(q, ks, vs, scale)
    q, ks, vs, scale = _in_double(q, ks, vs, scale)
    grad_q, grad_ks, grad_vs = np.zeros_like(q), [np.zeros_like(k) for k in ks], [np.zeros_like(v) for v in vs]
    for index in product(*(range(len(k)) for k in ks)):
        keys, values = _rows(ks, index), _rows(vs, index)
        weight = np.exp(scale * q @ np.prod(keys, axis=0)) / total
        grad_score = scale * weight * np.sum(grad_out * (np.prod(values, axis=0) - out), axis=1)
        grad_q += np.outer(grad_score, np.prod(keys, axis=0))
        for axis, j in enumerate(index):
            others = [other for other in range(len(index)) if other != axis]
            grad_ks[axis][j] += grad_score @ q * np.prod(keys[others], axis=0)
            grad_vs[axis][j] += weight @ grad_out * np.prod(values[others], axis=0)
    return grad_q, grad_ks, grad_vs


def _in_double(q, ks, vs, scale):
    q, *rest = (np.asarray(x, np.float64) for x in (q, *ks, *vs))
    if len(ks) != len(vs) or not ks or any(k.shape[1:] != q.shape[1:] or len(k) != len(v) for k, v in zip(ks, vs, strict=True)):
        shapes = [k.shape for k in ks], [v.shape for v in vs]
        raise ValueError(f"q has shape {q.shape}, ks and vs {shapes}; every memory needs keys [n_l, d] and as many values")
    return q, rest[: len(ks)], rest[len(ks) :], 1 / q.shape[1] if scale is None else scale


def _rows(matrices, index) -> np.ndarray:
    return np.stack([a[j] for a, j in zip(matrices, index, strict=True)])


def _tuples(ks, vs):
    """Elementwise products of the keys and of the values of every tuple, the last index fastest."""
    for index in product(*(range(len(k)) for k in ks)):
        yield np.prod(_rows(ks, index), axis=0), np.prod(_rows(vs, index), axis=0)
