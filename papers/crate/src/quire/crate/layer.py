"""One layer as derived: a compression step on `R^c`, then a sparsification step (paper, section 2.3).

The practical layer, `quire.common.layers.crate.CRATEBlock`, unties the back-projection, adds LayerNorms, and starts ISTA from
`LN(h)`; this one is the mathematics, with subspaces and dictionary given.
"""

from jaxtyping import Array, Float

from quire.common.layers.crate import ista_step, mssa_step


def unrolled_layer(
    Z: Float[Array, "*batch N d"],
    U: Float[Array, "K d p"],
    D: Float[Array, "d d"],
    *,
    eps: float,
    kappa: float,
    eta: float,
    lam: float,
) -> Float[Array, "*batch N d"]:
    """One unrolled step on the sparse rate reduction.

    `H = (1 - kappa b) Z + kappa b MSSA(Z | U)`, then `ReLU(H + eta D^T (H - D H) - eta lam)`.

    Args:
        Z: tokens `[..., N, d]`.
        U: bases of K subspaces `[K, d, p]`.
        D: dictionary `[d, d]`, atoms in columns.
        eps: precision of the code; `b = p / (N eps^2)`.
        kappa: size of the compression step.
        eta: size of the sparsification step.
        lam: weight of the l1 norm.

    Returns:
        Non-negative tokens `[..., N, d]`.

    Raises:
        ValueError: if U does not fit Z, or `eps` is not positive.
    """
    return ista_step(mssa_step(Z, U, eps, kappa), D, eta, lam)
