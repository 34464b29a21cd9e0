"""The definitions, written out in NumPy with tokens as columns as in the paper: what the fast forms are checked against."""

import numpy as np

Matrix = np.ndarray


def rate(Z: Matrix, eps: float) -> float:
    """`R(Z) = 1/2 logdet(I_N + d / (N eps^2) Z^T Z)` of tokens `[d, N]`."""
    d, N = Z.shape
    return 0.5 * np.linalg.slogdet(np.eye(N) + d / (N * eps**2) * Z.T @ Z)[1]


def subspace_rate(Z: Matrix, U: Matrix, eps: float) -> float:
    """`R^c(Z | U) = sum_k R(U_k^T Z)` for bases `[K, d, p]`."""
    return sum(rate(basis.T @ Z, eps) for basis in U)


def subspace_rate_grad(Z: Matrix, U: Matrix, eps: float) -> Matrix:
    """`b sum_k U_k U_k^T Z (I + b (U_k^T Z)^T (U_k^T Z))^{-1}`, `b = p / (N eps^2)`."""
    N = Z.shape[1]
    b = U.shape[2] / (N * eps**2)
    return sum(b * V @ (V.T @ Z) @ np.linalg.inv(np.eye(N) + b * (V.T @ Z).T @ (V.T @ Z)) for V in U)


def mssa(Z: Matrix, U: Matrix, eps: float) -> Matrix:
    """`b sum_k U_k (U_k^T Z) softmax((U_k^T Z)^T (U_k^T Z))`, the softmax over each column."""
    b = U.shape[2] / (Z.shape[1] * eps**2)
    return sum(b * V @ (V.T @ Z) @ softmax_columns((V.T @ Z).T @ (V.T @ Z)) for V in U)


def softmax_columns(scores: Matrix) -> Matrix:
    """Softmax over the first axis."""
    exp = np.exp(scores - scores.max(0))
    return exp / exp.sum(0)


def ista(Z: Matrix, D: Matrix, eta: float, lam: float) -> Matrix:
    """`ReLU(Z + eta D^T (Z - D Z) - eta lam)`."""
    return np.maximum(Z + eta * D.T @ (Z - D @ Z) - eta * lam, 0)


def layer_norm(X: Matrix, eps: float = 1e-5) -> Matrix:
    """Rows standardised with the biased variance."""
    return (X - X.mean(-1, keepdims=True)) / np.sqrt(X.var(-1, keepdims=True) + eps)


def encoder_layer(X: Matrix, wqkv: Matrix, wo: Matrix, bo: Matrix, W: Matrix, heads: int, eta: float, lam: float) -> Matrix:
    """The authors' encoder layer on rows `[N, d]`, one head after the other, ISTA with three matrix products."""
    w = layer_norm(X) @ wqkv
    p = w.shape[1] // heads
    parts = [w[:, k * p : (k + 1) * p] for k in range(heads)]
    attended = [softmax_columns(part @ part.T * p**-0.5).T @ part for part in parts]
    u = layer_norm(X + np.concatenate(attended, axis=1) @ wo + bo)
    return np.maximum(u + eta * (u @ W - u @ W.T @ W) - eta * lam, 0)
