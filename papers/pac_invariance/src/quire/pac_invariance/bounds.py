"""How many training interventions are enough: bounds of PAC learning for invariant representations.

A representation with its predictor, judged on an intervention, is right if the gap is at most eps. If all that are right on m
interventions are to be wrong on at most a share of the family, with probability 1 - delta, a bound says how large m must be.
"""

import math

from quire.common.checks import check_at_least


def pac_bound_finite(num_hypotheses: int, violation: float, delta: float) -> int:
    """`m >= (log |H| + log 1 / delta) / violation`: a finite class, predictors fixed beforehand.

    One with a violation rate above `violation` passes m times with probability below `(1 - violation)^m`; sum over H.

    Args:
        num_hypotheses: representations in the class.
        violation: largest share of the family that may be violated.
        delta: probability that the statement fails.

    Raises:
        ValueError: for no hypothesis, or shares that are not between 0 and 1.

    >>> pac_bound_finite(31, 0.1, 0.05)
    65
    """
    check_at_least("num_hypotheses", num_hypotheses)
    _check_share("violation", violation)
    _check_share("delta", delta)
    return math.ceil((math.log(num_hypotheses) + math.log(1 / delta)) / violation)


def vc_bound(num_parameters: int, num_sites: int) -> int:
    """`C(n + D, n)` with `D = 4 sites + 2`: the VC dimension of all representations whatsoever, in any ambient dimension.

    A directed path passes a site once, so entries of `(I - A)^-1` have degree `sites` in the weights that an intervention moves,
    second moments `2 sites + 1`, and the squared gap D: it is a polynomial in n numbers. Signs of functions from a vector space
    have the VC dimension of its basis (Dudley 1978), and monomials of degree up to D in n variables are `C(n + D, n)`.

    Args:
        num_parameters: n, of an intervention; see `InterventionFamily.num_parameters`.
        num_sites: nodes that are intervened on.

    Raises:
        ValueError: for sizes below 1.

    >>> vc_bound(2, 1)
    28
    """
    check_at_least("num_parameters", num_parameters)
    check_at_least("num_sites", num_sites)
    return math.comb(num_parameters + 4 * num_sites + 2, num_parameters)


def pac_bound_vc(vc_dim: int, violation: float, delta: float) -> int:
    """`m >= max(4 log2(2 / delta), 8 vc log2(13 / violation)) / violation` (Blumer et al. 1989): any class of that dimension.

    Args:
        vc_dim: of the class.
        violation, delta: as for `pac_bound_finite`.

    Raises:
        ValueError: for a dimension below 1, or shares that are not between 0 and 1.

    >>> pac_bound_vc(28, 0.1, 0.05)
    15731
    """
    check_at_least("vc_dim", vc_dim)
    _check_share("violation", violation)
    _check_share("delta", delta)
    return math.ceil(max(4 * math.log2(2 / delta), 8 * vc_dim * math.log2(13 / violation)) / violation)


def _check_share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; it must lie between 0 and 1")
