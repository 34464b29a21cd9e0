"""Codes without learning them from words: random hyperplanes, signs, and turned principal components."""

from functools import partial

import jax
import numpy as np
from jaxtyping import Float, UInt8

from quire.common.checks import check_at_least
from quire.common.random import generator
from quire.common.retrieval.hamming import itq


def hyperplane_codes(x: Float[np.ndarray, "n dim"], bits: int, key: jax.Array) -> UInt8[np.ndarray, "n k"]:
    """Sides of random hyperplanes through the origin, whatever the data look like.

    Args:
        x: vectors.
        bits: k, any number.
        key: of the hyperplanes.

    Raises:
        ValueError: for bits below 1.

    >>> hyperplane_codes(np.array([[1.0, 2.0], [-1.0, -2.0]]), 4, jax.random.key(0)).sum(0).tolist()
    [1, 1, 1, 1]
    """
    check_at_least("bits", bits)
    return (x @ generator(key).standard_normal((x.shape[1], bits)) > 0).astype(np.uint8)


def sign_codes(x: Float[np.ndarray, "n dim"]) -> UInt8[np.ndarray, "n dim"]:
    """One bit a coordinate.

    >>> sign_codes(np.array([[-1.0, 2.0]])).tolist()
    [[0, 1]]
    """
    return (np.asarray(x) > 0).astype(np.uint8)


def itq_codes(x: Float[np.ndarray, "n dim"], bits: int, key: jax.Array) -> UInt8[np.ndarray, "n k"]:
    """Iterative quantisation fitted to the vectors that it codes; see `quire.common.retrieval.hamming.itq`."""
    mean, turned = _compiled_itq(np.asarray(x, np.float32), bits, key)
    return sign_codes((x - np.asarray(mean)) @ np.asarray(turned))


_compiled_itq = partial(jax.jit, static_argnames="bits")(itq)  # one program for all seeds


def latent_semantics(x: Float[np.ndarray, "n V"], dim: int) -> Float[np.ndarray, "n dim"]:
    """LSA: the largest singular values of a term-document matrix."""
    from sklearn.decomposition import TruncatedSVD

    return TruncatedSVD(dim, random_state=0).fit_transform(x)
