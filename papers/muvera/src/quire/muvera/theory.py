"""What the theorems ask for and promise, with the constants that the paper leaves open as arguments."""

import math


def _check(**values: float) -> None:
    for name, value in values.items():
        if not value > 0 or (name in ("eps", "delta") and value > 1):
            raise ValueError(f"{name} is {value}; it must be positive{', at most 1' if name in ('eps', 'delta') else ''}")


def sufficient_bits(tokens: int, eps: float, delta: float, constant: float = 1.0) -> int:
    """Theorem 2.1: `k = O(log(m / delta) / eps)` hyperplanes.

    Args:
        tokens: m, tokens of query and document together.
        eps: allowed error of the normalised Chamfer similarity.
        delta: allowed probability of a larger error.
        constant: of the O; the paper gives none.

    Raises:
        ValueError: for numbers out of range.

    >>> sufficient_bits(16, 0.5, 0.1)
    11
    """
    _check(tokens=tokens, eps=eps, delta=delta, constant=constant)
    return max(1, math.ceil(constant * math.log(tokens / delta) / eps))


def sufficient_proj_dim(tokens: int, eps: float, delta: float, constant: float = 1.0) -> int:
    """Theorem 2.1: `p = O(log(m / (eps delta)) / eps^2)` dimensions of the inner projection; arguments as `sufficient_bits`.

    Raises:
        ValueError: for numbers out of range.

    >>> sufficient_proj_dim(16, 0.5, 0.1)
    24
    """
    _check(tokens=tokens, eps=eps, delta=delta, constant=constant)
    return math.ceil(constant * math.log(tokens / (eps * delta)) / eps**2)


def sufficient_repetitions(documents: int, eps: float, constant: float = 1.0) -> int:
    """Theorem 2.2: `R = O(log(n) / eps^2)` repetitions, after which the first document is within eps of the best.

    Args:
        documents: n.
        eps: allowed loss of normalised Chamfer similarity.
        constant: of the O.

    Raises:
        ValueError: for numbers out of range.

    >>> sufficient_repetitions(100, 0.5)
    19
    """
    _check(documents=documents, eps=eps, constant=constant)
    return max(1, math.ceil(constant * math.log(documents) / eps**2))


def query_nonzeros(tokens: int, proj_dim: int, repetitions: int) -> int:
    """Lemma A.1: a query encoding has at most `|Q| p R` entries that are not zero, however many blocks there are.

    >>> query_nonzeros(32, 16, 20)
    10240
    """
    return tokens * proj_dim * repetitions


def document_cost(tokens: int, dim: int, repetitions: int, bits: int, proj_dim: int) -> int:
    """Lemma A.1: operations that encode a document, `R |P| (d (p + k) + B k)`, filled as the authors do.

    >>> document_cost(tokens=100, dim=128, repetitions=20, bits=5, proj_dim=16)
    5696000
    """
    return repetitions * tokens * (dim * (proj_dim + bits) + 2**bits * bits)
